"""Query files: what is read, what is refused with a word on how to mend it, and what cells mean."""

import datetime as dt
import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from adit_core.dicom.query import DateRange, SeriesResult, StudyQuery, StudyResult
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.query_cells import parse_day
from adit_core.services.query_columns import CellForm, Level, column_of
from adit_core.services.query_criteria import Criteria
from adit_core.services.query_file import QueryFile, Question, read_query_file
from tests.queries import query_of

STUDY = StudyReference("1.2.3", "P1")


def read(*lines: str) -> QueryFile:
    return read_query_file("\n".join(lines).encode(), "query")


def refused(*lines: str) -> tuple[InputProblem, ...]:
    with pytest.raises(InvalidInput) as caught:
        read(*lines)
    assert all(problem.message.endswith(".") for problem in caught.value.problems)
    return caught.value.problems


def places(*lines: str) -> list[tuple[int | None, str | None]]:
    return [(problem.row, problem.field) for problem in refused(*lines)]


def workbook(*rows: Sequence[Any]) -> bytes:
    book = Workbook()
    for row in rows:
        book.worksheets[0].append(list(row))
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def criteria(**cells: str) -> Criteria:
    (question,) = query_of({"AccessionNumber": "A1", **cells}).questions
    return Criteria.of(question.cells)


def test_rows_are_questions_with_the_numbers_of_the_spreadsheet():
    assert read("patient id;Until;FROM", "007;31.01.2024;2024-01-01", ";;", "P2;20240131;") == QueryFile(
        (
            Question(2, {"PatientID": "007", "Until": "20240131", "From": "20240101"}),
            Question(4, {"PatientID": "P2", "Until": "20240131", "From": ""}),
        )
    )


def test_days_of_a_workbook_are_days_and_numbers_are_text():
    content = workbook(
        ["PatientID", "PatientBirthDate", "From", "SeriesNumber"],
        [17, dt.date(1962, 8, 17), 20240110, 3],
    )
    (question,) = read_query_file(content).questions
    assert question.cells == {
        "PatientID": "17",
        "PatientBirthDate": "19620817",
        "From": "20240110",
        "SeriesNumber": "3",
    }


def test_any_keyword_of_dicom_can_be_a_column():
    (question,) = read("AccessionNumber,body part examined,PatientSex", "A1,HEAD,F").questions
    assert question.cells == {"AccessionNumber": "A1", "BodyPartExamined": "HEAD", "PatientSex": "F"}


@pytest.mark.parametrize(
    ("keyword", "level", "form"),
    [
        ("PatientSex", Level.STUDY, CellForm.TEXT),
        ("ReferringPhysicianName", Level.STUDY, CellForm.NAME),
        ("StudyID", Level.STUDY, CellForm.TEXT),
        ("NumberOfStudyRelatedInstances", Level.STUDY, CellForm.WHOLE_NUMBER),
        ("BodyPartExamined", Level.SERIES, CellForm.TEXT),
        ("InstitutionName", Level.SERIES, CellForm.TEXT),
        ("SliceThickness", Level.SERIES, CellForm.NUMBER),
        ("SeriesDate", Level.SERIES, CellForm.DAY),
        ("SeriesTime", Level.SERIES, CellForm.AS_IS),
        ("FrameOfReferenceUID", Level.SERIES, CellForm.UID),
    ],
)
def test_further_attributes_are_asked_for_where_they_belong(keyword: str, level: Level, form: CellForm):
    column = column_of(keyword)
    assert column is not None
    assert (column.level, column.form, column.is_further) == (level, form, True)


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("PatientNaem", "neither a column of a query nor a keyword"),
        ("StudyDate", "Use From and Until instead"),
        ("ModalitiesInStudy", "Use Modality instead"),
        ("PixelData", "cannot be asked for"),
        ("Rows", "cannot be asked for"),
        ("QueryRetrieveLevel", "cannot be asked for"),
        ("TransferSyntaxUID", "cannot be asked for"),
        ("ReferencedStudySequence", "cannot be asked for"),
    ],
)
def test_columns_that_ask_nothing_are_refused_rather_than_ignored(title: str, words: str):
    (problem,) = refused(f"PatientID,{title}", "P1,x")
    assert (problem.row, problem.field) == (1, title)
    assert words in problem.message


def test_columns_can_be_ignored_on_purpose():
    (question,) = read("PatientID,#remark,", "P1,anything").questions
    assert question.cells == {"PatientID": "P1"}


