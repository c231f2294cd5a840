"""Real files of pydicom: each is de-identified, or fails closed with an error that names it."""

from io import BytesIO
from pathlib import Path

import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from adit_core.deid.checker import residual_identifiers
from adit_core.deid.engine import Deidentifier
from adit_core.deid.profile import builtin_profiles
from adit_core.deid.stream import EncodedInstance, StreamDeidentifier, trusting_pixels
from adit_core.deid.subject import Project, Subject
from adit_core.dicom.part10 import read_file_instance
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.errors import DeidentificationFailed, InvalidInput
from tests.deid import PSEUDONYM, SECRET

DATA = Path(pydicom.data.__file__).parent
FILES = sorted([*DATA.joinpath("test_files").rglob("*.dcm"), *DATA.joinpath("charset_files").rglob("*.dcm")])
BULK = {0x7FE00010, 0x7FE00008, 0x7FE00009}
DAMAGED = {
    "chrSQEncoding.dcm", "chrSQEncoding1.dcm", "DICOMDIR-empty.dcm", "MR_truncated.dcm",
    "no_meta_group_length.dcm", "priv_SQ.dcm", "rtplan_truncated.dcm", "SC_rgb_jpeg.dcm", "UN_sequence.dcm",
}  # fmt: skip
"""Without UIDs, cut off, or with a data set in another transfer syntax than they say."""


def outcome_of(path: Path, profile: str) -> tuple[str, bytes]:
    """Return what became of a file, and the de-identified one."""
    try:
        with quiet_pydicom():
            source = read_file_instance(path)
            original = dcmread(path, force=True)
    except InvalidInput:
        return "no DICOM file", b""
    subject = Subject(str(original.get("PatientID", "") or "").strip(), PSEUDONYM)
    by = StreamDeidentifier(
        Deidentifier(Project(SECRET, builtin_profiles()[profile]), subject), trusting_pixels
    )
    header = source.header
    travelling = EncodedInstance(
        header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid, source.fragments()
    )
    try:
        with quiet_pydicom():
            result = by.transform(travelling)
            assert isinstance(result, EncodedInstance)
            return "de-identified", path.read_bytes()[: source.data_set_offset] + b"".join(result.fragments)
    except DeidentificationFailed as error:
        return "failed closed" if str(error).startswith("Instance ") else "failed without a name", b""


@pytest.mark.parametrize("profile", ["research", "adit-compatible", "allow-list"])
def test_every_file_is_de_identified_or_fails_closed(profile):
    assert len(FILES) > 80
    outcomes = {path: outcome_of(path, profile) for path in FILES}
    assert {path.name for path, (outcome, _) in outcomes.items() if outcome == "failed closed"} == DAMAGED
    for path, (outcome, content) in outcomes.items():
        if outcome == "de-identified":
            with quiet_pydicom():
                _assert_clean_likeness(
                    dcmread(path, force=True), dcmread(BytesIO(content), force=True), profile
                )


def _assert_clean_likeness(original: Dataset, result: Dataset, profile: str) -> None:
    assert result.PatientName == result.PatientID == PSEUDONYM
    assert not [tag for tag in result.keys() if tag.is_private]  # noqa: SIM118 - tags, not elements
    assert residual_identifiers(original, result, builtin_profiles()[profile]) == []
    for tag in BULK & set(original.keys()):
        assert result.get_item(tag).value == original.get_item(tag).value
    for keyword in ("Rows", "Columns", "BitsAllocated", "PixelRepresentation", "PhotometricInterpretation"):
        assert result.get(keyword) == original.get(keyword)
