"""Searching what archives have told before, without asking them again.

Patients are those of the studies that are remembered. Instances are not: a study may have thousands, and
what is transferred has to be asked for anyway.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice

from sqlmodel import Session, col, select

from adit_core.db import DicomNode, Series, Study, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.query import (
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.services import audit
from adit_core.services.nodes import get_node
from adit_core.services.rights import NodeRole, require_node
from adit_core.services.search import MOST_RESULTS, remembered_study

_AT_ONCE = 1000


def remembered_patients(
    db: Database,
    user: User,
    node_name: str,
    query: PatientQuery,
    *,
    max_age: timedelta,
    limit: int = MOST_RESULTS,
    address: str = "",
) -> list[PatientResult]:
    """Return the patients of studies that a node told of; arguments and errors as `remembered_studies`."""
    node = _allowed(db, user, node_name)
    with db.reading() as session, closing(_studies(session, node, StudyQuery(), max_age)) as studies:
        found = list(islice(_once(filter(query.matches, map(_patient, studies))), limit))
    _audit(db, user, node, "remembered patients", results=len(found), address=address)
    return found


def remembered_studies(
    db: Database,
    user: User,
    node_name: str,
    query: StudyQuery,
    *,
    max_age: timedelta,
    limit: int = MOST_RESULTS,
    address: str = "",
) -> list[StudyResult]:
    """Return studies that a node told of no longer ago than `max_age`; further keys are not known any more.

    Args:
        db: Where they are remembered.
        user: Who asks.
        node_name: The archive, which is not asked.
        query: What to look for.
        max_age: How old the answer of the archive may be.
        limit: At most so many.
        address: The network address that the request came from.

    Raises:
        NotFound: There is no such node.
        NotAllowed: The user may not use it as a source.
    """
    node = _allowed(db, user, node_name)
    with db.reading() as session, closing(_studies(session, node, query, max_age)) as studies:
        found = list(islice(filter(query.matches, map(remembered_study, studies)), limit))
    _audit(db, user, node, "remembered studies", results=len(found), address=address)
    return found


def remembered_series(
    db: Database,
    user: User,
    node_name: str,
    query: SeriesQuery,
    *,
    max_age: timedelta,
    limit: int = MOST_RESULTS,
    address: str = "",
) -> list[SeriesResult]:
    """Return the series of a study that a node told of; arguments and errors as `remembered_studies`."""
    node = _allowed(db, user, node_name)
    chosen = (
        select(Series, Study.patient_id)
        .join(Study, col(Study.id) == col(Series.study_id))
        .where(Study.node_id == node.id, Study.study_instance_uid == query.study.study_instance_uid)
        .where(Series.fetched_at >= utc_now() - max_age)
        .order_by(col(Series.series_number), col(Series.id))
    )
    with db.reading() as session:
        series = (_series(row, query, patient_id) for row, patient_id in session.exec(chosen))
        found = list(islice(filter(query.matches, series), limit))
    _audit(db, user, node, "remembered series", results=len(found), address=address)
    return found


def _allowed(db: Database, user: User, node_name: str) -> DicomNode:
    node = get_node(db, node_name)
    require_node(db, user, node, NodeRole.SOURCE)
    return node


def _studies(
    session: Session, node: DicomNode, query: StudyQuery, max_age: timedelta
) -> Generator[Study, None, None]:
    """Yield studies that may fit, the newest first; what the database can choose by, it does.

    It is to be closed: its cursor is one of the server's, which outlives those that are dropped.
    """
    chosen = select(Study).where(Study.node_id == node.id, Study.fetched_at >= utc_now() - max_age)
    if query.study_instance_uid:
        chosen = chosen.where(Study.study_instance_uid == query.study_instance_uid)
    if query.study_date.start is not None:
        chosen = chosen.where(col(Study.study_date) >= query.study_date.start)
    if query.study_date.end is not None:
        chosen = chosen.where(col(Study.study_date) <= query.study_date.end)
    ordered = chosen.order_by(col(Study.study_date).desc(), col(Study.id).desc())
    with closing(session.exec(ordered.execution_options(yield_per=_AT_ONCE))) as rows:
        yield from rows


def _patient(study: Study) -> PatientResult:
    return PatientResult(study.patient_id, study.patient_name, study.patient_birth_date, study.patient_sex)


def _once(patients: Iterator[PatientResult]) -> Iterator[PatientResult]:
    told: set[PatientResult] = set()
    for patient in patients:
        if patient not in told:
            told.add(patient)
            yield patient


def _series(row: Series, query: SeriesQuery, patient_id: str) -> SeriesResult:
    study = StudyReference(query.study.study_instance_uid, patient_id)
    return SeriesResult(
        reference=SeriesReference(study, row.series_instance_uid),
        modality=row.modality,
        series_number=row.series_number,
        series_description=row.series_description,
        number_of_instances=row.number_of_instances,
        institution_name=row.institution_name,
    )


def _audit(db: Database, user: User, node: DicomNode, level: str, *, results: int, address: str) -> None:
    with db.session() as session:
        audit.record(
            session,
            AuditAction.QUERIED,
            actor=user,
            object_kind="node",
            object_id=node.name,
            address=address,
            level=level,
            results=results,
        )
        session.commit()
