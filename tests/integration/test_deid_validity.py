"""De-identified objects are as valid as they were, in the eyes of dciodvfy (PS3.3)."""

import subprocess
from io import BytesIO
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from pydicom import dcmread

from tests.bench.deid.contestants import stream_for, transformed
from tests.bench.deid.key import places
from tests.bench.deid.objects import KINDS, build
from tests.bench.deid.part10 import written
from tests.bench.deid.place import Place

pytestmark = pytest.mark.system

_WITH_ERRORS_OF_THEIR_OWN = {"OP", "PT", "SEG", "SM tile"}


@pytest.fixture(scope="module")
def places_by_kind() -> dict[str, Place]:
    return dict(islice(places(Random(20)), 4 * len(KINDS)))


@pytest.mark.parametrize("kind", KINDS)
def test_has_no_error_that_the_original_did_not_have(
    kind: str, places_by_kind: dict[str, Place], tmp_path: Path
):
    original = build(kind, places_by_kind[kind])
    stream = stream_for(str(original.PatientID))
    before = _errors(written(original), tmp_path / "before.dcm")
    after = _errors(transformed(stream, written(original)), tmp_path / "after.dcm")
    assert after - before == set()
    assert (before == set()) == (kind not in _WITH_ERRORS_OF_THEIR_OWN)


def test_sees_an_error_that_is_made(places_by_kind: dict[str, Place], tmp_path: Path):
    spoiled = dcmread(BytesIO(written(build("CT", places_by_kind["CT"]))))
    del spoiled.PatientName
    assert any("PatientName" in error for error in _errors(written(spoiled), tmp_path / "spoiled.dcm"))


def _errors(encoded: bytes, path: Path) -> set[str]:
    path.write_bytes(encoded)
    told = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False, timeout=30
    )
    lines = (told.stdout + told.stderr).splitlines()
    return {line for line in lines if line.startswith("Error")}
