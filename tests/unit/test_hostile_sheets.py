"""Spreadsheets that are made to break what reads them are read, or refused by a sentence, in no time."""

import io
import json
import subprocess
import sys
from contextlib import suppress
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adit_core.errors import InvalidInput
from adit_core.services.spreadsheet import read_spreadsheet
from adit_core.services.text_sheet import SheetFormat, encode_sheet
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


_IN_ANY_TIME = settings(deadline=None)  # others may be at work on the machine
_ROWS = [["4711", "1.2.3"], ["Müller; =1", "x" * 100]]
_BOOK = encode_sheet(["PatientID", "StudyInstanceUID"], _ROWS, SheetFormat.XLSX)
_PARTS = {name: ZipFile(io.BytesIO(_BOOK)).read(name) for name in ZipFile(io.BytesIO(_BOOK)).namelist()}
_CODECS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7"),
    *("latin-1", "cp1252", "mac-roman", "shift_jis", "gb18030", "cp500"),
)


def assert_read_or_refused(content: bytes) -> None:
    with suppress(InvalidInput):
        read_spreadsheet(content, "The file")


@st.composite
def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    to = draw(st.integers(at, min(at + 40, len(content))))
    return content[:at] + draw(st.binary(max_size=20)) + content[to:]


@_IN_ANY_TIME
@given(_damaged(_BOOK))
def test_a_damaged_workbook_is_read_or_refused(content: bytes) -> None:
    assert_read_or_refused(content)


@_IN_ANY_TIME
@given(st.data(), st.sampled_from(sorted(_PARTS)))
def test_a_workbook_with_a_damaged_part_is_read_or_refused(data: st.DataObject, damaged: str) -> None:
    book = io.BytesIO()
    with ZipFile(book, "w", ZIP_DEFLATED) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, data.draw(_damaged(content)) if name == damaged else content)
    assert_read_or_refused(book.getvalue())


@_IN_ANY_TIME
@given(st.text(max_size=60), st.sampled_from(_CODECS))
def test_text_in_any_encoding_is_read_or_refused(text: str, codec: str) -> None:
    assert_read_or_refused(f"PatientID,StudyInstanceUID\n{text},1.2.3\n".encode(codec, "replace"))
