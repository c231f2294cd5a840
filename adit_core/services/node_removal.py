"""Taking nodes away: one that no job refers to is deleted, any other is retired.

A retired node is no choice any more and nobody uses it, but its jobs go on naming it, and it can come back:
what it was configured as, and which groups may use it, stays.

===================== ===================== ==================
jobs of it            that have not ended   is
===================== ===================== ==================
none                                        deleted
some                  none                  retired
some                  some                  left as it is
===================== ===================== ==================
"""

from enum import StrEnum

from sqlalchemy import ColumnElement, or_
from sqlmodel import Session, col, delete, select

from adit_core.db import DicomNode, Job, JobStatus, Study, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, NotFound
from adit_core.services import audit
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.nodes import get_node, retired_nodes
from adit_core.services.rights import require_administrator

_NAMED_JOBS = 5


class Removal(StrEnum):
    """What became of a node that was removed."""

    DELETED = "deleted"
    RETIRED = "retired"
    """Jobs refer to it, so its name stays."""


def remove_node(db: Database, name: str, *, actor: User | str = audit.SYSTEM) -> Removal:
    """Delete a node that no job refers to, or retire it, and tell which.

    Raises:
        NotFound: There is no such node, or it is retired already.
        ActionNotPossible: Jobs that have not ended use it; the message names them.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    node_id = get_node(db, name).id
    with db.session() as session:
        # Whoever submits a job to it meanwhile waits, and then finds it gone or retired.
        node = session.exec(select(DicomNode).where(DicomNode.id == node_id).with_for_update()).one_or_none()
        if node is None:
            raise NotFound(f"There is no node called {name} any more.")
        _require_no_open_jobs(session, node)
        if session.exec(select(Job.id).where(_uses(node.id)).limit(1)).first() is None:
            removal = Removal.DELETED
            session.delete(node)
        else:
            removal = Removal.RETIRED
            node.retired_at = utc_now()
            session.add(node)
            session.exec(delete(Study).where(col(Study.node_id) == node.id))
        audit.record(
            session,
            AuditAction.NODE_REMOVED,
            actor=actor,
            object_kind="node",
            object_id=name,
            outcome=removal.value,
        )
        session.commit()
    return removal


def restore_node(db: Database, name: str, *, actor: User | str = audit.SYSTEM) -> DicomNode:
    """Let a retired node be used again as it was, and return it.

    Raises:
        NotFound: No retired node has this name.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    node = next((each for each in retired_nodes(db) if each.name == name), None)
    if node is None:
        raise NotFound(f"There is no retired node called {name}.")
    node.retired_at = None
    with db.session() as session:
        session.add(node)
        audit.record(session, AuditAction.NODE_RESTORED, actor=actor, object_kind="node", object_id=name)
        session.commit()
    return node


def _require_no_open_jobs(session: Session, node: DicomNode) -> None:
    unfinished = (*OPEN_JOBS, JobStatus.UNVERIFIED)
    open_jobs = session.exec(
        select(Job.id)
        .where(_uses(node.id), col(Job.status).in_(unfinished))
        .order_by(col(Job.id))
        .limit(_NAMED_JOBS + 1)
    ).all()
    if open_jobs:
        named = ", ".join(map(str, open_jobs[:_NAMED_JOBS])) + (" and more" * (len(open_jobs) > _NAMED_JOBS))
        raise ActionNotPossible(
            f"{node.name} is still used by jobs that have not ended: {named}. Let them end, or cancel them."
        )


def _uses(node_id: int) -> ColumnElement[bool]:
    return or_(col(Job.source_id) == node_id, col(Job.destination_id) == node_id)