def test_a_column_without_a_name_may_have_no_values():
    assert len(read("PatientID,,Modality", "P1,,CT").questions) == 1
    (problem,) = refused("PatientID,,Modality", "P1,x,CT")
    assert "Column 2 has values" in problem.message


def test_a_column_that_is_there_twice_is_refused():
    assert places("PatientID,patient_id", "P1,P2") == [(1, "PatientID")]


@pytest.mark.parametrize("lines", [("",), ("PatientID",), ("#a", "x"), ("", "P1")])
def test_a_file_that_asks_nothing_is_refused(lines: tuple[str, ...]):
    assert refused(*lines)


def test_all_problems_are_told_at_once_in_the_order_of_the_rows():
    header = (
        "PatientID,PatientBirthDate,StudyInstanceUID,Modality,SeriesNumber,StudyDescription,SliceThickness"
    )
    assert places(
        header,
        f"{'P' * 65},1962,1.02,C-T,two,/(/,thin",
        "P2,31.2.2024,1.2,CT,2.5,//,1.5",
        ",,,CT,1,CT*,",
    ) == [
        (2, "PatientID"),
        (2, "PatientBirthDate"),
        (2, "StudyInstanceUID"),
        (2, "Modality"),
        (2, "SeriesNumber"),
        (2, "StudyDescription"),
        (2, "SliceThickness"),
        (3, "PatientBirthDate"),
        (3, "SeriesNumber"),
        (3, "StudyDescription"),
        (4, None),
    ]


@pytest.mark.parametrize(
    "row",
    [
        "*,,,,",
        ",?*,,,",
        "/1/,,,,",
        ",,,2024-01-01,",
        ",,,,2024-01-01",
    ],
)
def test_a_row_that_would_list_the_archive_is_refused(row: str):
    (problem,) = refused("PatientID,PatientName,AccessionNumber,From,Until", row)
    assert "asks for too much" in problem.message


@pytest.mark.parametrize("row", ["1*,,,,", ",M?ller,,,", ",,A1,,", ",,,2024-01-01,2024-01-31"])
def test_a_row_that_asks_for_something_is_read(row: str):
    assert read("PatientID,PatientName,AccessionNumber,From,Until", row)


def test_days_in_the_wrong_order_are_refused():
    assert places("From,Until", "2024-02-01,2024-01-31") == [(2, "Until")]


def test_messages_repeat_no_patient_data():
    problems = refused(
        "PatientID,PatientName,PatientBirthDate,AccessionNumber", r"Secret\1,/Secret(/,Secret,Sec\ret"
    )
    assert len(problems) == 4
    assert not any("Secret" in str(problem) or "ret" in str(problem).split() for problem in problems)


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)))
def test_a_day_is_read_in_each_of_its_forms(day: dt.date):
    forms = (f"{day:%Y-%m-%d}", f"{day:%Y%m%d}", f"{day:%d.%m.%Y}", f"{day.day}.{day.month}.{day.year}")
    assert {parse_day(form) for form in forms} == {day}


@given(st.text(max_size=12))
def test_whatever_is_written_as_a_day_is_a_day_or_none(text: str):
    day = parse_day(text)
    assert day is None or str(day.year) in text


@given(st.lists(st.text("PatienID,;/*?ab#\t\"'1.2\n", max_size=30), max_size=5))
def test_whatever_is_given_is_read_or_refused(lines: list[str]):
    try:
        read("PatientID,Modality,StudyDescription", *lines)
    except InvalidInput:
        return


def test_an_archive_is_asked_for_what_it_can_match():
    asked = criteria(
        PatientID="00*",
        PatientName="/^Mil/",
        PatientBirthDate="1962-08-17",
        From="2024-01-01",
        Modality="ct, MR",
        StudyDescription="CT*",
        PatientSex="F",
        PatientWeight="70",
        StudyID="*",
    ).study
    birthday = dt.date(1962, 8, 17)
    assert asked == StudyQuery(
        patient_id="00*",
        patient_birth_date=DateRange(birthday, birthday),
        accession_number="A1",
        study_date=DateRange(dt.date(2024, 1, 1)),
        study_description="CT*",
        modalities=frozenset({"CT", "MR"}),
        further=(("PatientSex", "F"), ("PatientWeight", ""), ("StudyID", "")),
    )


@pytest.mark.parametrize("modality", ["/^c/", "C?", "CT, M*"])
def test_an_archive_is_not_asked_for_patterns_of_modalities(modality: str):
    assert criteria(Modality=modality).study.modalities == frozenset()


