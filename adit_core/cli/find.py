"""`adit find`: ask an archive what it holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present, warn
from adit_core.cli.wiring import acting_user, open_database
from adit_core.dicom.query import DateRange, PatientQuery, SeriesQuery, StudyQuery
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.services.search import (
    MOST_RESULTS,
    find_instances,
    find_patients,
    find_series,
    find_studies,
)
from adit_core.terminal import cell, identifiers, new_table

app = new_app()

_DAY = {"formats": ["%Y-%m-%d", "%Y%m%d"], "metavar": "YYYY-MM-DD"}


class Level(StrEnum):
    """What is asked for (PS3.4 C.6)."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class _Keys:
    """What is looked for; each name is that of an option."""

    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    from_: date | None = None
    until: date | None = None
    modality: tuple[str, ...] = ()
    description: str = ""
    study: str = ""
    series: str = ""

    @property
    def study_reference(self) -> StudyReference:
        return StudyReference(self.study, self.patient_id)

    @property
    def series_reference(self) -> SeriesReference:
        return SeriesReference(self.study_reference, self.series)


@app.command()
def find(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(help="The archive.")],
    *,
    level: Annotated[Level, typer.Option(help="What to look for.")] = Level.STUDY,
    patient_id: Annotated[str, typer.Option(help="Wildcards: * and ?")] = "",
    patient_name: Annotated[str, typer.Option(help="Such as Doe^J*")] = "",
    accession_number: Annotated[str, typer.Option()] = "",
    from_: Annotated[datetime | None, typer.Option("--from", help="The first study date.", **_DAY)] = None,
    until: Annotated[datetime | None, typer.Option(help="The last study date.", **_DAY)] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="May be given again, for studies that have any of them.")
    ] = None,
    description: Annotated[str, typer.Option(help="Of the study or the series.")] = "",
    study: Annotated[str, typer.Option(metavar="UID", help="The Study Instance UID.")] = "",
    series: Annotated[str, typer.Option(metavar="UID", help="The Series Instance UID.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="End the query after so many results.")] = MOST_RESULTS,
    as_json: AsJson = False,
) -> None:
    """Ask an archive for patients, studies, the series of a study, or the instances of a series."""
    keys = _Keys(
        patient_id=patient_id,
        patient_name=patient_name,
        accession_number=accession_number,
        from_=from_.date() if from_ else None,
        until=until.date() if until else None,
        modality=tuple(modality or ()),
        description=description,
        study=study,
        series=series,
    )
    search = _SEARCHES[level]
    _require_fitting(keys, search, level)
    with open_database() as db:
        found = search.service(db, acting_user(ctx, db), node, search.query(keys), limit=limit)
    if len(found) == limit:
        warn(f"There may be more: the query was ended after {limit} results (--limit).", as_json=as_json)
    present([_flat(result) for result in found], search.table, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Search:
    """How one level is asked for. Keys and columns are named as the options and the results are."""

    service: Callable[..., Sequence[Any]]
    query: Callable[[_Keys], Any]
    keys: frozenset[str]
    required: tuple[str, ...]
    columns: tuple[str, ...]

    def table(self, results: Sequence[Mapping[str, Any]]) -> RenderableType:
        if not results:
            return "Nothing was found."
        table = new_table(*(identifiers(_header(name)) for name in self.columns))
        for result in results:
            table.add_row(*(cell(_text(result[name])) for name in self.columns))
        return table


def _patient_query(keys: _Keys) -> PatientQuery:
    return PatientQuery(patient_id=keys.patient_id, patient_name=keys.patient_name)


def _study_query(keys: _Keys) -> StudyQuery:
    return StudyQuery(
        patient_id=keys.patient_id,
        patient_name=keys.patient_name,
        study_instance_uid=keys.study,
        accession_number=keys.accession_number,
        study_date=DateRange(keys.from_, keys.until),
        study_description=keys.description,
        modalities=frozenset(keys.modality),
    )


def _series_query(keys: _Keys) -> SeriesQuery:
    if len(keys.modality) > 1:
        raise typer.BadParameter("Of series, one modality can be asked for.", param_hint="--modality")
    return SeriesQuery(
        study=keys.study_reference,
        series_instance_uid=keys.series,
        modality="".join(keys.modality),
        series_description=keys.description,
    )


_SEARCHES = {
    Level.PATIENT: _Search(
        find_patients,
        _patient_query,
        keys=frozenset({"patient_id", "patient_name"}),
        required=(),
        columns=("patient_id", "patient_name", "patient_birth_date", "patient_sex"),
    ),
    Level.STUDY: _Search(
        find_studies,
        _study_query,
        keys=frozenset(field.name for field in fields(_Keys)) - {"series"},
        required=(),
        columns=(
            "patient_id",
            "patient_name",
            "study_date",
            "accession_number",
            "modalities",
            "study_description",
            "number_of_instances",
            "study_instance_uid",
        ),
    ),
    Level.SERIES: _Search(
        find_series,
        _series_query,
        keys=frozenset({"patient_id", "study", "series", "modality", "description"}),
        required=("study",),
        columns=(
            "series_number",
            "modality",
            "series_description",
            "number_of_instances",
            "series_instance_uid",
        ),
    ),
    Level.INSTANCE: _Search(
        find_instances,
        attrgetter("series_reference"),
        keys=frozenset({"patient_id", "study", "series"}),
        required=("study", "series"),
        columns=("instance_number", "sop_class_uid", "sop_instance_uid"),
    ),
}


def _require_fitting(keys: _Keys, search: _Search, level: Level) -> None:
    """Refuse keys that say nothing at this level, rather than to ignore what the user asked for."""
    given = [field.name for field in fields(keys) if getattr(keys, field.name)]
    for name in given:
        if name not in search.keys:
            raise typer.BadParameter(f"This does not go with --level {level}.", param_hint=_option(name))
    for name in search.required:
        if name not in given:
            raise typer.BadParameter(f"--level {level} needs it.", param_hint=_option(name))


def _option(name: str) -> str:
    return f"--{name.rstrip('_').replace('_', '-')}"


def _flat(result: Any) -> dict[str, Any]:
    """Return the fields of a result, with those of its references among them."""
    flat: dict[str, Any] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        if is_dataclass(value):
            flat |= _flat(value)
        else:
            flat[field.name] = sorted(value) if isinstance(value, frozenset) else value
    return flat


def _header(name: str) -> str:
    return name.replace("_", " ").replace(" id", " ID").replace(" uid", " UID").replace("sop ", "SOP ")


def _text(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value
