"""How far a task and its series are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import bindparam
from sqlmodel import col, update

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


# Statements of what is done for each study are made once: to make one takes longer than to execute it.
_RECORD = (
    update(Task)
    .where(
        col(Task.id) == bindparam("of_task"),
        col(Task.claim_token) == bindparam("token"),
        col(Task.status) == TaskStatus.IN_PROGRESS,
    )
    .values({field.name: bindparam(f"now_{field.name}") for field in fields(TaskCounts)})
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
        now = {f"now_{name}": number for name, number in asdict(counts).items()}
        held = session.exec(_RECORD, params={"of_task": task_id, "token": token, **now})
        if held.rowcount == 0:
            return False
        upsert(session, series, key=("task_id", "series_instance_uid"))
        if series:
            known = [entry.series_instance_uid for entry in series]
            session.exec(_EXPECT_NO_OTHERS, params={"of_task": task_id, "known": known})
        session.commit()
    return True
