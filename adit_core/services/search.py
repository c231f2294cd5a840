"""Searching archives for patients, studies and series, and remembering what they answered."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import TypeVar

from sqlmodel import Session, select

from adit_core.db import DicomNode, NodeKind, Series, StorageForm, Study, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.db.engine import Database
from adit_core.db.upsert import upsert
from adit_core.dicom.ports import Searcher
from adit_core.dicom.query import (
    InstanceResult,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import SeriesReference, StudyReference, is_valid_uid
from adit_core.errors import AditError, InputProblem, InvalidInput
from adit_core.services import audit
from adit_core.services.node_gate import require_open
from adit_core.services.node_places import SHORT_PATIENCE, places_at
from adit_core.services.node_visits import NodeVisit, VisitingSearcher
from adit_core.services.nodes import get_node, node_value
from adit_core.services.rights import NodeRole, require_node
from adit_core.services.routes import searcher_of

Result = TypeVar("Result")


def _go_on(_: object) -> bool:
    return True


MOST_RESULTS = 1000
"""By default a query ends after so many results; if there are as many, there may be more."""


def find_patients(
    db: Database,
    user: User,
    node_name: str,
    query: PatientQuery,
    *,
    limit: int = MOST_RESULTS,
    address: str = "",
) -> list[PatientResult]:
    """Ask an archive for patients. Raises what `find_studies` raises."""
    search = _Search(db, user, node_name, limit=limit, address=address)
    return search.run("patients", lambda searcher: searcher.find_patients(query))


def find_studies(
    db: Database,
    user: User,
    node_name: str,
    query: StudyQuery,
    *,
    limit: int = MOST_RESULTS,
    address: str = "",
    on_found: Callable[[StudyResult], bool] = _go_on,
) -> list[StudyResult]:
    """Ask an archive for studies, and remember them.

    Args:
        db: Where they are remembered.
        user: Who asks.
        node_name: The archive.
        query: What to look for.
        limit: End the query after so many results.
        address: The network address that the request came from.
        on_found: Is told of each study at once; the query ends as soon as it answers False.

    Raises:
        NotFound: There is no such node.
        NotAllowed: The user may not use it as a source.
        InvalidInput: It cannot be searched.
        NodeClosed: It may not be used now, or is used by as many as it allows.
        AditError: It did not answer as it should.
    """
    search = _Search(db, user, node_name, limit=limit, address=address)
    studies = search.run("studies", lambda searcher: _while_wanted(searcher.find_studies(query), on_found))
    with db.session() as session:
        _remember_studies(session, search.node, studies)
        session.commit()
    return studies


def find_series(
    db: Database,
    user: User,
    node_name: str,
    query: SeriesQuery,
    *,
    limit: int = MOST_RESULTS,
    address: str = "",
) -> list[SeriesResult]:
    """Ask an archive for the series of a study, and remember them if the study is remembered.

    Raises what `find_studies` raises.
    """
    search = _Search(db, user, node_name, limit=limit, address=address)
    series = search.run("series", lambda searcher: searcher.find_series(query))
    with db.session() as session:
        study = _remembered(session, search.node.id, query.study.study_instance_uid)
        if study is not None:
            _remember_series(session, study, series)
            session.commit()
    return series


def find_instances(
    db: Database,
    user: User,
    node_name: str,
    series: SeriesReference,
    *,
    limit: int = MOST_RESULTS,
    address: str = "",
) -> list[InstanceResult]:
    """Ask an archive for the instances of a series. Raises what `find_studies` raises."""
    search = _Search(db, user, node_name, limit=limit, address=address)
    return search.run("instances", lambda searcher: searcher.find_instances(series))


def cached_study(
    db: Database, node_id: int, study_instance_uid: str, max_age: timedelta
) -> StudyResult | None:
    """Return what a node last told of a study, or None if that is older than `max_age`.

    Who may see it is for the caller to decide.
    """
    with db.reading() as session:
        study = _remembered(session, node_id, study_instance_uid)
    if study is None or utc_now() - study.fetched_at > max_age:
        return None
    return remembered_study(study)


def remembered_study(study: Study) -> StudyResult:
    """Return a row as what the archive answered."""
    return StudyResult(
        reference=StudyReference(study.study_instance_uid, study.patient_id),
        patient_name=study.patient_name,
        patient_birth_date=study.patient_birth_date,
        patient_sex=study.patient_sex,
        accession_number=study.accession_number,
        study_date=study.study_date,
        study_time=study.study_time,
        study_description=study.study_description,
        modalities=study.modalities,
        number_of_series=study.number_of_series,
        number_of_instances=study.number_of_instances,
        institution_name=study.institution_name,
    )


class _Search:
    """A user's question to a node: allowed, limited and audited."""

    def __init__(self, db: Database, user: User, node_name: str, *, limit: int, address: str) -> None:
        self.node = get_node(db, node_name)
        require_node(db, user, self.node, NodeRole.SOURCE)
        self._state = require_open(db, self.node.id)
        require_searchable(self.node)
        self._value = node_value(db, self.node)
        self._db = db
        self._user = user
        self._limit = limit
        self._address = address

    def run(self, level: str, ask: Callable[[Searcher], Iterator[Result]]) -> list[Result]:
        try:
            with (
                places_at(self._db, [self.node], "search", patience=SHORT_PATIENCE),
                VisitingSearcher(searcher_of(self._value), NodeVisit(self._db, self._state)) as searcher,
            ):
                # Dropping the iterator before its end cancels the query.
                results = list(islice(ask(searcher), self._limit))
        except AditError:
            self._audit(level, succeeded=False, results=None)
            raise
        self._audit(level, succeeded=True, results=len(results))
        return results

    def _audit(self, level: str, *, succeeded: bool, results: int | None) -> None:
        with self._db.session() as session:
            audit.record(
                session,
                AuditAction.QUERIED,
                actor=self._user,
                succeeded=succeeded,
                object_kind="node",
                object_id=self.node.name,
                address=self._address,
                level=level,
                results=results,
            )
            session.commit()


