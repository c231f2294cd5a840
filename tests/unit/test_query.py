"""Queries decide on our side what an archive's answer is worth."""

from datetime import date, time

import pytest

from adit_core.dicom.query import (
    DateRange,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
    TimeRange,
    time_of_day,
)
from adit_core.dicom.references import SeriesReference, StudyReference

JANUARY = date(2024, 1, 31)
FEBRUARY = date(2024, 2, 1)
STUDY = StudyReference("1.2.3", "0004711")


def study(**attributes: object) -> StudyResult:
    return StudyResult(STUDY, **attributes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("days", "value"),
    [
        (DateRange(), ""),
        (DateRange(JANUARY, FEBRUARY), "20240131-20240201"),
        (DateRange(JANUARY, JANUARY), "20240131"),
        (DateRange(start=JANUARY), "20240131-"),
        (DateRange(end=JANUARY), "-20240131"),
    ],
)
def test_range_is_written_as_a_matching_key(days: DateRange, value: str):
    assert days.to_dicom() == value


@pytest.mark.parametrize(
    ("days", "day", "contained"),
    [
        (DateRange(), JANUARY, True),
        (DateRange(), None, True),
        (DateRange(JANUARY, FEBRUARY), JANUARY, True),
        (DateRange(JANUARY, FEBRUARY), FEBRUARY, True),
        (DateRange(FEBRUARY), JANUARY, False),
        (DateRange(FEBRUARY), FEBRUARY, True),
        (DateRange(end=JANUARY), FEBRUARY, False),
        (DateRange(end=JANUARY), JANUARY, True),
        (DateRange(JANUARY), None, False),
        (DateRange(end=JANUARY), None, False),
        (DateRange(FEBRUARY, JANUARY), JANUARY, False),
    ],
)
def test_range_contains_both_ends(days: DateRange, day: date | None, contained: bool):
    assert days.contains(day) is contained


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("", "Müller^Jörg", True),
        ("Müller^Jörg", "Müller^Jörg", True),
        ("müller^jörg", "MÜLLER^JÖRG", True),
        ("Muller^Jorg", "Müller^Jörg", True),
        ("Müller^Jörg", "Muller^Jorg", True),
        ("Strauss^A", "Strauß^A", True),
        ("Müller", "Müller^Jörg", False),
        ("Müller*", "Müller^Jörg", True),
        ("*Jörg", "Müller^Jörg", True),
        ("M?ller^*", "Müller^Jörg", True),
        ("M?ller^*", "Mueller^Jörg", False),
        ("*", "", True),
        ("?", "", False),
        ("Müller^Jörg", "Müller^Jörg^^^", True),
        ("Müller^Jörg^", "Müller^Jörg", True),
        ("Müller^Jörg", " Müller^Jörg ", True),
        ("M.ller", "Müller", False),
        ("M[uü]ller", "Müller", False),
        ("Mü(ller", "Mü(ller", True),
        ("山田*", "山田^太郎", True),
    ],
)
def test_names_match_whatever_case_and_accents(pattern: str, name: str, matches: bool):
    assert StudyQuery(patient_name=pattern).matches(study(patient_name=name)) is matches
    patient = PatientResult("1", patient_name=name)
    assert PatientQuery(patient_name=pattern).matches(patient) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("0004711", True),
        ("4711", False),
        ("00047110", False),
        ("000*", True),
        ("???????", True),
        ("??", False),
    ],
)
def test_patient_ids_match_as_a_whole(pattern: str, matches: bool):
    assert StudyQuery(patient_id=pattern).matches(study()) is matches
    assert PatientQuery(patient_id=pattern).matches(PatientResult("0004711")) is matches


@pytest.mark.parametrize(
    ("wanted", "present", "matches"),
    [
        ((), ("CT",), True),
        (("CT",), ("CT", "SR"), True),
        (("CT", "MR"), ("MR",), True),
        (("CT",), ("MR", "SR"), False),
        (("CT",), (), True),
    ],
    ids=["any", "one of two", "one of those wanted", "others", "archive does not tell"],
)
def test_study_matches_by_any_modality(wanted: tuple[str, ...], present: tuple[str, ...], matches: bool):
    query = StudyQuery(modalities=frozenset(wanted))
    assert query.matches(study(modalities=frozenset(present))) is matches


@pytest.mark.parametrize(
    "query",
    [
        StudyQuery(study_instance_uid="1.2.4"),
        StudyQuery(accession_number="A2"),
        StudyQuery(study_description="MR*"),
        StudyQuery(study_date=DateRange(FEBRUARY)),
        StudyQuery(patient_birth_date=DateRange(FEBRUARY)),
    ],
)
def test_study_must_fulfil_every_key(query: StudyQuery):
    candidate = study(
        accession_number="A1",
        study_description="CT thorax",
        study_date=JANUARY,
        patient_birth_date=JANUARY,
        modalities=frozenset({"CT"}),
    )
    fitting = StudyQuery(
        patient_id="0004711",
        study_instance_uid="1.2.3",
        accession_number="A?",
        study_description="ct *",
        study_date=DateRange(JANUARY, FEBRUARY),
        patient_birth_date=DateRange(JANUARY, JANUARY),
        modalities=frozenset({"CT"}),
    )
    assert fitting.matches(candidate)
    assert not query.matches(candidate)


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (SeriesQuery(STUDY), True),
        (SeriesQuery(STUDY, series_instance_uid="1.2.3.1"), True),
        (SeriesQuery(STUDY, series_instance_uid="1.2.3.2"), False),
        (SeriesQuery(STUDY, modality="CT"), True),
        (SeriesQuery(STUDY, modality="MR"), False),
        (SeriesQuery(STUDY, series_description="*lung*"), True),
        (SeriesQuery(STUDY, series_description="Lung"), False),
        (SeriesQuery(STUDY, series_number=0), True),
        (SeriesQuery(STUDY, series_number=1), False),
    ],
)
def test_series_must_fulfil_every_key(query: SeriesQuery, matches: bool):
    series = SeriesResult(
        SeriesReference(STUDY, "1.2.3.1"),
        modality="CT",
        series_number=0,
        series_description="Thorax Lung 1.0",
    )
    assert query.matches(series) is matches


@pytest.mark.parametrize(
    ("times", "value"),
    [
        (TimeRange(), ""),
        (TimeRange(time(8), time(8, 14, 59, 999_999)), "08-081459.999999"),
        (TimeRange(time(8, 15), time(9)), "0815-090000"),
        (TimeRange(time(0)), "00-"),
        (TimeRange(end=time(20, 30)), "-203000"),
    ],
)
def test_range_of_times_is_written_as_a_matching_key(times: TimeRange, value: str):
    assert times.to_dicom() == value


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("081530", time(8, 15, 30)),
        ("081530.25", time(8, 15, 30, 250_000)),
        ("0815", time(8, 15)),
        ("08", time(8)),
        ("08:15:30", time(8, 15, 30)),
        ("235960", time(23, 59, 59)),
        ("", None),
        ("24", None),
        ("0860", None),
        ("noon", None),
    ],
)
def test_time_is_read_however_much_of_it_is_told(value: str, moment: time | None):
    assert time_of_day(value) == moment


def test_study_is_matched_by_its_time_of_day():
    query = StudyQuery(study_time=TimeRange(time(8), time(9)))
    assert query.matches(study(study_time="0830"))
    assert not query.matches(study(study_time="0930"))
    assert not query.matches(study(study_time=""))