@pytest.mark.parametrize(
    ("cells", "values", "is_admitted"),
    [
        ({"PatientName": "/^mill.*sus/"}, {"patient_name": "Miller^Susan"}, True),
        ({"PatientName": "/^sus/"}, {"patient_name": "Miller^Susan"}, False),
        ({"StudyDescription": "/thorax|chest/"}, {"study_description": "CT Chest"}, True),
        ({"StudyDescription": "/thorax|chest/"}, {"study_description": ""}, False),
        ({"Modality": "CT, MR"}, {"modalities": frozenset({"MR", "SR"})}, True),
        ({"Modality": "CT, MR"}, {"modalities": frozenset({"SR"})}, False),
        ({"Modality": "/^X/"}, {"modalities": frozenset({"XA"})}, True),
        ({"Modality": "CT"}, {"modalities": frozenset()}, True),
        ({"PatientSex": "f"}, {"further": (("PatientSex", "F"),)}, True),
        ({"PatientSex": "f"}, {"further": (("PatientSex", ""),)}, False),
        ({"PatientSex": "*"}, {"further": (("PatientSex", ""),)}, True),
        ({"PatientWeight": "70"}, {"further": (("PatientWeight", "70.00"),)}, True),
        ({"OtherPatientIDs": "X2"}, {"further": (("OtherPatientIDs", r"X1\X2"),)}, True),
        ({"StudyTime": "1200-1300"}, {"further": (("StudyTime", "123000"),)}, True),
    ],
)
def test_what_an_archive_finds_is_sifted(cells: dict[str, str], values: dict[str, Any], is_admitted: bool):
    study = StudyResult(STUDY, accession_number="A1", **values)
    assert criteria(**cells).admits_study(study) is is_admitted


@pytest.mark.parametrize(
    ("cells", "is_admitted"),
    [
        ({"SeriesDescription": "t1*"}, True),
        ({"SeriesDescription": "/AXIAL$/"}, True),
        ({"SeriesDescription": "axial"}, False),
        ({"SeriesNumber": "3"}, True),
        ({"SeriesNumber": "03"}, True),
        ({"SeriesNumber": "4"}, False),
        ({"SeriesNumber": "*", "Modality": "CT"}, False),
        ({"SeriesInstanceUID": "1.2.3.1"}, True),
        ({"SeriesInstanceUID": "1.2.3.2"}, False),
        ({"SliceThickness": "1.50"}, True),
        ({"BodyPartExamined": "HEAD"}, False),
    ],
)
def test_series_are_chosen_among_those_of_a_study(cells: dict[str, str], is_admitted: bool):
    series = SeriesResult(
        *(SeriesReference(STUDY, "1.2.3.1"), "MR", 3, "T1 axial"), further=(("SliceThickness", "1.5"),)
    )
    asked = criteria(**cells)
    assert asked.wants_series
    assert asked.admits_series(series) is is_admitted


def test_series_are_asked_for_only_where_they_are_needed():
    known, unknown = StudyResult(STUDY, modalities=frozenset({"CT"})), StudyResult(STUDY)
    assert not criteria().needs_series_of(unknown)
    assert not criteria(Modality="CT").needs_series_of(known)
    assert criteria(Modality="CT").needs_series_of(unknown)
    assert criteria(SeriesNumber="*").needs_series_of(known)


@pytest.mark.parametrize(
    ("cells", "names_one"),
    [
        ({"PatientID": "P1", "AccessionNumber": ""}, True),
        ({"PatientName": "Miller^Susan", "AccessionNumber": ""}, True),
        ({"PatientName": "Miller*", "AccessionNumber": ""}, False),
        ({"PatientName": "Miller*", "AccessionNumber": "", "Pseudonym": "Lion"}, True),
        ({"AccessionNumber": "A1"}, True),
        ({"AccessionNumber": "", "From": "2024-01-01", "Until": "2024-01-31"}, False),
    ],
)
def test_a_row_that_names_a_patient_means_one(cells: dict[str, str], names_one: bool):
    assert criteria(**cells).names_one_patient is names_one


def test_the_documented_columns_are_the_known_ones():
    from adit_core.services import query_columns

    documented = re.findall(r"^([A-Z]\w+(?:, \w+)?) +\w", query_columns.__doc__ or "", re.MULTILINE)
    names = {name for entry in documented for name in entry.split(", ")}
    assert set(query_columns.KNOWN_COLUMNS) <= names
