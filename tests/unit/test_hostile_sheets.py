"""Spreadsheets that are made to break what reads them are read, or refused by a sentence, in no time."""

import json
import subprocess
import sys

import pytest

from tests.unit import hostile_sheets

_SECONDS = 15.0
"""Of the processor."""
_READ = {"a bomb of a cell", "a row of many cells", "one endless cell", "nothing but quotation marks"}
"""Are large, but what the limits allow."""


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[float, str]]:
    """How long each took, and why it was refused."""
    command = [sys.executable, "-m", hostile_sheets.__name__]
    done = subprocess.run(command, capture_output=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", hostile_sheets.SHEETS)
def test_it_is_read_or_refused_in_no_time(told: dict[str, tuple[float, str]], name: str) -> None:
    seconds, reason = told[name]
    assert seconds < _SECONDS
    assert bool(reason) is (name not in _READ)
    assert not reason or reason.endswith(".")
    assert "root:" not in reason
