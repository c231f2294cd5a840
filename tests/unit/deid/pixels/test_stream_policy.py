import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSNearLossless,
    RLELossless,
    UltrasoundImageStorage,
)

from adit_core.deid.engine import Deidentifier
from adit_core.deid.pixels.stream_policy import burned_in_policy
from adit_core.deid.profile import BurnedInText, builtin_profiles
from adit_core.deid.stream import EncodedInstance, Held, StreamDeidentifier
from adit_core.deid.subject import Project, Subject
from tests.unit.deid.pixels.images import compressed, image, noise

ROWS, COLUMNS = 480, 640


def ultrasound(pixels: np.ndarray, syntax: UID) -> Dataset:
    if syntax.is_encapsulated:
        dataset = compressed(pixels, syntax, photometric="RGB")
    else:
        dataset = image(pixels.tobytes(), photometric="RGB", rows=ROWS, columns=COLUMNS, frames=len(pixels))
    dataset.SOPClassUID, dataset.Modality = UltrasoundImageStorage, "US"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Philips Medical Systems", "iU22"
    dataset.PatientID, dataset.PatientName = "0815", "Sample^Anna"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4.1", "1.2.3.4.2"
    return dataset


def encoded(dataset: Dataset) -> EncodedInstance:
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset)
    whole = file.getvalue()
    pieces = (whole[start : start + 10_000] for start in range(0, len(whole), 10_000))
    return EncodedInstance(
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.file_meta.TransferSyntaxUID),
        pieces,
    )


def decoded(instance: EncodedInstance) -> Dataset:
    meta = image().file_meta
    dataset = dcmread(io.BytesIO(b"".join(instance.fragments)), force=True)
    dataset.file_meta = meta
    dataset.file_meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
    return dataset


@pytest.fixture
def stream() -> StreamDeidentifier:
    project = Project(b"a secret of sixteen", builtin_profiles()["research"])
    return StreamDeidentifier(Deidentifier(project, Subject("0815", "P1")), burned_in_policy())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_an_instance_of_a_known_device_travels_blanked_and_de_identified(stream, syntax):
    before = noise((2, ROWS, COLUMNS, 3))

    result = stream.transform(encoded(ultrasound(before, syntax)))

    assert isinstance(result, EncodedInstance)
    assert result.transfer_syntax_uid == syntax
    dataset = decoded(result)
    after = pixel_array(dataset, raw=True)
    assert not after[:, :47].any()
    assert (after[:, 47:] == before[:, 47:]).all()
    assert dataset.PatientID == "P1"


def test_a_lossy_instance_travels_in_the_syntax_that_blanking_gave_it(stream):
    before = noise((1, ROWS, COLUMNS, 3))

    result = stream.transform(encoded(ultrasound(before, JPEGLSNearLossless)))

    assert isinstance(result, EncodedInstance)
    assert result.transfer_syntax_uid == ExplicitVRLittleEndian
    dataset = decoded(result)
    assert dataset.LossyImageCompression == "01"
    assert not pixel_array(dataset)[:47].any()


def test_an_instance_that_no_rule_knows_is_held(stream):
    dataset = ultrasound(noise((1, ROWS, COLUMNS, 3)), ExplicitVRLittleEndian)
    dataset.ManufacturerModelName = "unheard of"

    assert stream.transform(encoded(dataset)) == Held("possible burned-in text: ultrasound")


def test_a_profile_that_releases_lets_go_what_no_rule_knows_but_blanks_what_one_knows():
    dataset = ultrasound(noise((1, ROWS, COLUMNS, 3)), ExplicitVRLittleEndian)
    policy = burned_in_policy(BurnedInText.RELEASE)

    assert callable(policy(dataset))
    dataset.ManufacturerModelName = "unheard of"
    assert policy(dataset) is None
