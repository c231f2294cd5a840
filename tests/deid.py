"""What tests of de-identification share: a project, a patient, a data set of theirs, and its encodings."""

from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import dcmread
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from adit_core.deid.engine import Deidentifier
from adit_core.deid.profile import DeidProfile, ProfileOption, builtin_profiles
from adit_core.deid.stream import EncodedInstance, Held, StreamDeidentifier, trusting_pixels
from adit_core.deid.subject import Project, Subject
from tests.factories import dataset

SECRET = b"a secret of 32 bytes for testing"
PATIENT_ID = "PID-4711-08"
PSEUDONYM = "P7K2"
RESEARCH = builtin_profiles()["research"]


def profile(*options: ProfileOption, **fields: Any) -> DeidProfile:
    return DeidProfile(name="test", options=frozenset(options), **fields)


def deidentifier(
    of: DeidProfile = RESEARCH, patient_id: str = PATIENT_ID, secret: bytes = SECRET, **trial: str
) -> Deidentifier:
    return Deidentifier(Project(secret, of, **trial), Subject(patient_id, PSEUDONYM))


def patient_data(**elements: Any) -> Dataset:
    """Return a small CT of a patient, with these elements as well or instead."""
    standard: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": "1.2.826.0.1.99.1",
        "StudyInstanceUID": "1.2.826.0.1.99.2",
        "SeriesInstanceUID": "1.2.826.0.1.99.3",
        "StudyDate": "20240229",
        "StudyTime": "101112",
        "Modality": "CT",
        "PatientName": "Löwenherz^Annegret",
        "PatientID": PATIENT_ID,
        "PatientBirthDate": "19610305",
        "PatientSex": "F",
        "AccessionNumber": "ACC0815",
        "ReferringPhysicianName": "Quacksalber^Theo",
        "InstitutionName": "Waldklinik Hohenfels",
        "StudyID": "S1",
    }
    return dataset(**(standard | elements))


def read_back(made: Dataset, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """Return a data set as it is after it was written and read."""
    return dcmread(BytesIO(encoded(made, syntax)))


def encoded(made: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a data set as a file in a transfer syntax."""
    copy = Dataset(made)
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = UID(syntax)
    copy.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    buffer = BytesIO()
    copy.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def instance(body: bytes, syntax: str = ExplicitVRLittleEndian, size: int = 1000) -> EncodedInstance:
    """Return an encoded data set as it travels, in fragments of `size` bytes."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return EncodedInstance(CTImageStorage, "1.2.826.0.1.99.1", syntax, pieces)


def transformed(of: EncodedInstance, by: Deidentifier | None = None, **options: Any) -> bytes:
    """Return the bytes of an instance after its de-identification."""
    result = StreamDeidentifier(by or deidentifier(), trusting_pixels, **options).transform(of)
    assert not isinstance(result, Held)
    return b"".join(result.fragments)
