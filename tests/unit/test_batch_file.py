"""Batch files: what is read, and what is refused with a word on how to mend it."""

import datetime as dt
import io
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from adit_core.errors import InputProblem, InvalidInput
from adit_core.services import spreadsheet
from adit_core.services.batch_file import BatchFile, BatchStudy, read_batch_file

HEADER = "PatientID,StudyInstanceUID,SeriesInstanceUID,Pseudonym"


def csv(*rows: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *rows, ""]).encode()


def workbook(*rows: Sequence[Any], formats: dict[str, str] | None = None) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    for place, number_format in (formats or {}).items():
        sheet[place].number_format = number_format
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def read(content: bytes) -> BatchFile:
    return read_batch_file(content, "batch")


def problems(content: bytes) -> list[tuple[int | None, str | None]]:
    """Return row and column of each problem; reading must fail."""
    return [(problem.row, problem.field) for problem in refused(content)]


def refused(content: bytes) -> tuple[InputProblem, ...]:
    with pytest.raises(InvalidInput) as caught:
        read(content)
    assert all(problem.message.endswith(".") for problem in caught.value.problems)
    return caught.value.problems


def test_a_row_is_a_study():
    assert read(csv("P1,1.2.3,,", "P2,1.2.4,,")).studies == (
        BatchStudy("P1", "1.2.3", rows=(2,)),
        BatchStudy("P2", "1.2.4", rows=(3,)),
    )


def test_optional_columns_may_be_missing_and_others_are_ignored():
    content = csv("x,1.2.3,P1", header="Remark,StudyInstanceUID,PatientID")

    assert read(content).studies == (BatchStudy("P1", "1.2.3", rows=(2,)),)


@pytest.mark.parametrize(
    "header",
    ["patient id,study instance uid", "PATIENT_ID,StudyInstance_UID", " PatientId , studyinstanceuid "],
)
def test_names_of_columns_may_be_written_differently(header: str):
    assert read(csv("P1,1.2.3", header=header)).studies == (BatchStudy("P1", "1.2.3", rows=(2,)),)


def test_rows_of_one_study_are_united():
    content = csv("P1,1.2.3,1.2.3.2,A", "P2,1.2.4,1.2.4.1,B", "P1,1.2.3,1.2.3.1,A", "P1,1.2.3,1.2.3.2,A")

    assert read(content).studies == (
        BatchStudy("P1", "1.2.3", ("1.2.3.2", "1.2.3.1"), "A", rows=(2, 4, 5)),
        BatchStudy("P2", "1.2.4", ("1.2.4.1",), "B", rows=(3,)),
    )


def test_a_row_without_series_asks_for_the_whole_study():
    content = csv("P1,1.2.3,1.2.3.1,", "P1,1.2.3,,")

    assert read(content).studies == (BatchStudy("P1", "1.2.3", (), rows=(2, 3)),)


def test_empty_rows_are_skipped_and_rows_are_counted_as_the_spreadsheet_does():
    content = csv("", "P1,1.2.3,,", " , ,,", "", "P2,1.2.4,,")

    assert [study.rows for study in read(content).studies] == [(3,), (6,)]


