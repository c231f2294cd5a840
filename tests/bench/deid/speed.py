"""How fast de-identifiers are, on CT images of a usual size, against reading and writing the same bytes."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
from pydicom import dcmread

from tests.bench.contest import Contest
from tests.bench.deid.contestants import CONTESTANTS, files_of
from tests.bench.deid.key import answer_key

_EDGE = 512


def contest(instances: int) -> Contest:
    """Return a contest in which the same CT images are de-identified, one process each on one core."""
    files = _ct_images(instances)
    made: dict[str, bytes] = {}

    def run(name: str) -> None:
        made.clear()
        made.update(CONTESTANTS[name](files))

    return Contest(
        name=f"De-identification of {instances} CT images of {_EDGE} x {_EDGE}, one core",
        megabytes=sum(map(len, files.values())) / 1e6,
        contestants={
            "pydicom: read and write": partial(run, "nothing"),
            "ADIT: engine and checker": partial(run, "ADIT"),
            "dicognito": partial(run, "dicognito"),
            "dicom-anonymizer": partial(run, "dicom-anonymizer"),
        },
        check=lambda: _check(files, made),
        goals={"ADIT: engine and checker": 1 / 1.6},
    )


def _ct_images(count: int) -> dict[str, bytes]:
    """Return one CT image of the key, as a series of so many."""
    [template] = [instance for instance in answer_key(1) if instance.kind == "CT"]
    pixels = np.random.default_rng(1).integers(0, 4096, (_EDGE, _EDGE), np.uint16)
    files: dict[str, bytes] = {}
    for number in range(count):
        dataset = dcmread(BytesIO(files_of([template])[template.dataset.SOPInstanceUID]))
        dataset.SOPInstanceUID = f"{template.dataset.SeriesInstanceUID}.{number + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = number + 1
        dataset.Rows = dataset.Columns = _EDGE
        dataset.PixelData = np.roll(pixels, number).tobytes()
        files.update(files_of([replace(template, dataset=dataset)]))
    return files


def _check(files: Mapping[str, bytes], made: Mapping[str, bytes]) -> None:
    assert made.keys() == files.keys()
    for uid, encoded in files.items():
        assert dcmread(BytesIO(made[uid])).PixelData == dcmread(BytesIO(encoded)).PixelData
