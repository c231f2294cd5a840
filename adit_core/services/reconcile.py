"""The reconciler: finds what a crash has left behind, and has the work go on.

It trusts the tables, not the scheduler: a job that has work left, no claim that is alive and no flow
run that is under way gets a new one. It may be called at any time, also by several processes at once.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, or_
from sqlmodel import Session, col, select, update

from adit_core.db import Job, JobStatus, Task, TaskStatus
from adit_core.db.clock import shared_now
from adit_core.db.engine import Database
from adit_core.services.job_status import OPEN_JOBS, OPEN_TASKS, lock_job, settle_job
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.leftover_runs import end_leftover_runs
from adit_core.services.task_status import Ending, put_back_tasks


@dataclass(slots=True)
class Reconciled:
    """How much of what was repaired."""

    jobs_settled: int = 0
    """Their status did not agree with their tasks."""
    jobs_launched: int = 0
    """They had no flow run any more, or did not have one yet."""
    tasks_put_back: int = 0
    """Their worker died; they can be worked on again."""
    tasks_ended: int = 0
    """Their worker died and they were given up, or their job was canceled."""
    jobs_waiting: int = 0
    """They have work left that nobody can do yet: the scheduler is away, or a node is closed."""

    def counts(self) -> dict[str, int]:
        """Return by name how much was repaired."""
        return {name: number for name, number in asdict(self).items() if name != "jobs_waiting"}


def reconcile(
    db: Database,
    launcher: Launcher,
    *,
    lease: float,
    max_attempts: int = 3,
    max_idle_runs: int = 10,
) -> Reconciled:
    """Repair all jobs that need it.

    Args:
        db: Where the truth is.
        launcher: The scheduler.
        lease: Seconds for which claims and heartbeats last; a sign of life that lasts longer is from before
            the database's clock was put back.
        max_attempts: How often a study is tried before it is given up.
        max_idle_runs: How many executions in a row may end without any task having ended, before the
            rest of the job is given up.

    Raises:
        SchedulerUnavailable: What needs no scheduler was repaired.
    """
    done = Reconciled()
    suspects = _suspects(db)
    for job_id in suspects:
        done.jobs_settled += _settle(db, job_id)
    caps = _Caps(max_attempts, max_idle_runs, timedelta(seconds=lease))
    for job_id in suspects:
        _repair(db, launcher, job_id, caps, done)
    end_leftover_runs(db, launcher, lease=lease)
    return done


@dataclass(frozen=True, slots=True)
class _Caps:
    attempts: int
    idle_runs: int
    lease: timedelta


def _suspects(db: Database) -> list[int]:
    """Return the jobs that are open, or should be because a task is."""
    has_open_task = exists().where(col(Task.job_id) == col(Job.id), col(Task.status).in_(OPEN_TASKS))
    with db.reading() as session:
        return list(
            session.exec(
                select(Job.id)
                .where(Job.status != JobStatus.UNVERIFIED, or_(col(Job.status).in_(OPEN_JOBS), has_open_task))
                .order_by(col(Job.id))
            )
        )


def _settle(db: Database, job_id: int) -> bool:
    """Make the job agree with its tasks and tell whether it did not."""
    with db.session() as session:
        job = lock_job(session, job_id)
        if job is None:
            return False
        before = job.status
        after = settle_job(session, job)
        session.commit()
    return before is not after


def _repair(db: Database, launcher: Launcher, job_id: int, caps: _Caps, done: Reconciled) -> None:
    """Give a job whose run is gone a new one, unless nothing is left to do."""
    with db.reading() as session:
        seen = session.get_one(Job, job_id)
        now, until = shared_now(session), _last_sign(session, seen)
    lives = until is not None and until >= now
    if until is not None and until >= now + caps.lease:
        _shorten_signs(db, job_id, caps.lease)
    if seen.status not in OPEN_JOBS or lives or _is_awaited(seen, launcher):
        return
    with db.session() as session:
        job = lock_job(session, job_id)
        if job is None or _run_of(job) != _run_of(seen) or _lives(session, job):
            return  # somebody else was faster
        _close_run(session, job, caps, done)
        has_work = settle_job(session, job) in OPEN_JOBS
        session.commit()
    if seen.flow_run_id is not None:
        launcher.abandon(seen.flow_run_id)
    if has_work:
        is_launched = launch_job(db, launcher, job_id)
        done.jobs_launched += is_launched
        done.jobs_waiting += not is_launched


def _is_awaited(job: Job, launcher: Launcher) -> bool:
    """Tell whether somebody will work on a job of which nobody has said lately that they do.

    ======================== ================================ ==========
    heartbeat                flow run                         awaited
    ======================== ================================ ==========
    ran out                  any                              no
    none yet                 none, over, or not known         no
    none yet                 scheduled, or just starting      yes
    none yet                 started two minutes ago          no
    ======================== ================================ ==========
    """
    if job.running_until is not None or job.flow_run_id is None:
        return False
    return launcher.is_awaited(job.flow_run_id)


def _close_run(session: Session, job: Job, caps: _Caps, done: Reconciled) -> None:
    """Decide what becomes of the tasks that the run has left, and prepare the job for the next run.

    ================================ ======================
    task                             becomes
    ================================ ======================
    any, job is being canceled       CANCELED
    any, too many idle runs          FAILURE
    in progress, attempts used up    FAILURE
    in progress, otherwise           PENDING
    pending                          as it is
    ================================ ======================
    """
    if job.cancel_requested:
        done.tasks_ended += Ending().apply(session, job, status=TaskStatus.CANCELED, message="Canceled.")
        return
    if job.flow_run_id is not None:
        job.run_number += 1
        job.idle_runs += 1
        job.flow_run_id = job.running_until = None
    if job.idle_runs >= caps.idle_runs:
        message = (
            f"Given up: the job was run {job.idle_runs} times in a row without a study coming to an end."
        )
        done.tasks_ended += Ending().apply(session, job, status=TaskStatus.FAILURE, message=message)
        return
    in_progress = col(Task.status) == TaskStatus.IN_PROGRESS
    used_up = col(Task.attempts) >= caps.attempts
    done.tasks_ended += Ending(in_progress, used_up).apply(
        session,
        job,
        status=TaskStatus.FAILURE,
        message=f"The worker died during this study, in the last of {caps.attempts} attempts.",
    )
    done.tasks_put_back += put_back_tasks(
        session, job, message="The worker died during this study.", counted=True
    )


def _run_of(job: Job) -> tuple[int, str | None]:
    return job.run_number, job.flow_run_id


def _last_claim(session: Session, job_id: int) -> datetime | None:
    """Return until when the longest claim on a task of the job lasts, or lasted; None without one."""
    return session.exec(
        select(Task.claimed_until)
        .where(Task.job_id == job_id, Task.status == TaskStatus.IN_PROGRESS)
        .order_by(col(Task.claimed_until).desc())
        .limit(1)
    ).one_or_none()


def _lives(session: Session, job: Job) -> bool:
    """Tell whether a claim on a task of the job, or the heartbeat of its execution, lasts."""
    until = _last_sign(session, job)
    return until is not None and until >= shared_now(session)


def _last_sign(session: Session, job: Job) -> datetime | None:
    """Return until when the claims and the heartbeat last; None if there are none."""
    signs = (_last_claim(session, job.id), job.running_until)
    return max((until for until in signs if until is not None), default=None)


def _shorten_signs(db: Database, job_id: int, lease: timedelta) -> None:
    """Have claims and the heartbeat end with the lease that they would have if they were renewed now.

    Nobody is taken for dead by it: who lives renews them in time.
    """
    with db.session() as session:
        until = shared_now(session) + lease
        session.exec(
            update(Task)
            .where(
                col(Task.job_id) == job_id,
                col(Task.status) == TaskStatus.IN_PROGRESS,
                col(Task.claimed_until) > until,
            )
            .values(claimed_until=until)
        )
        session.exec(
            update(Job)
            .where(col(Job.id) == job_id, col(Job.running_until) > until)
            .values(running_until=until)
        )
        session.commit()
