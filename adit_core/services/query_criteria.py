"""What a row of a batch query asks for: how an archive is asked, and which of its answers count."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from adit_core.dicom.query import Attributes, DateRange, SeriesQuery, SeriesResult, StudyQuery, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.services.query_cells import (
    ANYTHING,
    codes_of,
    condition_of,
    is_exact,
    is_expression,
    parse_day,
)
from adit_core.services.query_columns import (
    ACCESSION_NUMBER,
    FROM,
    MODALITY,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PSEUDONYM,
    SERIES_DESCRIPTION,
    SERIES_INSTANCE_UID,
    SERIES_NUMBER,
    STUDY_DESCRIPTION,
    STUDY_INSTANCE_UID,
    UNTIL,
    CellForm,
    Level,
    QueryColumn,
    column_of,
)

Cells = Mapping[str, str]
_NAMING_ONE_PATIENT = (PATIENT_ID, PATIENT_NAME, ACCESSION_NUMBER, STUDY_INSTANCE_UID)
_NOT_ASKED = frozenset({CellForm.NUMBER, CellForm.WHOLE_NUMBER})
"""Archives compare such values as text (``1`` and ``1.0``), or not at all (PS3.4 C.2.2.2.1)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a value of one attribute has to be."""

    column: QueryColumn
    holds_for: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a row asks for.

    ``study`` is what the archive is asked; the conditions are for its answers, because archives know
    neither regular expressions nor all attributes, and match differently.
    """

    study: StudyQuery
    study_conditions: tuple[Condition, ...]
    series_conditions: tuple[Condition, ...]
    series_attributes: Attributes
    accepts_modality: Callable[[str], bool] | None
    wants_series: bool
    """Whether its results are series, and not studies."""
    names_one_patient: bool
    """Whether more than one patient would be one too many."""

    @classmethod
    def of(cls, cells: Cells) -> "Criteria":
        """Return what the cells of a row ask for, which `query_file` has read."""
        columns = [column for name in cells if (column := column_of(name))]
        conditions = [
            Condition(column, holds_for)
            for column in columns
            if (holds_for := condition_of(column, cells[column.name]))
        ]
        return cls(
            study=_study_query(cells, columns),
            study_conditions=tuple(each for each in conditions if _is_of(each.column, Level.STUDY)),
            series_conditions=tuple(each for each in conditions if _is_of(each.column, Level.SERIES)),
            series_attributes=_attributes(cells, columns, Level.SERIES),
            accepts_modality=next(
                (each.holds_for for each in conditions if each.column.name == MODALITY), None
            ),
            wants_series=any(cells[column.name] for column in columns if column.level is Level.SERIES),
            names_one_patient=bool(cells.get(PSEUDONYM))
            or any(is_exact(cells.get(name, "")) for name in _NAMING_ONE_PATIENT),
        )

    def admits_study(self, study: StudyResult) -> bool:
        """Tell whether a study is what is asked for, as far as that can be told without its series."""
        return _passes(self.study_conditions, study_values(study)) and self._may_have_modality(study)

    def admits_series(self, series: SeriesResult) -> bool:
        """Tell whether a series of such a study is what is asked for."""
        fits = self.accepts_modality is None or self.accepts_modality(series.modality)
        return fits and _passes(self.series_conditions, series_values(series))

    def needs_series_of(self, study: StudyResult) -> bool:
        """Tell whether the series of a study have to be known to answer."""
        return self.wants_series or (self.accepts_modality is not None and not study.modalities)

    def series_query(self, study: StudyReference) -> SeriesQuery:
        """Return the question for the series of a study.

        They are few, so they are chosen here: then all archives answer alike.
        """
        return SeriesQuery(study, further=self.series_attributes)

    def _may_have_modality(self, study: StudyResult) -> bool:
        accepts = self.accepts_modality
        return accepts is None or not study.modalities or any(map(accepts, study.modalities))


def study_values(study: StudyResult) -> dict[str, str]:
    """Return what is known of a study as text, by the names of columns."""
    return {
        **dict(study.further),
        PATIENT_ID: study.reference.patient_id,
        PATIENT_NAME: study.patient_name,
        PATIENT_BIRTH_DATE: DateRange(study.patient_birth_date, study.patient_birth_date).to_dicom(),
        STUDY_INSTANCE_UID: study.reference.study_instance_uid,
        ACCESSION_NUMBER: study.accession_number,
        STUDY_DESCRIPTION: study.study_description,
    }


def series_values(series: SeriesResult) -> dict[str, str]:
    """Return what is known of a series as text, by the names of columns."""
    return {
        **dict(series.further),
        SERIES_INSTANCE_UID: series.reference.series_instance_uid,
        SERIES_DESCRIPTION: series.series_description,
        SERIES_NUMBER: "" if series.series_number is None else str(series.series_number),
    }


def untold(conditions: Iterable[Condition], values: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the further attributes that have conditions, but are in no answer of the archive."""
    answers = list(values)
    return [
        each.column.name
        for each in conditions
        if each.column.is_further and answers and not any(answer.get(each.column.name) for answer in answers)
    ]


def _is_of(column: QueryColumn, level: Level) -> bool:
    """Tell whether a condition is for studies, or for series; days and modality have rules of their own."""
    return column.level is level and column.name not in (FROM, UNTIL, MODALITY)


def _passes(conditions: Iterable[Condition], values: Mapping[str, str]) -> bool:
    return all(each.holds_for(values.get(each.column.name, "")) for each in conditions)


def _study_query(cells: Cells, columns: Iterable[QueryColumn]) -> StudyQuery:
    birth_date = parse_day(cells.get(PATIENT_BIRTH_DATE, ""))
    modality = cells.get(MODALITY, "")
    codes = codes_of(modality) if not is_expression(modality) else ()
    return StudyQuery(
        patient_id=_asked(cells, PATIENT_ID),
        patient_name=_asked(cells, PATIENT_NAME),
        patient_birth_date=DateRange(birth_date, birth_date),
        study_instance_uid=cells.get(STUDY_INSTANCE_UID, ""),
        accession_number=_asked(cells, ACCESSION_NUMBER),
        study_date=DateRange(parse_day(cells.get(FROM, "")), parse_day(cells.get(UNTIL, ""))),
        study_description=_asked(cells, STUDY_DESCRIPTION),
        modalities=frozenset(codes) if all(map(is_exact, codes)) else frozenset(),
        further=_attributes(cells, columns, Level.STUDY),
    )


def _attributes(cells: Cells, columns: Iterable[QueryColumn], level: Level) -> Attributes:
    """Return the further attributes of a level, with what the archive is asked for."""
    return tuple(
        (column.name, "" if column.form in _NOT_ASKED else _asked(cells, column.name))
        for column in columns
        if column.is_further and column.level is level
    )


def _asked(cells: Cells, name: str) -> str:
    """Return what an archive is asked for: the cell, unless only we can decide on it."""
    text = cells.get(name, "")
    return "" if is_expression(text) or text == ANYTHING else text
