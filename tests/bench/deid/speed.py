"""How fast de-identifiers are, on CT images of a usual size, against reading and writing the same bytes."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO

from pydicom import dcmread

from deployments.demo.objects import build_instance
from tests.bench.contest import Contest
from tests.bench.deid.contestants import CONTESTANTS, stream_for, transformed
from tests.bench.deid.part10 import written
from tests.factories import ct_study

_EDGE = 512
_STUDY = ct_study(rows=_EDGE)


def contest(instances: int) -> Contest:
    """Return a contest in which the same CT images are de-identified, one process each on one core."""
    files = _ct_images(instances)
    made: dict[str, bytes] = {}
    stream = stream_for(_STUDY.patient_id)

    def run(name: str) -> None:
        made.clear()
        made.update(CONTESTANTS[name](files))

    def run_adit() -> None:
        made.clear()
        made.update((uid, transformed(stream, encoded)) for uid, encoded in files.items())

    return Contest(
        name=f"De-identification of {instances} CT images of {_EDGE} x {_EDGE}, one core",
        megabytes=sum(map(len, files.values())) / 1e6,
        contestants={
            "pydicom: read and write": partial(run, "nothing"),
            "ADIT: engine and checker": run_adit,
            "dicognito": partial(run, "dicognito"),
            "dicom-anonymizer": partial(run, "dicom-anonymizer"),
        },
        check=lambda: _check(files, made),
        goals={"ADIT: engine and checker": 1 / 1.6},
    )


def _ct_images(count: int) -> dict[str, bytes]:
    """Return a series of CT images with headers as archives have them."""
    study = replace(_STUDY, series=(replace(_STUDY.series[0], instances=count),))
    images = (build_instance(study, 0, index) for index in range(count))
    return {image.SOPInstanceUID: written(image) for image in images}


def _check(files: Mapping[str, bytes], made: Mapping[str, bytes]) -> None:
    assert made.keys() == files.keys()
    for uid, encoded in files.items():
        assert dcmread(BytesIO(made[uid])).PixelData == dcmread(BytesIO(encoded)).PixelData
