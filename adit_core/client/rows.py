"""Rows of studies, series or questions, from whatever a script has them in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date
from math import isnan
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

    Rows: TypeAlias = pd.DataFrame | Iterable[Mapping[str, Any] | Any]
else:  # pandas is optional
    Rows = Iterable[Any]
"""A data frame, or records, or what a search has found."""

_OF_TRANSFERS = frozenset({"patientid", "studyinstanceuid", "seriesinstanceuid", "pseudonym", "transfer"})
"""The columns that batch transfers read."""
_OF_PICKS = ("patient_id", "study_instance_uid", "pseudonym")


@dataclass(frozen=True, slots=True)
class Picked:
    """A study that is to be transferred, and which of its series."""

    patient_id: str
    study_instance_uid: str
    series_instance_uids: tuple[str, ...] = ()
    """Empty for all."""
    pseudonym: str = ""
    """What is to stand for the patient in the project; empty for what the project says."""


def transfer_rows(rows: Rows) -> list[dict[str, str]]:
    """Return the columns of a transfer as text; all others are left out.

    Raises:
        ValueError: A cell of them is no text: identifiers that became numbers have lost their zeros.
    """
    return [
        {name: _text(name, value) for name, value in record.items() if _folded(name) in _OF_TRANSFERS}
        for record in _records(rows)
    ]


def query_rows(rows: Rows) -> list[dict[str, str]]:
    """Return all columns as text. Raises what `transfer_rows` raises."""
    return [{str(name): _text(name, value) for name, value in record.items()} for record in _records(rows)]


def picked_studies(rows: Rows) -> list[dict[str, Any]]:
    """Return which studies, or which of their series, were picked. Raises what `transfer_rows` raises."""
    return [_picked(record) for record in _records(rows)]


def _picked(record: Mapping[str, Any]) -> dict[str, Any]:
    cells = {_folded(name): value for name, value in record.items()}
    picked = {name: _text(name, cells[_folded(name)]) for name in _OF_PICKS if _folded(name) in cells}
    several = cells.get("seriesinstanceuids", cells.get("seriesinstanceuid"))
    uids = several if isinstance(several, list | tuple) else (several,)
    return {**picked, "series_instance_uids": [uid for each in uids if (uid := _text("series", each))]}


def _records(rows: Rows) -> Sequence[Mapping[str, Any]]:
    if hasattr(rows, "to_dict"):
        return rows.to_dict("records")  # pyright: ignore[reportAttributeAccessIssue, reportReturnType]
    return [
        asdict(row) if is_dataclass(row) and not isinstance(row, type) else row  # pyright: ignore[reportReturnType]
        for row in rows
    ]


def _text(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and isnan(value)) or str(value) in ("<NA>", "NaT"):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    raise ValueError(
        f"Column {name} has {type(value).__name__} in it; read it as text (`dtype=str`), for identifiers "
        "lose their leading zeros as numbers."
    )


def _folded(name: str) -> str:
    return "".join(str(name).split()).replace("_", "").lower()
