"""What came of a batch query, row by row, for those who may see the job."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func
from sqlmodel import Session, col, select

from adit_core.db import Job, JobKind, QueryResult, QueryRow, RowStatus, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible
from adit_core.services.job_access import visible
from adit_core.services.job_status import OPEN_TASKS
from adit_core.services.looks import record_look

_ROWS_AT_ONCE = 500
"""Fewer than SQLite takes parameters."""


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A row of a query, with what was found for it."""

    id: int
    row: int
    """As the spreadsheet counts."""
    cells: dict[str, str]
    """What was asked, by column."""
    status: RowStatus
    message: str
    """Why there is no answer, or what is to be said of it."""
    is_open: bool
    """Whether the row is still to be asked."""
    results: tuple[QueryResult, ...]


def list_rows(
    db: Database,
    user: User,
    job_id: int,
    *,
    statuses: Collection[RowStatus] = (),
    limit: int = 100,
    after: int | None = None,
    address: str = "",
) -> list[AnsweredRow]:
    """Return rows of a query in the order of the spreadsheet; the audit trail is told of the look.

    Args:
        db: Where they are kept.
        user: Who asks.
        job_id: Their job.
        statuses: Only rows to which this came; empty for all.
        limit: At most so many.
        after: Only rows after the one of this number, to go on from where the last list ended.
        address: The network address that the request came from.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It is no query.
    """
    with db.reading() as session:
        _require_query(session, user, job_id)
        rows = _rows(session, job_id, statuses, limit=limit, after=after)
    record_look(db, user, job_id, address=address)
    return rows


def all_rows(db: Database, user: User, job_id: int) -> Iterator[AnsweredRow]:
    """Yield all rows of a query in the order of the spreadsheet. Raises what `list_rows` raises.

    Whoever calls it tells the audit trail what it is for.
    """
    after: int | None = None
    while rows := _rows_after(db, user, job_id, after):
        yield from rows
        after = rows[-1].row


def _rows_after(db: Database, user: User, job_id: int, after: int | None) -> list[AnsweredRow]:
    with db.reading() as session:
        _require_query(session, user, job_id)
        return _rows(session, job_id, (), limit=_ROWS_AT_ONCE, after=after)


def count_outcomes(db: Database, user: User, job_id: int) -> dict[RowStatus, int]:
    """Count the rows of a query by what came of them.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        ActionNotPossible: It is no query.
    """
    with db.reading() as session:
        _require_query(session, user, job_id)
        rows = session.exec(
            select(QueryRow.status, func.count())
            .where(QueryRow.job_id == job_id)
            .group_by(col(QueryRow.status))
        )
        return {RowStatus(status): number for status, number in rows}


def _require_query(session: Session, user: User, job_id: int) -> None:
    if visible(session.get(Job, job_id), user, job_id).kind is not JobKind.BATCH_QUERY:
        raise ActionNotPossible(f"Job {job_id} asks for nothing, so it has no results.")


def _rows(
    session: Session, job_id: int, statuses: Collection[RowStatus], *, limit: int, after: int | None
) -> list[AnsweredRow]:
    chosen = (
        select(QueryRow, Task.status, Task.message)
        .join(Task, col(Task.id) == col(QueryRow.task_id))
        .where(QueryRow.job_id == job_id)
        .order_by(col(QueryRow.row))
        .limit(limit)
    )
    if statuses:
        chosen = chosen.where(col(QueryRow.status).in_(statuses))
    if after is not None:
        chosen = chosen.where(QueryRow.row > after)
    found = session.exec(chosen).all()
    results = _results_by_row(session, [row.id for row, _, _ in found])
    return [
        AnsweredRow(
            id=row.id,
            row=row.row,
            cells=row.cells,
            status=row.status,
            message=row.message or _reason(row, TaskStatus(status), message),
            is_open=TaskStatus(status) in OPEN_TASKS and row.status is RowStatus.UNANSWERED,
            results=tuple(results[row.id]),
        )
        for row, status, message in found
    ]


def _reason(row: QueryRow, task_status: TaskStatus, task_message: str) -> str:
    """Return why a row has no answer: that of its task, if that has ended."""
    has_none = row.status is RowStatus.UNANSWERED and task_status not in OPEN_TASKS
    return task_message if has_none else ""


def _results_by_row(session: Session, row_ids: Sequence[int]) -> dict[int, list[QueryResult]]:
    found = session.exec(
        select(QueryResult).where(col(QueryResult.query_row_id).in_(row_ids)).order_by(col(QueryResult.id))
    )
    results = defaultdict[int, list[QueryResult]](list)
    for result in found:
        results[result.query_row_id].append(result)
    return results
