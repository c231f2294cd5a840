"""The studies that a search found, with boxes for selecting them, and their series on demand."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.dicom.query import SeriesQuery, SeriesResult, StudyResult
from adit_core.services.live_search import LiveSearch
from adit_core.services.search import find_series
from adit_core.services.sessions import Principal
from ui.components.amounts import number
from ui.components.sentences import errors_as_sentences
from ui.components.table import Column, Grid, Link, Row, Text, selection_table
from ui.session import address, count_as_activity, note_activity

_OPENED = "selective-opened"
"""In the state of the browser's session: which studies are opened, and the series of those that ever were."""
_COLUMNS = (
    Column("PatientID", width="8rem", sortable=True),
    Column("PatientName", width="11rem", sortable=True),
    Column("StudyDate", width="6.8rem", sortable=True),
    Column("Modality", width="6.5rem", sortable=True),
    Column("StudyDescription", sortable=True),
    Column("AccessionNumber", width="9.5rem", sortable=True),
    Column("Series", numeric=True, width="5.2rem", sortable=True),
    Column("Instances", numeric=True, width="6.8rem", sortable=True),
)
_SERIES_COLUMNS = (
    Column("Number", numeric=True, width="5.5rem"),
    Column("Modality", width="6rem"),
    Column("SeriesDescription"),
    Column("Instances", numeric=True, width="6.8rem"),
)


@dataclass(slots=True)
class _Opened:
    """What is known of the series of the studies that a search found."""

    search_key: str
    series: dict[str, list[SeriesResult]] = field(default_factory=dict)
    studies: set[str] = field(default_factory=set)
    """Those that show their series now."""


@dataclass(frozen=True, slots=True)
class Picked:
    """A study of which all is selected, or some series, as far as the archive told of them."""

    study: StudyResult
    series: tuple[SeriesResult, ...] = ()
    """Empty for all."""

    @property
    def number_of_series(self) -> int | None:
        """How many series are selected; None if the archive does not tell."""
        return len(self.series) or self.study.number_of_series

    @property
    def number_of_instances(self) -> int | None:
        """How many instances they have; None if the archive does not tell."""
        if not self.series:
            return self.study.number_of_instances
        numbers = [one.number_of_instances for one in self.series]
        return None if None in numbers else sum(filter(None, numbers))


def choose_studies(search: LiveSearch, watcher: Principal) -> list[Picked]:
    """Show what was found, and return what of it is selected."""
    studies = search.studies
    if not studies:
        return []
    opened = _opened(search)
    grid = Grid("Studies found", _COLUMNS, tuple(_row(study, opened) for study in studies))
    choice = selection_table(grid, key=f"found-{search.key}", on_change=count_as_activity)
    if choice.picked is not None:
        with errors_as_sentences():
            _open_or_close(search, choice.picked, watcher)
            st.rerun(scope="fragment")
    return _picked(studies, opened, frozenset(choice.selected))


def _opened(search: LiveSearch) -> _Opened:
    opened = st.session_state.get(_OPENED)
    if not isinstance(opened, _Opened) or opened.search_key != search.key:
        opened = st.session_state[_OPENED] = _Opened(search.key)
    return opened


def _open_or_close(search: LiveSearch, study_uid: str, watcher: Principal) -> None:
    note_activity()
    opened = _opened(search)
    if study_uid in opened.studies:
        opened.studies.remove(study_uid)
        return
    if study_uid not in opened.series:
        (study,) = [each for each in search.studies if each.reference.study_instance_uid == study_uid]
        series = find_series(
            connected().database,
            watcher.user,
            search.node_name,
            SeriesQuery(study.reference),
            address=address(),
        )
        opened.series[study_uid] = sorted(series, key=lambda one: one.series_number or 0)
    opened.studies.add(study_uid)


def _picked(studies: Sequence[StudyResult], opened: _Opened, selected: frozenset[str]) -> list[Picked]:
    picked = []
    for study in studies:
        uid = study.reference.study_instance_uid
        if uid in selected:
            picked.append(Picked(study))
            continue
        series = tuple(
            one
            for one in opened.series.get(uid, ())
            if f"{uid}/{one.reference.series_instance_uid}" in selected
        )
        if series:
            picked.append(Picked(study, series))
    return picked


def _row(study: StudyResult, opened: _Opened) -> Row:
    uid = study.reference.study_instance_uid
    name = study.study_description or "without description"
    return Row(
        uid,
        (
            Text(study.reference.patient_id, code=True),
            Text(study.patient_name),
            Text(study.study_date.isoformat() if study.study_date else ""),
            Text(", ".join(sorted(study.modalities))),
            Link(name, "#series"),
            Text(study.accession_number, code=True),
            Text(_told(study.number_of_series)),
            Text(_told(study.number_of_instances)),
        ),
        _series(uid, opened.series[uid]) if uid in opened.studies else None,
        selectable=f"Select study {name} of {study.study_date or 'an unknown day'}",
    )


def _series(study_uid: str, series: Sequence[SeriesResult]) -> Grid:
    rows = tuple(
        Row(
            f"{study_uid}/{one.reference.series_instance_uid}",
            (
                Text("" if one.series_number is None else str(one.series_number)),
                Text(one.modality),
                Text(one.series_description),
                Text(_told(one.number_of_instances)),
            ),
            selectable=f"Select series {one.series_number or one.series_description or ''}",
        )
        for one in series
    )
    return Grid("Series of the study", _SERIES_COLUMNS, rows)


def _told(count: int | None) -> str:
    return "" if count is None else number(count)
