"""The attributes of an instance in lines that people read."""

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from adit_core.dicom.attributes import attributes_of
from tests.factories import dataset


def test_items_follow_their_sequence_and_bytes_are_only_counted() -> None:
    item = dataset(StudyID="7", ScheduledProcedureStepID="A")
    source = dataset(PatientID="4711", ImageType=["ORIGINAL", "PRIMARY"], PixelData=b"\0\0\0\0")
    source.RequestAttributesSequence = Sequence([item])
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian

    lines = attributes_of(source, most=100)

    shown = {line.path: (line.depth, line.value) for line in lines}
    assert lines[0].keyword == "TransferSyntaxUID"
    assert shown["PatientID"] == (0, "4711")
    assert shown["ImageType"] == (0, "ORIGINAL\\PRIMARY")
    assert shown["RequestAttributesSequence"] == (0, "1 item")
    assert shown["RequestAttributesSequence[0].StudyID"] == (1, "7")
    assert shown["PixelData"] == (0, "4 bytes")


def test_only_so_many_are_told_and_long_values_are_cut() -> None:
    source = dataset(PatientComments="x" * 5000, PatientID="4711")

    assert [line.keyword for line in attributes_of(source, most=1)] == ["PatientID"]
    assert len(attributes_of(source, most=10)[1].value) < 500


def test_what_cannot_be_read_is_told_and_hides_nothing_else() -> None:
    source = Dataset()
    source.add_new(0x00100020, "LO", "4711")
    source.add_new(0x00090010, "LO", "ACME")
    source.add_new(0x00091001, "UN", b"secret")
    source.add_new(0x00280010, "US", 16)
    source[0x00280011] = RawDataElement(BaseTag(0x00280011), "US", 3, b"odd", 0, False, True)

    values = {line.tag: line.value for line in attributes_of(source, most=100)}

    assert values == {
        "(0009,0010)": "ACME",
        "(0009,1001)": "6 bytes",
        "(0010,0020)": "4711",
        "(0028,0010)": "16",
        "(0028,0011)": "cannot be read",
    }


def test_a_value_is_not_in_what_is_logged_of_a_line() -> None:
    (line,) = attributes_of(dataset(PatientID="4711"), most=10)
    assert "4711" not in repr(line)
