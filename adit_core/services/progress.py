"""How far a task and its series are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

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

    @property
    def is_balanced(self) -> bool:
        """True if every planned instance is accounted for."""
        return self.planned == self.delivered + self.filtered + self.failed


def record_progress(
    db: Database, task_id: int, *, token: str, series: Sequence[SeriesProgress], counts: TaskCounts
) -> bool:
    """Write how far a task is, if it is still claimed with `token`; return whether it was.

    Series that are left out stay as they are. Made to be called about once a second.
    """
    with db.session() as session:
        held = session.exec(
            update(Task)
            .where(
                col(Task.id) == task_id,
                col(Task.claim_token) == token,
                col(Task.status) == TaskStatus.IN_PROGRESS,
            )
            .values(asdict(counts))
        )
        if held.rowcount == 0:
            return False
        upsert(session, series, key=("task_id", "series_instance_uid"))
        session.commit()
    return True
