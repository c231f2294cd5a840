"""Correcting a sheet that was read, and sheets that mean harm."""

import io
import zipfile
from itertools import pairwise

import pytest
from openpyxl import Workbook

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.batch_file import batch_of_sheet, read_batch_file
from adit_core.services.sheet_corrections import corrected, wrong_cells
from adit_core.services.sheet_rows import open_sheet

CSV = b"PatientID;StudyInstanceUID\n007;1.2E+10\n;\n0008;1.2.4\n"


def test_a_corrected_cell_is_text_and_rows_keep_their_numbers():
    sheet = corrected(open_sheet(CSV), {(2, 1): " 1.2.3 "}, left_out=[4])

    (study,) = batch_of_sheet(sheet).studies
    assert (study.patient_id, study.study_instance_uid, study.rows) == ("007", "1.2.3", (2,))


def test_a_problem_names_its_cell_even_in_a_column_that_is_not_there():
    sheet = open_sheet(CSV)
    (cell,) = wrong_cells(sheet, [InputProblem("Give one.", 4, "Pseudonym"), InputProblem("No.", 4)])
    assert (cell.place, cell.value) == ((4, 2), "")

    texts = {cell.place: "LIV-1", (2, 1): "1.2.3", (2, 2): "LIV-2"}
    studies = batch_of_sheet(corrected(sheet, texts, new_columns={2: cell.column})).studies
    assert [study.pseudonym for study in studies] == ["LIV-2", "LIV-1"]


def _workbook(sheet_xml: str) -> bytes:
    book, changed = io.BytesIO(), io.BytesIO()
    Workbook().save(book)
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            is_sheet = entry.filename == "xl/worksheets/sheet1.xml"
            new.writestr(entry.filename, sheet_xml if is_sheet else old.read(entry.filename))
    return changed.getvalue()


def _entities() -> bytes:
    """Return a workbook whose text grows to gigabytes when its entities are replaced."""
    names = "abcdefghij"
    entities = (
        '<!ENTITY a "'
        + "lol" * 10
        + '">'
        + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names))
    )
    return _workbook(
        f"<!DOCTYPE worksheet [{entities}]>"
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
        '<c r="A1" t="inlineStr"><is><t>&j;</t></is></c></row></sheetData></worksheet>'
    )


def _liar() -> bytes:
    """Return a workbook that says of a part of 300 MB that it has a few bytes."""
    content = _workbook("<worksheet>" + " " * (300 << 20))
    size = (len("<worksheet>") + (300 << 20)).to_bytes(4, "little")
    assert size in content
    return content.replace(size, (99).to_bytes(4, "little"))


@pytest.mark.parametrize("make", [_entities, _liar])
def test_a_workbook_that_would_fill_the_memory_is_refused(make):
    with pytest.raises(InvalidInput, match="damaged"):
        read_batch_file(make(), "bomb.xlsx")


def test_a_huge_cell_is_refused_without_being_repeated():
    with pytest.raises(InvalidInput) as caught:
        read_batch_file(b"PatientID,StudyInstanceUID\n" + b"9" * (9 << 20) + b",1.2.3\n")

    assert str(caught.value) == "row 2, column PatientID: This is longer than 64 characters."
