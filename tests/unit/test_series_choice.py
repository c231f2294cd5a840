"""Which series a mass transfer wants, and why not the others."""

from datetime import date
from typing import Any

import pytest

from adit_core.db.mass import MassTransferOptions
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.services.series_choice import why_no_series_of, why_not

STUDY = StudyResult(
    StudyReference("1.2", "P"),
    patient_birth_date=date(2000, 2, 29),
    study_date=date(2018, 2, 28),
    study_description="MR Head (contrast)",
    modalities=frozenset({"MR", "SR"}),
    institution_name="Clinic",
)
SERIES = SeriesResult(
    SeriesReference(STUDY.reference, "1.2.1"),
    modality="MR",
    series_number=3,
    series_description="T1 mprage sag",
    number_of_instances=176,
)


def reason(study: StudyResult = STUDY, series: SeriesResult = SERIES, **options: Any) -> str:
    days = {"first_day": "2018-01-01", "last_day": "2018-12-31"}
    return why_not(study, series, MassTransferOptions.model_validate({**days, **options}))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ""),
        ({"include": {"modalities": ["mr", "CT"]}}, ""),
        ({"include": {"modalities": ["CT"]}}, "modality"),
        ({"include": {"modalities": ["SR"]}}, "modality"),
        ({"exclude": {"modalities": ["SR"]}}, ""),
        ({"exclude": {"modalities": ["MR"]}}, "modality"),
        ({"include": {"series_numbers": [2, 3]}}, ""),
        ({"include": {"series_numbers": [2]}}, "series number"),
        ({"exclude": {"series_numbers": [3]}}, "series number"),
        ({"include": {"institutions": ["clin*"]}}, ""),
        ({"include": {"institutions": ["Practice"]}}, "institution"),
        ({"exclude": {"institutions": ["clinic"]}}, "institution"),
        ({"include": {"study_descriptions": ["mr head*"]}}, ""),
        ({"include": {"study_descriptions": ["MR head"]}}, "study description"),
        ({"exclude": {"study_descriptions": ["*(contrast)"]}}, "study description"),
        ({"include": {"series_descriptions": ["T? MPRAGE*"]}}, ""),
        ({"include": {"series_descriptions": ["/^t[12].*sag$/"]}}, ""),
        ({"include": {"series_descriptions": ["/^mprage/", "flair"]}}, "series description"),
        ({"exclude": {"series_descriptions": ["/mprage/"]}}, "series description"),
        ({"min_images": 176, "max_images": 176}, ""),
        ({"min_images": 177}, "number of images"),
        ({"max_images": 175}, "number of images"),
        ({"min_age": 17, "max_age": 17}, ""),
        ({"min_age": 18}, "age"),
        ({"max_age": 16}, "age"),
    ],
)
def test_a_series_is_wanted_if_it_fulfils_what_is_included_and_nothing_excluded(
    options: dict[str, Any], expected: str
):
    assert reason(**options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"include": {"modalities": ["MR"]}}, "modality"),
        ({"include": {"institutions": ["*"]}}, "institution"),
        ({"include": {"series_descriptions": ["/./"]}}, "series description"),
        ({"include": {"series_numbers": [1]}}, "series number"),
        ({"exclude": {"modalities": ["MR"], "institutions": ["*"], "series_numbers": [1]}}, ""),
        ({"min_images": 0}, "number of images"),
        ({"max_age": 120}, "age"),
    ],
)
def test_what_the_archive_does_not_tell_fulfils_no_criterion(options: dict[str, Any], expected: str):
    untold = StudyResult(STUDY.reference, study_date=STUDY.study_date)
    assert reason(untold, SeriesResult(SERIES.reference), **options) == expected


def test_the_institution_of_the_series_counts_before_that_of_the_study():
    series = SeriesResult(SERIES.reference, institution_name="Practice")
    assert reason(series=series, include={"institutions": ["Practice"]}) == ""
    assert reason(series=series, include={"institutions": ["Clinic"]}) == "institution"


@pytest.mark.parametrize(
    ("study_date", "age"), [(date(2018, 2, 27), 17), (date(2018, 3, 1), 18), (date(2020, 2, 29), 20)]
)
def test_age_is_counted_in_full_years(study_date: date, age: int):
    study = StudyResult(STUDY.reference, patient_birth_date=date(2000, 2, 29), study_date=study_date)
    assert reason(study, min_age=age, max_age=age) == ""


def test_a_study_without_any_included_modality_need_not_be_asked_for_its_series():
    options = MassTransferOptions.model_validate(
        {"first_day": "2018-01-01", "last_day": "2018-12-31", "include": {"modalities": ["CT"]}}
    )
    assert why_no_series_of(STUDY, options) == "modality"
    assert why_no_series_of(StudyResult(STUDY.reference), options) == ""
