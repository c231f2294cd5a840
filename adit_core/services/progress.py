"""How far a task and its series are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import BindParameter, ColumnElement, bindparam
from sqlmodel import Session, col, update

from adit_core.db import SeriesProgress, Task, TaskStatus
from adit_core.db.engine import Database
from adit_core.db.upsert import upsert


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """The account of a task: instances by what became of them, and what was sent for it.

    The names are those of the columns of `Task`.
    """

    planned: int = 0
    delivered: int = 0
    filtered: int = 0
    failed: int = 0
    sent: int = 0
    """Over all attempts."""
    bytes_sent: int = 0
    """Over all attempts."""
    of_others: int = 0
    """Over all attempts."""

    @property
    def is_balanced(self) -> bool:
        """True if every planned instance is accounted for."""
        return self.planned == self.delivered + self.filtered + self.failed

    def parameters(self) -> dict[str, int]:
        """Return the parameters of a statement that sets `ACCOUNT`."""
        return {ACCOUNT[name].key: number for name, number in asdict(self).items()}


ACCOUNT = {field.name: bindparam(f"counted_{field.name}") for field in fields(TaskCounts)}
"""What the account of a task is set to by a statement that is made once."""


def held_with(token: str | BindParameter[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the conditions that a task is claimed with `token`."""
    return (
        col(Task.claim_token) == token,
        col(Task.status) == TaskStatus.IN_PROGRESS,
    )


# Statements of what is done for each study are made once: to make one takes longer than to execute it.
_RECORD = (
    update(Task)
    .where(col(Task.id) == bindparam("of_task"), *held_with(bindparam("token")))
    .values(ACCOUNT)
    .execution_options(synchronize_session=False)
)
_EXPECT_NO_OTHERS = (
    update(SeriesProgress)
    .where(
        col(SeriesProgress.task_id) == bindparam("of_task"),
        col(SeriesProgress.series_instance_uid).not_in(bindparam("known", expanding=True)),
        col(SeriesProgress.planned) > 0,
    )
    .values(planned=0, delivered=0, filtered=0, message="The source does not have it any more.")
    .execution_options(synchronize_session=False)
)


def record_progress(
    db: Database, task_id: int, *, token: str, series: Sequence[SeriesProgress], counts: TaskCounts
) -> bool:
    """Write how far a task is, if it is still claimed with `token`; return whether it was.

    `series` are all that the source has of the study; of others that were expected nothing is planned any
    more. Without any, they stay as they are. Made to be called about every two seconds.
    """
    with db.session() as session:
        if not record_counts(session, task_id, token=token, counts=counts):
            return False
        upsert(session, series, key=("task_id", "series_instance_uid"))
        if series:
            known = [entry.series_instance_uid for entry in series]
            session.exec(_EXPECT_NO_OTHERS, params={"of_task": task_id, "known": known})
        session.commit()
    return True


def record_counts(session: Session, task_id: int, *, token: str, counts: TaskCounts) -> bool:
    """Write the account of a task, if it is still claimed with `token`; return whether it was."""
    held = session.exec(_RECORD, params={"of_task": task_id, "token": token, **counts.parameters()})
    return held.rowcount > 0
