"""How far a task and its series are."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

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


def record_progress(
    db: Database, task_id: int, *, token: str, series: Sequence[SeriesProgress], counts: TaskCounts
) -> bool:
    """Write how far a task is, if it is still claimed with `token`; return whether it was.

    `series` are all that the source has of the study; of others that were expected nothing is planned any
    more. Without any, they stay as they are. Made to be called about every two seconds.
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
        if series:
            _expect_no_others(session, task_id, series)
        session.commit()
    return True


def _expect_no_others(session: Session, task_id: int, series: Sequence[SeriesProgress]) -> None:
    known = [entry.series_instance_uid for entry in series]
    session.exec(
        update(SeriesProgress)
        .where(
            col(SeriesProgress.task_id) == task_id,
            col(SeriesProgress.series_instance_uid).not_in(known),
            col(SeriesProgress.planned) > 0,
        )
        .values(planned=0, delivered=0, filtered=0, message="The source does not have it any more.")
    )
