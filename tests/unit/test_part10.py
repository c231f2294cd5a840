"""Part 10 files: what we write is read by others, and what others write is read by us."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adit_core.dicom.part10 import (
    IMPLEMENTATION_CLASS_UID,
    encode_file_header,
    read_file_instance,
    read_file_layout,
)
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.references import is_valid_uid
from adit_core.errors import InvalidInput
from tests import factories

CT = "1.2.840.10008.5.1.4.1.1.2"
HEADER = InstanceHeader(CT, "1.2.3.4", ExplicitVRLittleEndian)


def a_data_set() -> Dataset:
    return factories.dataset(
        SpecificCharacterSet="ISO_IR 100",
        ImageType=["ORIGINAL", "PRIMARY"],
        SOPClassUID=CT,
        SOPInstanceUID="1.2.3.4",
        PatientName="Sample^Anna",
        PatientID="P1",
        StudyInstanceUID="1.2",
        SeriesInstanceUID="1.3",
    )


def encoded(transfer_syntax_uid: str) -> bytes:
    """Return the data set alone, without preamble and file meta information."""
    whole = BytesIO()
    data_set = a_data_set()
    little = transfer_syntax_uid != ExplicitVRBigEndian
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    dcmwrite(whole, data_set, little_endian=little, implicit_vr=implicit, enforce_file_format=False)
    return whole.getvalue()


@pytest.mark.parametrize(
    "uids", [("1.2.3", "1.2.34", "1.2.840.10008.1.2"), ("1.2.34", "1.2.3", "1.2.840.10008.1.2.1")]
)
def test_header_is_read_by_pydicom_and_by_us(uids: tuple[str, str, str]):
    header = InstanceHeader(*uids)
    written = encode_file_header(header)
    meta = dcmread(BytesIO(written)).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == uids
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.FileMetaInformationGroupLength == len(written) - 128 - 4 - 12
    layout = read_file_layout(BytesIO(written + b"data set"))
    assert (layout.header, layout.data_set_offset) == (header, len(written))


def test_implementation_class_uid_is_a_uid():
    assert is_valid_uid(IMPLEMENTATION_CLASS_UID)


def test_file_is_left_at_its_data_set():
    file = BytesIO(encode_file_header(HEADER) + b"data set")
    read_file_layout(file)
    assert file.read() == b"data set"


def test_preamble_may_be_missing():
    without = encode_file_header(HEADER)[132:] + b"data set"
    layout = read_file_layout(BytesIO(without))
    assert layout.header == HEADER
    assert without[layout.data_set_offset :] == b"data set"


@pytest.mark.parametrize("transfer_syntax_uid", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_file_meta_information_may_be_missing(transfer_syntax_uid: str):
    layout = read_file_layout(BytesIO(encoded(transfer_syntax_uid)))
    assert layout.header == InstanceHeader(CT, "1.2.3.4", transfer_syntax_uid)
    assert layout.data_set_offset == 0


@pytest.mark.parametrize("missing", ["MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "both"])
@pytest.mark.parametrize("transfer_syntax_uid", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_data_set_tells_what_the_file_meta_information_does_not(missing: str, transfer_syntax_uid: str):
    data_set = a_data_set()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    if missing == "MediaStorageSOPClassUID":
        data_set.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    if missing == "MediaStorageSOPInstanceUID":
        data_set.file_meta.MediaStorageSOPClassUID = UID(CT)
    whole = BytesIO()
    data_set.save_as(whole, enforce_file_format=False)
    layout = read_file_layout(whole)
    assert layout.header == InstanceHeader(CT, "1.2.3.4", transfer_syntax_uid)
    assert whole.read() == encoded(transfer_syntax_uid)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04" + bytes(500), id="zip"),
        pytest.param(b"%PDF-1.7\n" * 100, id="pdf"),
        pytest.param(bytes(128) + b"DICM", id="nothing behind the prefix"),
        pytest.param(encode_file_header(HEADER)[:200], id="cut in the file meta information"),
        pytest.param(encoded(ExplicitVRLittleEndian)[:40], id="cut in the data set"),
        pytest.param(encoded(ExplicitVRBigEndian), id="big endian without file meta information"),
        pytest.param(
            bytes(128) + b"DICM" + b"\x02\x00\x01\x00OB\x00\x00\xff\xff\xff\xff", id="value of 4 GiB"
        ),
    ],
)
def test_what_is_no_dicom_file_is_said_to_be_none(content: bytes):
    with pytest.raises(InvalidInput, match="no DICOM file"):
        read_file_layout(BytesIO(content))


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm", "image_dfl.dcm"],
)
def test_files_of_others_are_split_where_pydicom_splits_them(name: str):
    path = Path(str(get_testdata_file(name)))
    theirs = dcmread(path)
    ours = read_file_instance(path)
    assert ours.header.sop_class_uid == theirs.SOPClassUID
    assert ours.header.sop_instance_uid == theirs.SOPInstanceUID
    assert ours.header.transfer_syntax_uid == theirs.file_meta.TransferSyntaxUID
    joined = BytesIO(encode_file_header(ours.header) + b"".join(ours.fragments()))
    assert factories.dataset_hash(joined) == factories.dataset_hash(path)


def test_file_tells_where_in_the_hierarchy_it_belongs(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(encode_file_header(HEADER) + encoded(ExplicitVRLittleEndian))
    reference = read_file_instance(path).reference
    assert reference.sop_instance_uid == "1.2.3.4"
    assert reference.series.series_instance_uid == "1.3"
    assert reference.series.study.study_instance_uid == "1.2"
    assert reference.series.study.patient_id == "P1"


def test_a_large_file_of_zeros_is_known_at_once_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(bytes(20 << 20))
    with path.open("rb") as file:
        with pytest.raises(InvalidInput, match="a data element twice"):
            read_file_layout(file)
        assert file.tell() < 1 << 10
