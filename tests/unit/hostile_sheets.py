"""Spreadsheets that are made to break what reads them: bombs, endless sheets, entities from elsewhere.

As a program it reads each of them within a limit of memory, and prints what came of it as JSON: seconds, and
the sentence by which the sheet was refused (empty if it was read).
"""

import io
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from zipfile import ZIP_DEFLATED, ZipFile

from openpyxl import Workbook

from adit_core.errors import InvalidInput
from adit_core.services.spreadsheet import MAX_BYTES, read_spreadsheet

MEMORY = 2 << 30
"""Bytes that may be taken besides what the program has when it begins."""
_SHEET = "xl/worksheets/sheet1.xml"
_HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
_TAIL = "</sheetData></worksheet>"


def _workbook(sheet: str) -> bytes:
    """Return a workbook with this as its sheet."""
    plain, made = io.BytesIO(), io.BytesIO()
    Workbook().save(plain)
    with ZipFile(plain) as old, ZipFile(made, "w", ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, sheet if name == _SHEET else old.read(name))
    return made.getvalue()


def _sheet(rows: str) -> bytes:
    return _workbook(f"{_HEAD}{rows}{_TAIL}")


def _text(cell: str, text: str) -> str:
    return f'<c r="{cell}" t="inlineStr"><is><t>{text}</t></is></c>'


def _lying() -> bytes:
    """Return a workbook whose directory says that a sheet is small."""
    content = bytearray(_sheet(f'<row r="1">{_text("A1", "A" * (32 << 20))}</row>'))
    with ZipFile(io.BytesIO(content)) as archive:
        size = archive.getinfo(_SHEET).file_size
    return bytes(content.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))


_ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "lol"}">' for n in range(10))
_DOCTYPE = '<?xml version="1.0"?><!DOCTYPE worksheet [{}]>'
_NAMED = f'<row r="1">{_text("A1", "&e9;")}</row>'

SHEETS: Mapping[str, Callable[[], bytes]] = {
    "many empty lines of many columns": lambda: b"a" + b"," * 199 + b"\n" * (MAX_BYTES - 200),
    "nothing but line ends": lambda: b"\n" * MAX_BYTES,
    "nothing but commas": lambda: b"," * MAX_BYTES,
    "nothing but quotation marks": lambda: b'"' * MAX_BYTES,
    "one endless cell": lambda: b"PatientID\n" + b"A" * (MAX_BYTES - 20),
    "a NUL in each line": lambda: b"PatientID\n" + b"A\0\n" * 100_000,
    "a byte order mark in front of nothing": lambda: b"\xff\xfe",
    "half a character of UTF-16": lambda: b"\xff\xfea",
    "a bomb of a sheet": lambda: _sheet("<row/>" * 300_000),
    "a bomb of a cell": lambda: _sheet(f'<row r="1">{_text("A1", "A" * (8 << 20))}</row>'),
    "a directory that lies": _lying,
    "a row of many cells": lambda: _sheet("<row>" + "<c><v>1</v></c>" * 300_000 + "</row>"),
    "a cell far to the right": lambda: _sheet(f'<row r="1">{_text("XFD1", "PatientID")}</row>'),
    "a cell far below": lambda: _sheet(f'<row r="1048576">{_text("A1048576", "P")}</row>'),
    "a row that no sheet can have": lambda: _sheet(f'<row r="4000000000">{_text("A1", "P")}</row>'),
    "rows with negative numbers": lambda: _sheet(f'<row r="-7">{_text("A1", "P")}</row>'),
    "a billion laughs": lambda: _workbook(f"{_DOCTYPE.format(_ENTITIES)}{_HEAD}{_NAMED}{_TAIL}"),
    "an entity of a file": lambda: _workbook(
        _DOCTYPE.format('<!ENTITY e9 SYSTEM "file:///etc/passwd">') + f"{_HEAD}{_NAMED}{_TAIL}"
    ),
}


def _read(make: Callable[[], bytes]) -> tuple[float, str]:
    content = make()
    began = time.process_time()
    try:
        read_spreadsheet(content, "The file")
    except InvalidInput as error:
        return time.process_time() - began, str(error)
    return time.process_time() - began, ""


if __name__ == "__main__":
    SIZE = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    resource.setrlimit(resource.RLIMIT_DATA, (SIZE + MEMORY, SIZE + MEMORY))
    print(json.dumps({name: _read(SHEETS[name]) for name in sys.argv[1:] or SHEETS}))  # noqa: T201
