"""Spreadsheets that are written: text stays text, whatever it looks like."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from adit_core.errors import InvalidInput
from adit_core.services.spreadsheet import read_spreadsheet
from adit_core.services.text_guard import guarded, unguarded
from adit_core.services.text_sheet import SheetFormat, encode_sheet

_IN_ANY_TIME = settings(deadline=None)  # others may be at work on the machine
DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "'=1"]


@pytest.mark.parametrize("form", list(SheetFormat))
def test_what_is_written_is_read_again(form: SheetFormat):
    rows = [["007", "Müller^Jörg"], ["1.10", "a,b;c\td"], *([text, "x"] for text in DANGEROUS), ["'", "山田"]]
    sheet = read_spreadsheet(encode_sheet(["A", "B"], rows, form), "sheet")
    expected = [[text.replace("\t", " ") for text in row] for row in rows]
    assert (sheet.header, list(map(list, sheet.rows.values())), sheet.kinds) == (("A", "B"), expected, {})


def test_a_workbook_holds_text_only():
    content = encode_sheet(
        ["A"], [[text] for text in [*DANGEROUS, "007", "2024-01-01", "1E5"]], SheetFormat.XLSX
    )
    cells = [cell for row in load_workbook(io.BytesIO(content)).worksheets[0].iter_rows() for cell in row]
    assert {(cell.data_type, cell.number_format, cell.quotePrefix) for cell in cells} == {("s", "@", True)}


def test_no_cell_of_a_csv_file_begins_like_a_formula():
    content = encode_sheet(["A", "B"], [[text, text] for text in DANGEROUS], SheetFormat.CSV)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_control_characters_become_spaces():
    content = encode_sheet(["A", "B"], [["a\x00\nb", "\x1b[31m"]], SheetFormat.XLSX)
    assert list(read_spreadsheet(content, "sheet").rows.values()) == [("a  b", "[31m")]


_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_HOSTILE = st.text(st.sampled_from([*_FORMULA, *"'\"; ,ab"]), max_size=12)


@_IN_ANY_TIME
@given(st.text() | _HOSTILE)
def test_the_guard_loses_nothing(text: str):
    assert unguarded(guarded(text)) == text


@_IN_ANY_TIME
@given(_HOSTILE, _HOSTILE)
def test_no_cell_begins_like_a_formula_in_countries_where_semicolons_part_cells(one: str, other: str):
    line = encode_sheet(["A", "B"], [[one, other]], SheetFormat.CSV).decode("utf-8-sig").splitlines()[1]
    assert [cell for cell in line.split(";") if cell.lstrip('" ').startswith(_FORMULA)] == []


@_IN_ANY_TIME
@given(st.text(st.characters(exclude_categories=["C"]), max_size=20))
def test_any_text_comes_back_from_a_csv_file(text: str):
    sheet = read_spreadsheet(encode_sheet(["A", "B"], [[text, "x"]], SheetFormat.CSV), "sheet")
    assert list(map(list, sheet.rows.values())) == [
        ["".join(c if c.isprintable() else " " for c in text).strip(), "x"]
    ]


@pytest.mark.parametrize(("name", "form"), [("a.xlsx", SheetFormat.XLSX), ("A.CSV", SheetFormat.CSV)])
def test_the_name_of_a_file_says_its_format(name: str, form: SheetFormat):
    assert SheetFormat.of_file(name) is form


@pytest.mark.parametrize("name", ["a.xls", "csv", ""])
def test_other_formats_are_refused(name: str):
    with pytest.raises(InvalidInput, match=r"\.xlsx or \.csv"):
        SheetFormat.of_file(name)