def test_a_line_break_within_quotation_marks_does_not_begin_a_row():
    content = csv('"two\nlines",P1,1.2.3', "one,P2,1.2.4", header="Remark,PatientID,StudyInstanceUID")

    assert [study.rows for study in read(content).studies] == [(2,), (3,)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_recognised(delimiter: str, line_end: str):
    lines = [["PatientID", "StudyInstanceUID"], ["007", "1.2.3"]]
    content = line_end.join(delimiter.join(cells) for cells in lines).encode()

    assert read(content).studies == (BatchStudy("007", "1.2.3", rows=(2,)),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encodings_are_recognised(encoding: str):
    content = csv("Müller,1.2.3,,").decode().encode(encoding)

    assert read(content).studies[0].patient_id == "Müller"


QUERIED = "PatientID,StudyInstanceUID,Transfer,QueryRow,Outcome"


def test_rows_of_a_query_are_kept_and_what_is_left_out_says_why():
    batch = read(
        csv(
            "P1,1.2.3,yes,7,found",
            "P1,1.2.3,yes,7,found",
            "P9,,no,8,nothing found",
            "P8,,no,9,nothing found",
            "P7,1.2.9,no,10,found",
            "P2,1.2.4,,12,found",
            header=QUERIED,
        )
    )

    assert [(study.rows, study.known_rows) for study in batch.studies] == [((2, 3), (7,)), ((7,), (12,))]
    assert batch.left_out_in_words == (
        "Not transferred: nothing found (rows 8-9); Transfer says no (row 10)."
    )


@pytest.mark.parametrize("said", ["", "x", "0", "2.5"])
def test_rows_count_as_the_file_does_if_one_of_them_does_not_tell_that_of_the_query(said: str):
    batch = read(csv("P1,1.2.3,,7,found", f"P2,1.2.4,no,{said},", header=QUERIED))

    assert [study.known_rows for study in batch.studies] == [(2,)]
    assert batch.left_out_in_words == "Not transferred: Transfer says no (row 3)."


def test_why_a_row_is_left_out_repeats_nothing_that_stands_there():
    batch = read(csv("P1,1.2.3,,2,found", "P2,1.2.4,no,3,Doe^Jane", header=QUERIED))

    assert batch.left_out_in_words == "Not transferred: Transfer says no (row 3)."


def test_a_file_that_leaves_out_all_of_it_says_why():
    (problem,) = refused(csv("P1,,no,2,failed", header=QUERIED))

    assert problem.message.endswith("Not transferred: failed (row 2).")


def test_further_columns_may_be_called_like_those_of_a_query():
    header = "PatientID,StudyInstanceUID,Outcome,Outcome,QueryRow"

    assert len(read(csv("P1,1.2.3,good,bad,=1", header=header)).studies) == 1


def test_leading_zeros_stay_and_nothing_is_taken_for_a_missing_value():
    content = csv("007,1.2.3,,", "NA,1.2.4,,", "null,1.2.5,,", "1.0,1.2.6,,")

    assert [study.patient_id for study in read(content).studies] == ["007", "NA", "null", "1.0"]


def test_a_file_is_read_from_disk(tmp_path: Path):
    path = tmp_path / "batch.csv"
    path.write_bytes(csv("P1,1.2.3,,"))

    assert read_batch_file(path) == read(path.read_bytes())


def test_a_file_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"missing\.csv cannot be read: No such file or directory\."):
        read_batch_file(tmp_path / "missing.csv")


def test_a_workbook_is_read_as_it_is_shown():
    content = workbook(
        ["PatientID", "StudyInstanceUID", "Remark"],
        ["007", "1.2.3", 1.5],
        [8, "1.2.4", None],
        [9.0, " 1.2.5 ", dt.date(2024, 1, 1)],
        [None, None, None],
        [10, "1.2.6"],
        formats={"A6": "0000000"},
    )

    assert [(study.patient_id, study.study_instance_uid, study.rows) for study in read(content).studies] == [
        ("007", "1.2.3", (2,)),
        ("8", "1.2.4", (3,)),
        ("9", "1.2.5", (4,)),
        ("0000010", "1.2.6", (6,)),
    ]


def test_the_first_sheet_of_a_workbook_counts():
    book = Workbook()
    first = book.worksheets[0]
    for row in (["PatientID", "StudyInstanceUID"], ["P1", "1.2.3"]):
        first.append(row)
    book.create_sheet("notes").append(["anything"])
    content = io.BytesIO()
    book.save(content)

    assert len(read(content.getvalue()).studies) == 1


def test_all_problems_are_told_at_once_in_the_order_of_the_rows():
    content = csv(
        ",1.2.3,,", "P2,,,", "P3,1.02.3,x,", f"{'P' * 65},1.2.4,,{'A' * 65}", r"P\5,1.2.5,,", "P*,1.2.6,,"
    )

    assert problems(content) == [
        (2, "PatientID"),
        (3, "StudyInstanceUID"),
        (4, "StudyInstanceUID"),
        (4, "SeriesInstanceUID"),
        (5, "PatientID"),
        (5, "Pseudonym"),
        (6, "PatientID"),
        (7, "PatientID"),
    ]


def test_a_control_character_in_a_text_is_refused():
    assert problems(csv('"P\n1",1.2.3,,')) == [(2, "PatientID")]


def test_several_uids_in_one_cell_are_refused():
    assert problems(csv('P1,1.2.3,"1.2.3.1, 1.2.3.2",')) == [(2, "SeriesInstanceUID")]


def test_rows_that_contradict_each_other_are_refused():
    content = csv(
        "P1,1.2.1,,A",
        "P2,1.2.1,1.3,B",  # another patient for a study
        "P3,1.2.3,,C",
        "P3,1.2.4,,D",  # another pseudonym for a patient
        "P5,1.2.5,,C",  # a pseudonym of another patient
        "P6,1.2.6,,E",
        "P6,1.2.7,,",  # a patient with and without pseudonym
    )

    assert problems(content) == [
        (3, "PatientID"),
        (5, "Pseudonym"),
        (6, "Pseudonym"),
        (8, "Pseudonym"),
    ]


def test_messages_repeat_no_patient_data():
    contents = [csv(r"Secret\1,1.2.1,,Hidden"), csv("Secret1,1.2.1,,Hidden", "Secret2,1.2.1,,Hidden")]

    for content in contents:
        text = " ".join(map(str, refused(content)))
        assert "Secret" not in text
        assert "Hidden" not in text


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("PatientID,Remark", [(1, "StudyInstanceUID")]),
        ("P1,1.2.3", [(1, "PatientID"), (1, "StudyInstanceUID")]),
        (",", [(1, "PatientID"), (1, "StudyInstanceUID")]),
        ("PatientID,StudyInstanceUID,patient_id", [(1, "PatientID")]),
        ("PatientID,StudyInstanceUID,Pseudonym,pseudonym", [(1, "Pseudonym")]),
    ],
)
def test_headers_that_lack_or_double_a_column_are_refused(header: str, expected: list[tuple[int, str]]):
    assert problems(csv("P2,1.2.4", header=header)) == expected


