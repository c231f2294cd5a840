"""The demo's studies are the same everywhere, valid, and what its batch file names."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from openjpeg.utils import decode
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from adit_core.dicom.references import is_valid_uid
from deployments.demo.studies import BATCH_FILE, Form, SeriesSpec, batch_csv, demo_studies, write_study
from tests import factories
from tests.servers import require

ALL = [*demo_studies(), factories.mixed_study()]


def test_batch_file_names_the_studies():
    assert BATCH_FILE.read_text(encoding="utf-8") == batch_csv(demo_studies())


def test_all_uids_are_valid_and_no_two_are_the_same():
    studies = [*ALL, *factories.one_instance_studies(100)]
    uids = [
        uid
        for spec in studies
        for uid in (
            spec.study_instance_uid,
            *(spec.series_instance_uid(index) for index in range(len(spec.series))),
            *spec.sop_instance_uids(),
        )
    ]
    assert all(map(is_valid_uid, uids))
    assert len(set(uids)) == len(uids)


def test_study_is_written_the_same_every_time(tmp_path: Path):
    spec = factories.mixed_study(size=32)
    first, second = (write_study(spec, tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert {path.stem for path in first} == spec.sop_instance_uids()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
@pytest.mark.parametrize("form", [Form.CT, Form.CR, Form.SECONDARY_CAPTURE])
def test_compressed_pixels_are_those_of_the_uncompressed_image(form: Form, syntax: UID, tmp_path: Path):
    plain, compressed = (
        dcmread(write_study(factories.study(SeriesSpec(form, 1, "", 48, 32, 1, each)), tmp_path / each)[0])
        for each in (ExplicitVRLittleEndian, syntax)
    )
    assert decoded(compressed).tolist() == plain.pixel_array.tolist()


def decoded(dataset: Dataset) -> NDArray[np.generic]:
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        return dataset.pixel_array
    return decode(next(generate_frames(dataset.PixelData, number_of_frames=1)))


@pytest.mark.system
@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.key + spec.accession_number)
def test_first_and_last_instance_of_each_series_are_valid(spec: factories.StudySpec, tmp_path: Path):
    dciodvfy = require(shutil.which("dciodvfy"), package="dicom3tools")
    write_study(spec, tmp_path)
    for index, series in enumerate(spec.series):
        if series.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            continue  # dciodvfy does not inflate
        for instance in {0, series.instances - 1}:
            path = tmp_path / f"{spec.sop_instance_uid(index, instance)}.dcm"
            verdict = subprocess.run([dciodvfy, path], check=False, capture_output=True)
            assert b"Error" not in verdict.stderr, f"{series.description}: {verdict.stderr[-1000:]!r}"
