"""Flow runs that are left behind: they were killed after the last study of their job had ended.

Nothing of the job is left to do, so nobody would notice. But the scheduler takes such a run to be under
way for ever, and it keeps its place in its queue.
"""

from datetime import timedelta

from sqlalchemy import or_
from sqlmodel import col, select, update

from adit_core.db import Job
from adit_core.db.clock import shared_now
from adit_core.db.engine import Database
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.launching import Launcher

_ENDING_TIME = timedelta(seconds=30)
"""How long a flow run may take to end after its last sign of life."""
_AT_ONCE = 100


def end_leftover_runs(db: Database, launcher: Launcher, *, lease: float) -> None:
    """Record as dead the last flow runs of ended jobs, if they have not come to an end by themselves.

    Each is looked at once. One whose sign of life lasts for longer than `lease` seconds gave it before the
    clock was put back.

    Raises:
        SchedulerUnavailable: The rest is for the next time.
    """
    for job_id, flow_run_id in _silent_runs(db, timedelta(seconds=lease)):
        launcher.abandon(flow_run_id)
        _look_no_more(db, job_id, flow_run_id)


def _silent_runs(db: Database, lease: timedelta) -> list[tuple[int, str]]:
    """Return ended jobs whose run has given its last sign of life a while ago, with the run's id."""
    with db.reading() as session:
        now = shared_now(session)
        silent = (
            col(Job.status).not_in(OPEN_JOBS),
            col(Job.flow_run_id).is_not(None),
            or_(
                col(Job.running_until) < now - _ENDING_TIME,
                col(Job.running_until) > now + lease + _ENDING_TIME,
            ),
        )
        rows = session.exec(select(Job.id, Job.flow_run_id).where(*silent).limit(_AT_ONCE))
        return [(job_id, flow_run_id) for job_id, flow_run_id in rows if flow_run_id is not None]


def _look_no_more(db: Database, job_id: int, flow_run_id: str) -> None:
    with db.session() as session:
        this_run = (col(Job.id) == job_id, col(Job.flow_run_id) == flow_run_id)
        session.exec(
            update(Job).where(*this_run, col(Job.status).not_in(OPEN_JOBS)).values(running_until=None)
        )
        session.commit()
