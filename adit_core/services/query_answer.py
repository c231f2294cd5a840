"""Answering one row of a batch query: asking an archive, and judging what it tells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from adit_core.db import RowStatus
from adit_core.dicom.ports import Searcher
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.query_criteria import Criteria, series_values, study_values, untold


@dataclass(frozen=True, slots=True)
class Finding:
    """A study that was found, or one series of it."""

    study: StudyResult
    series: SeriesResult | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a row."""

    status: RowStatus
    message: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a row may find. ``of_archive`` is how many results the archive gives at most, if known."""

    most: int
    of_archive: int | None = None


def answer(searcher: Searcher, criteria: Criteria, limits: Limits) -> Answer:
    """Ask an archive what a row asks.

    Raises:
        InvalidInput: The row finds more than `limits` allow, so that something could be missing.
        AditError: The archive did not answer as it should.
    """
    studies = _all_studies(searcher, criteria, limits)
    findings: list[Finding] = []
    told_of_series: list[SeriesResult] = []
    for study in filter(criteria.admits_study, studies):
        if criteria.needs_series_of(study):
            series = list(searcher.find_series(criteria.series_query(study.reference)))
            told_of_series += series
            findings += _findings_by_series(criteria, study, series)
        else:
            findings.append(Finding(study))
        _refuse_too_many(findings, limits)
    if findings:
        return _judged(criteria, findings)
    unknown = [
        *untold(criteria.study_conditions, map(study_values, studies)),
        *untold(criteria.series_conditions, map(series_values, told_of_series)),
    ]
    return Answer(RowStatus.NOTHING_FOUND, _without(unknown))


def _all_studies(searcher: Searcher, criteria: Criteria, limits: Limits) -> list[StudyResult]:
    # Read to the end before series are asked for, so that one association is enough.
    studies = list(islice(searcher.find_studies(criteria.study), limits.most + 1))
    _refuse_too_many(studies, limits)
    if limits.of_archive is not None and len(studies) >= limits.of_archive:
        raise InvalidInput(
            InputProblem(
                f"The archive gives at most {limits.of_archive} results to one query, and gave as many: "
                "there may be more. Ask for less."
            )
        )
    return studies


def _refuse_too_many(found: Sequence[object], limits: Limits) -> None:
    if len(found) > limits.most:
        raise InvalidInput(InputProblem(f"More than {limits.most} are found. Ask for less."))


def _findings_by_series(
    criteria: Criteria, study: StudyResult, series: Sequence[SeriesResult]
) -> list[Finding]:
    """Return what a study contributes: the series that are asked for, or itself if it has one of them."""
    known = study if study.modalities else replace(study, modalities=_modalities(series))
    admitted = [Finding(known, one) for one in series if criteria.admits_series(one)]
    return admitted if criteria.wants_series else [Finding(known)] * bool(admitted)


def _modalities(series: Iterable[SeriesResult]) -> frozenset[str]:
    return frozenset(one.modality for one in series if one.modality)


def _judged(criteria: Criteria, findings: Sequence[Finding]) -> Answer:
    patients = {found.study.reference.patient_id for found in findings}
    ordered = tuple(sorted(findings, key=_order))
    if len(patients) > 1 and criteria.names_one_patient:
        return Answer(RowStatus.SEVERAL_PATIENTS, f"These are of {len(patients)} patients.", ordered)
    return Answer(RowStatus.FOUND, findings=ordered)


def _order(found: Finding) -> tuple[str, str, str, int, str]:
    """Sort by patient, then by time, then by series."""
    study, series = found.study, found.series
    return (
        study.reference.patient_id,
        f"{study.study_date or ''} {study.study_time}",
        study.reference.study_instance_uid,
        (series and series.series_number) or 0,
        series.reference.series_instance_uid if series else "",
    )


def _without(unknown: Sequence[str]) -> str:
    if not unknown:
        return ""
    return f"The archive tells no {', '.join(unknown)} of what else fits."