def test_double_columns_that_mean_nothing_to_us_are_ignored():
    content = csv("P1,1.2.3,a,b,", header="PatientID,StudyInstanceUID,Remark,Remark,")

    assert len(read(content).studies) == 1


@pytest.mark.parametrize("content", [b"", b" \r\n\n", "\ufeff".encode(), workbook()])
def test_an_empty_file_is_refused(content: bytes):
    assert refused(content)


@pytest.mark.parametrize("content", [csv(), csv("", ",,,"), workbook(["PatientID", "StudyInstanceUID"])])
def test_a_file_without_studies_is_refused(content: bytes):
    (problem,) = refused(content)

    assert "no study" in problem.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7\n\x00\x01", "neither a CSV file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "neither a CSV file"),
        (b"PatientID,StudyInstanceUID\nP\x811,1.2.3", "neither a CSV file"),
        (b"\xff\xfea", "neither a CSV file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "without password"),
        (b"PK\x03\x04rest", "damaged"),
        (workbook(["PatientID"])[:-100], "damaged"),
        (b'PatientID,StudyInstanceUID\n"P1,1.2.3\n', "quotation mark is not closed"),
    ],
)
def test_what_is_no_spreadsheet_is_refused(content: bytes, words: str):
    (problem,) = refused(content)

    assert words in problem.message


def test_an_archive_that_is_no_workbook_is_refused():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")

    (problem,) = refused(content.getvalue())

    assert "not an Excel workbook" in problem.message


def test_cells_that_the_spreadsheet_program_changed_are_refused():
    content = workbook(
        ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"],
        ["P1", 1.2, None],
        ["P2", 1.2840113619e40, None],
        [1.2345678901234567e18, "1.2.4", None],
        [dt.date(2024, 3, 1), "1.2.5", None],
        ["P5", "1.2.6", "#N/A"],
    )

    found = refused(content)

    assert [(problem.row, problem.field) for problem in found] == [
        (2, "StudyInstanceUID"),
        (3, "StudyInstanceUID"),
        (4, "PatientID"),
        (5, "PatientID"),
        (6, "SeriesInstanceUID"),
    ]
    words = ["number", "rounded", "rounded", "date", "error"]
    assert all(word in problem.message for word, problem in zip(words, found, strict=True))


def test_numbers_that_were_rounded_before_the_file_was_saved_as_csv_are_refused():
    content = csv("P1,1.284E+24,,", "1.23457E+11,1.2.3,,", '"1,23457E+11",1.2.4,,')

    assert problems(content) == [(2, "StudyInstanceUID"), (3, "PatientID"), (4, "PatientID")]


def test_a_large_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = tmp_path / "large.csv"
    path.write_bytes(csv("P1,1.2.3,,", *["x" * 1000] * (spreadsheet.MAX_BYTES // 1000)))

    with pytest.raises(InvalidInput, match="larger than 10 MB"):
        read_batch_file(path)


@pytest.mark.parametrize(
    "make", [csv, lambda *rows: workbook(HEADER.split(","), *(row.split(",") for row in rows))]
)
def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch, make):
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 3)
    rows = [f"P{number},1.2.{number},," for number in range(4)]

    assert len(read(make(*rows[:3])).studies) == 3
    (problem,) = refused(make(*rows))
    assert "more than 3 rows" in problem.message


def test_too_many_columns_are_refused():
    (problem,) = refused(csv("P1,1.2.3" + "," * 1000))

    assert "columns" in problem.message


def test_a_workbook_that_unpacks_to_a_multiple_is_refused():
    content = io.BytesIO(workbook(["PatientID", "StudyInstanceUID"], ["P1", "1.2.3"]))
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/bomb", bytes(250 << 20))

    (problem,) = refused(content.getvalue())

    assert "unpacks" in problem.message


@given(st.binary(max_size=200))
def test_whatever_is_given_is_read_or_refused(content: bytes):
    try:
        read(HEADER.encode() + b"\n" + content)
    except InvalidInput:
        return


def test_a_damaged_workbook_is_read_or_refused():
    original = workbook(["PatientID", "StudyInstanceUID"], *[[f"P{n}", f"1.2.{n}"] for n in range(20)])
    chance = random.Random(0)
    for _ in range(200):
        damaged = bytearray(original)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(4, len(damaged))] = chance.randrange(256)
        try:
            read(bytes(damaged))
        except InvalidInput:
            continue


def test_rows_can_be_left_out():
    header = "PatientID,StudyInstanceUID,Transfer"
    content = csv("P1,1.2.3,yes", "P2,1.2.4,No", ",,no", "P3,1.2.5,", header=header)

    assert [study.patient_id for study in read(content).studies] == ["P1", "P3"]
    assert problems(csv("P1,1.2.3,maybe", header=header)) == [(2, "Transfer")]
    assert problems(csv("P1,1.2.3,no", header=header)) == [(None, None)]
