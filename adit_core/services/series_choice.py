"""Which series a mass transfer wants, and why not the others.

It is decided from what an archive answered, not from what it was asked, since archives match differently
or not at all. Reasons name the criterion, not the value, which may hold patient data.
"""

import re
from collections.abc import Callable, Collection, Iterator
from datetime import date
from functools import lru_cache
from operator import attrgetter

from adit_core.db.mass import MassTransferOptions, SeriesFilter, is_expression
from adit_core.dicom.query import SeriesResult, StudyResult

_LONGEST = 1024
"""Characters of a value that patterns are applied to."""


def why_no_series_of(study: StudyResult, options: MassTransferOptions) -> str:
    """Return why no series of a study is wanted, as far as the study tells; else an empty text.

    ====================================================== ==================
    the study                                              reason
    ====================================================== ==================
    age on its day is unknown or out of bounds             age
    description does not fit `include`, or fits `exclude`  study description
    modalities are told, and none is included              modality
    ====================================================== ==================
    """
    include, exclude = options.include, options.exclude
    if not _is_within(_age(study), options.min_age, options.max_age):
        return "age"
    if not _may_stay(study.study_description, include.study_descriptions, exclude.study_descriptions):
        return "study description"
    if include.modalities and study.modalities and not study.modalities & frozenset(include.modalities):
        return "modality"
    return ""


def why_not(study: StudyResult, series: SeriesResult, options: MassTransferOptions) -> str:
    """Return why a series is not wanted, by the first criterion that says so; else an empty text.

    `series` tells its number of instances, if that is bounded.
    """
    return why_no_series_of(study, options) or next(_reasons(study, series, options), "")


def _reasons(study: StudyResult, series: SeriesResult, options: MassTransferOptions) -> Iterator[str]:
    institution = series.institution_name or study.institution_name
    if not _is_chosen(series.modality, attrgetter("modalities"), options):
        yield "modality"
    if not _is_chosen(series.series_number, attrgetter("series_numbers"), options):
        yield "series number"
    if not _may_stay(institution, options.include.institutions, options.exclude.institutions):
        yield "institution"
    if not _may_stay(
        series.series_description, options.include.series_descriptions, options.exclude.series_descriptions
    ):
        yield "series description"
    if not _is_within(series.number_of_instances, options.min_images, options.max_images):
        yield "number of images"


def _is_chosen(
    value: object, criterion: Callable[[SeriesFilter], Collection[object]], options: MassTransferOptions
) -> bool:
    included = criterion(options.include)
    return (not included or value in included) and value not in criterion(options.exclude)


def _may_stay(text: str, included: Collection[str], excluded: Collection[str]) -> bool:
    return (not included or _fits_any(text, included)) and not _fits_any(text, excluded)


def _fits_any(text: str, patterns: Collection[str]) -> bool:
    return bool(text) and any(_expression(pattern).search(text[:_LONGEST]) for pattern in patterns)


@lru_cache(256)
def _expression(pattern: str) -> re.Pattern[str]:
    if is_expression(pattern):
        return re.compile(pattern[1:-1], re.IGNORECASE)
    wildcards = {"*": ".*", "?": "."}
    translated = "".join(wildcards.get(char, re.escape(char)) for char in pattern.strip())
    return re.compile(rf"\A{translated}\Z", re.IGNORECASE | re.DOTALL)


def _is_within(number: int | None, least: int | None, most: int | None) -> bool:
    if least is None and most is None:
        return True
    if number is None:
        return False
    return (least is None or number >= least) and (most is None or number <= most)


def _age(study: StudyResult) -> int | None:
    """Return the age of the patient on the day of the study in full years, None if it is not known."""
    birth, day = study.patient_birth_date, study.study_date
    if birth is None or day is None or birth > day:
        return None
    return day.year - birth.year - (_day_of_year(day) < _day_of_year(birth))


def _day_of_year(day: date) -> tuple[int, int]:
    return day.month, day.day
