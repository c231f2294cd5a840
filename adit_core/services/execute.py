"""What a child process does: performs one claimed task."""

from collections.abc import Callable, Mapping
from functools import cache

from sqlalchemy import bindparam
from sqlmodel import col, select

from adit_core.db import Job, Task, TaskKind
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring
from adit_core.logs import about
from adit_core.services.discovery import execute_discovery
from adit_core.services.execute_query import execute_query
from adit_core.services.execute_transfer import execute_transfer
from adit_core.services.work import Help, TaskOutcome, Work

_WORK: Mapping[TaskKind, Callable[[Work], TaskOutcome]] = {
    TaskKind.TRANSFER: execute_transfer,
    TaskKind.DISCOVERY: execute_discovery,
    TaskKind.QUERY: execute_query,
}
_TASK_AND_JOB = (
    select(Task, Job).join(Job, col(Job.id) == col(Task.job_id)).where(col(Task.id) == bindparam("task"))
)


def execute_task(
    database_url: str, keyring: Keyring, task_id: int, token: str, assistance: Help
) -> TaskOutcome:
    """Perform a task that the caller has claimed with `token`.

    Progress is written to the database about every two seconds, and at the end.

    Raises:
        AditError: It could not be begun, or what was done by then need not be told.
        TaskStopped: The claim was lost, so that somebody else performs the task, or nobody is to.
    """
    db = _database(database_url, keyring)
    with db.reading() as session:
        task, job = session.exec(_TASK_AND_JOB, params={"task": task_id}).one()
    with about(job=task.job_id, task=task_id):
        return _WORK[task.kind](Work(db, job, task, token, assistance))


def prepare_child(database_url: str, keyring: Keyring) -> None:
    """Do ahead what the first task of a child process would have to wait for: connect to the database."""
    with _database(database_url, keyring).reading() as session:
        session.exec(select(Task).limit(1)).one_or_none()


@cache
def _database(url: str, keyring: Keyring) -> Database:
    return Database(url, keyring)
