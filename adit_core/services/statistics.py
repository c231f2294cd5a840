"""Numbers for those who watch over ADIT; none of them is about a patient."""

from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from adit_core.db import DiskReading, Job, JobKind, JobStatus, Task, TaskKind, TaskStatus
from adit_core.db.engine import Database
from adit_core.services.disk_watch import readings
from adit_core.services.node_gate import closed_nodes
from adit_core.services.nodes import list_nodes


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much of what there is at a moment."""

    jobs: dict[tuple[JobKind, JobStatus], int]
    tasks: dict[tuple[TaskKind, TaskStatus], int]
    instances: dict[str, int]
    """Of transfers, by what became of them: planned, delivered, filtered, failed."""
    bytes_sent: int
    open_nodes: dict[str, bool]
    """By name, whether a node may be used now."""
    disks: list[DiskReading]
    """What was found out last about each place that ADIT writes to."""


def measure(db: Database) -> Statistics:
    """Count everything anew."""
    closed = closed_nodes(db)
    with db.reading() as session:
        return Statistics(
            jobs=_count(session, Job),
            tasks=_count(session, Task),
            instances=_instances(session),
            bytes_sent=int(session.exec(select(func.sum(Task.bytes_sent))).one() or 0),
            open_nodes={node.name: node.name not in closed for node in list_nodes(db)},
            disks=readings(db),
        )


def _count(session: Session, table: type[Job] | type[Task]) -> dict:
    kind, status = col(table.kind), col(table.status)
    rows = session.exec(select(kind, status, func.count()).group_by(kind, status))
    return {(kind, status): number for kind, status, number in rows}


def _instances(session: Session) -> dict[str, int]:
    names = ("planned", "delivered", "filtered", "failed")
    sums = [func.sum(col(getattr(Task, name))) for name in names]
    row = session.exec(select(*sums).where(Task.kind == TaskKind.TRANSFER)).one()  # pyright: ignore[reportCallIssue, reportArgumentType]
    return {name: int(number or 0) for name, number in zip(names, row, strict=True)}
