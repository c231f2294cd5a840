"""The rows of batch queries, and what has come of them."""

from collections import Counter, defaultdict
from collections.abc import Collection

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, delete, select, update

from adit_core.db import QueryResult, QueryRow, RowStatus, Task, TaskStatus
from adit_core.db.engine import Database

_ENDED = {
    RowStatus.FOUND: TaskStatus.SUCCESS,
    RowStatus.NOTHING_FOUND: TaskStatus.WARNING,
    RowStatus.SEVERAL_PATIENTS: TaskStatus.WARNING,
    RowStatus.FAILED: TaskStatus.FAILURE,
}


def unanswered_rows(db: Database, task_id: int) -> list[QueryRow]:
    """Return the rows of a task that have no answer yet, in the order of the spreadsheet."""
    with db.reading() as session:
        return list(
            session.exec(
                select(QueryRow)
                .where(QueryRow.task_id == task_id, QueryRow.status == RowStatus.UNANSWERED)
                .order_by(col(QueryRow.row))
            )
        )


def statuses_of_rows(db: Database, task_id: int) -> dict[int, RowStatus]:
    """Return what came of each row of a task, by its id."""
    with db.reading() as session:
        rows = session.exec(select(QueryRow.id, QueryRow.status).where(QueryRow.task_id == task_id))
        return {row_id: RowStatus(status) for row_id, status in rows}


def count_rows(session: Session, job_ids: Collection[int]) -> dict[int, dict[TaskStatus, int]]:
    """Count the rows of queries as if each were a task, by job id.

    =================== ================= =====================
    task                row               counts as
    =================== ================= =====================
    PENDING,            any               its task
    IN_PROGRESS
    ended               found             SUCCESS
    ended               nothing found,    WARNING
                        several patients
    ended               failed            FAILURE
    ended               not answered      its task
    =================== ================= =====================
    """
    rows = session.exec(
        select(QueryRow.job_id, Task.status, QueryRow.status, func.count())
        .join(Task, col(Task.id) == col(QueryRow.task_id))
        .where(col(QueryRow.job_id).in_(job_ids))
        .group_by(col(QueryRow.job_id), col(Task.status), col(QueryRow.status))
    )
    numbers = defaultdict[int, Counter[TaskStatus]](Counter)
    for job_id, task_status, row_status, number in rows:
        numbers[job_id][_status(TaskStatus(task_status), RowStatus(row_status))] += number
    return {job_id: dict(counted) for job_id, counted in numbers.items()}


def forget_answers(session: Session, *, of_tasks: ColumnElement[bool]) -> None:
    """Make rows as if they had never been asked; `of_tasks` is a condition on `QueryRow.task_id`."""
    rows = select(QueryRow.id).where(of_tasks)
    session.exec(delete(QueryResult).where(col(QueryResult.query_row_id).in_(rows)))
    session.exec(
        update(QueryRow)
        .where(of_tasks)
        .values(status=RowStatus.UNANSWERED, message="")
        .execution_options(synchronize_session=False)
    )


def _status(task: TaskStatus, row: RowStatus) -> TaskStatus:
    if task in (TaskStatus.PENDING, TaskStatus.IN_PROGRESS):
        return task
    return _ENDED.get(row, task)