def _while_wanted(results: Iterator[Result], on_found: Callable[[Result], bool]) -> Iterator[Result]:
    for result in results:
        # Before it is handed on: whoever has enough does not come back.
        goes_on = on_found(result)
        yield result
        if not goes_on:
            return


def require_searchable(node: DicomNode) -> None:
    """Do nothing if questions can be asked about a node.

    Raises:
        InvalidInput: They cannot.
    """
    match node.kind:
        case NodeKind.SERVER:
            can_answer = node.supports_find
        case NodeKind.WEB:
            can_answer = node.supports_qido
        case NodeKind.FOLDER:
            can_answer = node.storage is StorageForm.FILES
    if not can_answer:
        raise InvalidInput(InputProblem(f"{node.name} cannot be searched.", field="node"))


def _remembered(session: Session, node_id: int, study_instance_uid: str) -> Study | None:
    return session.exec(
        select(Study).where(Study.node_id == node_id, Study.study_instance_uid == study_instance_uid)
    ).one_or_none()


def _remember_studies(session: Session, node: DicomNode, studies: Sequence[StudyResult]) -> None:
    # Archives have been seen to answer with a study twice, and with what the standard does not allow.
    rows = {
        study.reference.study_instance_uid: _study_row(node, study)
        for study in studies
        if is_valid_uid(study.reference.study_instance_uid)
    }
    upsert(session, list(rows.values()), key=("node_id", "study_instance_uid"))


def _study_row(node: DicomNode, study: StudyResult) -> Study:
    return Study(
        node_id=node.id,
        study_instance_uid=study.reference.study_instance_uid,
        patient_id=storable(study.reference.patient_id, 64),
        patient_name=storable(study.patient_name),
        patient_birth_date=study.patient_birth_date,
        patient_sex=storable(study.patient_sex, 16),
        accession_number=storable(study.accession_number, 64),
        study_date=study.study_date,
        study_time=storable(study.study_time, 16),
        study_description=storable(study.study_description),
        modalities=study.modalities,
        number_of_series=study.number_of_series,
        number_of_instances=study.number_of_instances,
        institution_name=storable(study.institution_name),
    )


def _remember_series(session: Session, study: Study, series: Sequence[SeriesResult]) -> None:
    rows = {
        one.reference.series_instance_uid: Series(
            study_id=study.id,
            series_instance_uid=one.reference.series_instance_uid,
            modality=storable(one.modality, 16),
            series_number=one.series_number,
            series_description=storable(one.series_description),
            number_of_instances=one.number_of_instances,
            institution_name=storable(one.institution_name),
        )
        for one in series
        if is_valid_uid(one.reference.series_instance_uid)
    }
    upsert(session, list(rows.values()), key=("study_id", "series_instance_uid"))
