"""The reconciler: whatever a crash leaves behind, the job goes on and ends."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from adit_core.db import Job, JobStatus, SeriesProgress, Task, TaskStatus, User
from adit_core.db.clock import shared_now
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.claims import TaskCounts, claim_task, finish_task, unfinished_task_ids
from adit_core.services.job_actions import cancel_job
from adit_core.services.launching import launch_job
from adit_core.services.progress import record_progress
from adit_core.services.reconcile import Reconciled, reconcile
from adit_core.services.run_heartbeat import RunHeartbeat
from tests.fakes.launcher import FakeLauncher
from tests.rows import load, make_job, make_user

NOTHING = Reconciled()
DONE = TaskCounts(planned=1, delivered=1, sent=1, bytes_sent=1)
EXPIRED = -1.0
LEASE = 60.0
HOUR = 3600.0


@dataclass
class Site:
    """A job that was submitted, and the scheduler that was asked to run it."""

    db: Database
    launcher: FakeLauncher
    owner: User
    job_id: int

    @property
    def job(self) -> Job:
        return load(self.db, Job, self.job_id)

    @property
    def tasks(self) -> list[Task]:
        with self.db.reading() as session:
            chosen = select(Task).where(Task.job_id == self.job_id)
            return sorted(session.exec(chosen), key=lambda task: task.id)

    def claim(self, task: Task, *, lease: float = LEASE) -> None:
        assert claim_task(self.db, task.id, token="worker", lease=lease) is not None

    def finish(self, task: Task, status: TaskStatus = TaskStatus.SUCCESS) -> bool:
        return finish_task(self.db, task.id, token="worker", status=status, message="", counts=DONE)

    def heartbeat(self) -> RunHeartbeat:
        return RunHeartbeat(self.db, self.job_id, run_number=self.job.run_number, lease=LEASE)

    def last_heard_of(self, seconds: float) -> None:
        """Have an execution that began and died say that it lives for so many seconds more."""
        with self.db.session() as session:
            session.get_one(Job, self.job_id).running_until = utc_now() + timedelta(seconds=seconds)
            session.commit()

    def seconds_until(self, moment: datetime | None) -> float:
        assert moment is not None
        with self.db.reading() as session:
            return (moment - shared_now(session)).total_seconds()

    def reconcile(self, **caps) -> Reconciled:
        return reconcile(self.db, self.launcher, lease=LEASE, **caps)


@pytest.fixture
def site(database: Database) -> Site:
    owner = make_user(database)
    launcher = FakeLauncher()
    job = make_job(database, studies=2, owner=owner)
    launch_job(database, launcher, job.id)
    return Site(database, launcher, owner, job.id)


def test_a_job_that_is_under_way_is_left_alone(site: Site) -> None:
    assert site.reconcile() == NOTHING
    site.claim(site.tasks[0])
    before = site.tasks

    assert site.reconcile() == NOTHING
    assert site.tasks == before
    assert site.job.run_number == 1


def test_no_sign_of_life_lasts_longer_than_a_lease_once_the_clock_was_put_back(site: Site) -> None:
    # What was written down an hour ahead is from before that.
    site.claim(site.tasks[0], lease=HOUR + LEASE)
    site.last_heard_of(HOUR + LEASE)

    assert site.reconcile() == NOTHING, "whoever lives has a lease to say so"

    assert 0 < site.seconds_until(site.tasks[0].claimed_until) <= LEASE
    assert 0 < site.seconds_until(site.job.running_until) <= LEASE
    before = site.tasks, site.job
    assert site.reconcile() == NOTHING
    assert (site.tasks, site.job) == before


def test_a_job_that_died_before_the_clock_was_put_back_goes_on_after_a_lease(site: Site) -> None:
    lease = 0.5
    site.claim(site.tasks[0], lease=HOUR + lease)
    site.last_heard_of(HOUR + lease)
    assert reconcile(site.db, site.launcher, lease=lease) == NOTHING
    time.sleep(lease)
    assert reconcile(site.db, site.launcher, lease=lease) == Reconciled(jobs_launched=1, tasks_put_back=1)


def test_a_job_whose_run_is_over_gets_a_new_one(site: Site) -> None:
    site.launcher.end_all()

    assert site.reconcile() == Reconciled(jobs_launched=1)

    assert site.job.run_number == 2
    assert site.job.flow_run_id == site.launcher.runs[f"job-{site.job_id}-run-2"]
    assert site.reconcile() == NOTHING


def test_a_job_that_the_scheduler_did_not_take_is_launched_later(database: Database) -> None:
    job = make_job(database)
    launcher = FakeLauncher(unavailable=True)
    assert not launch_job(database, launcher, job.id)
    launcher.unavailable = False

    assert reconcile(database, launcher, lease=LEASE) == Reconciled(jobs_launched=1)

    job = load(database, Job, job.id)
    assert (job.run_number, job.idle_runs, job.message) == (1, 0, "")
    assert job.flow_run_id == launcher.runs[f"job-{job.id}-run-1"]


def test_a_new_database_of_the_scheduler_gets_runs_again(site: Site) -> None:
    site.reconcile()
    site.launcher.lose_everything()

    assert site.reconcile() == Reconciled(jobs_launched=1)

    assert site.launcher.is_awaited(site.job.flow_run_id or "")


def test_a_claim_that_lasts_keeps_the_job_although_its_run_is_over(site: Site) -> None:
    site.claim(site.tasks[0])
    site.launcher.end_all()

    assert site.reconcile() == NOTHING
    assert site.finish(site.tasks[0])


def test_the_task_of_a_dead_worker_is_put_back_and_its_attempt_counts(site: Site) -> None:
    site.claim(site.tasks[0], lease=EXPIRED)
    site.launcher.end_all()

    assert site.reconcile() == Reconciled(jobs_launched=1, tasks_put_back=1)

    task = site.tasks[0]
    assert (task.status, task.attempts) == (TaskStatus.PENDING, 1)
    assert task.message == "The worker died during this study."
    assert not site.finish(task)
    assert site.job.status is JobStatus.IN_PROGRESS


def test_a_claim_that_ran_out_is_left_to_a_run_that_lives(site: Site) -> None:
    site.claim(site.tasks[0], lease=EXPIRED)
    site.launcher.end_all()

    with site.heartbeat():
        assert site.reconcile() == NOTHING


def test_a_run_that_only_the_scheduler_believes_in_is_replaced(site: Site) -> None:
    site.claim(site.tasks[0], lease=EXPIRED)
    site.last_heard_of(EXPIRED)
    old = site.job.flow_run_id

    assert site.reconcile() == Reconciled(jobs_launched=1, tasks_put_back=1)

    assert site.launcher.abandoned == [old]
    assert site.job.run_number == 2


def test_a_run_that_died_without_a_task_in_its_hands_is_replaced(site: Site) -> None:
    site.last_heard_of(EXPIRED)

    assert site.reconcile() == Reconciled(jobs_launched=1)

    assert site.job.running_until is None
    assert site.reconcile() == NOTHING


def test_an_execution_that_no_scheduler_knows_is_left_alone_while_it_lives(database: Database) -> None:
    job = make_job(database)
    launcher = FakeLauncher()

    with RunHeartbeat(database, job.id, run_number=1, lease=60):
        assert reconcile(database, launcher, lease=LEASE) == NOTHING

    assert reconcile(database, launcher, lease=LEASE) == Reconciled(jobs_launched=1)


def test_a_study_that_kills_its_worker_again_and_again_is_given_up(site: Site) -> None:
    deadly, harmless = site.tasks
    series = [SeriesProgress(task_id=deadly.id, series_instance_uid="1.2.3", planned=5, delivered=2)]
    for attempt in range(1, 4):
        site.claim(deadly, lease=EXPIRED)
        counts = TaskCounts(planned=5, delivered=2, sent=2 * attempt)
        record_progress(site.db, deadly.id, token="worker", series=series, counts=counts)
        site.launcher.end_all()
        site.reconcile(max_attempts=3)

    task = site.tasks[0]
    assert (task.status, task.attempts, task.failed) == (TaskStatus.FAILURE, 3, 3)
    assert task.message == "The worker died during this study, in the last of 3 attempts."
    assert unfinished_task_ids(site.db, site.job_id) == [harmless.id]
    site.claim(harmless)
    site.finish(harmless)
    assert site.job.status is JobStatus.WARNING


def test_a_job_whose_runs_end_nothing_is_given_up(site: Site) -> None:
    for _ in range(2):
        site.launcher.end_all()
        assert site.reconcile(max_idle_runs=3) == Reconciled(jobs_launched=1)
    site.launcher.end_all()

    assert site.reconcile(max_idle_runs=3) == Reconciled(tasks_ended=2)
    assert site.job.status is JobStatus.FAILURE
    assert site.job.ended_at is not None
    assert site.tasks[0].message == (
        "Given up: the job was run 3 times in a row without a study coming to an end."
    )
    assert site.reconcile() == NOTHING


def test_a_study_that_ends_shows_that_the_runs_are_not_in_vain(site: Site) -> None:
    for _ in range(2):
        site.launcher.end_all()
        site.reconcile(max_idle_runs=3)
    site.claim(site.tasks[0])
    site.finish(site.tasks[0])
    assert site.job.idle_runs == 0
    site.launcher.end_all()

    assert site.reconcile(max_idle_runs=3) == Reconciled(jobs_launched=1)


def test_a_cancel_whose_worker_died_comes_to_its_end(site: Site) -> None:
    site.claim(site.tasks[0], lease=EXPIRED)
    cancel_job(site.db, site.launcher, site.owner, site.job_id)
    assert site.job.status is JobStatus.CANCELING
    site.launcher.end_all()

    assert site.reconcile() == Reconciled(tasks_ended=1)

    assert site.job.status is JobStatus.CANCELED
    assert {task.status for task in site.tasks} == {TaskStatus.CANCELED}
    assert len(site.launcher.runs) == 1


@pytest.mark.parametrize("wrong", [JobStatus.PENDING, JobStatus.IN_PROGRESS, JobStatus.CANCELING])
def test_a_job_that_is_called_open_although_all_tasks_have_ended_is_settled(
    site: Site, wrong: JobStatus
) -> None:
    for task in site.tasks:
        site.claim(task)
        site.finish(task)
    _call(site, wrong)

    assert site.reconcile() == Reconciled(jobs_settled=1)

    assert site.job.status is JobStatus.SUCCESS
    assert len(site.launcher.runs) == 1


def test_a_job_that_is_called_ended_although_a_task_is_open_goes_on(site: Site) -> None:
    site.claim(site.tasks[0])
    site.finish(site.tasks[0])
    _call(site, JobStatus.SUCCESS)
    site.launcher.end_all()

    assert site.reconcile() == Reconciled(jobs_settled=1, jobs_launched=1)

    assert (site.job.status, site.job.ended_at) == (JobStatus.IN_PROGRESS, None)


def test_a_job_that_waits_to_be_verified_is_left_alone(database: Database) -> None:
    job = make_job(database, status=JobStatus.UNVERIFIED)

    assert reconcile(database, FakeLauncher(), lease=LEASE) == NOTHING
    assert load(database, Job, job.id).status is JobStatus.UNVERIFIED


def test_without_the_scheduler_what_needs_none_is_repaired(site: Site) -> None:
    for task in site.tasks:
        site.claim(task)
        site.finish(task)
    _call(site, JobStatus.IN_PROGRESS)
    site.launcher.unavailable = True

    assert site.reconcile() == Reconciled(jobs_settled=1)

    assert site.job.status is JobStatus.SUCCESS


def test_several_reconcilers_at_once_launch_one_run(site: Site) -> None:
    for round_number in range(2, 5):
        site.launcher.end_all()
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(site.reconcile) for _ in range(4)]:
                done.result()

        assert site.job.run_number == round_number
        assert site.job.flow_run_id == site.launcher.runs[f"job-{site.job_id}-run-{round_number}"]
    assert len(site.launcher.runs) == 4


def test_the_counts_have_names(site: Site) -> None:
    assert site.reconcile().counts() == {
        "jobs_settled": 0,
        "jobs_launched": 0,
        "tasks_put_back": 0,
        "tasks_ended": 0,
    }


def _call(site: Site, status: JobStatus) -> None:
    """Make the row of the job say what is not true."""
    with site.db.session() as session:
        job = session.get_one(Job, site.job_id)
        job.status, job.ended_at = status, utc_now() - timedelta(minutes=1)
        session.commit()


def end(site: Site) -> None:
    """End the job in order."""
    for task in site.tasks:
        site.claim(task)
        site.finish(task)


def test_a_run_that_died_after_the_last_study_is_recorded_as_dead(site: Site) -> None:
    end(site)
    site.last_heard_of(-60)
    assert site.reconcile() == NOTHING
    assert site.launcher.abandoned == [site.job.flow_run_id]
    assert site.job.status is JobStatus.SUCCESS
    site.reconcile()
    assert len(site.launcher.abandoned) == 1


def test_a_run_that_died_before_the_clock_was_put_back_is_recorded_as_dead(site: Site) -> None:
    end(site)
    site.last_heard_of(HOUR)
    site.reconcile()
    assert site.launcher.abandoned == [site.job.flow_run_id]


def test_a_run_whose_last_study_has_just_ended_may_come_to_its_end(site: Site) -> None:
    end(site)
    site.last_heard_of(-1)
    site.reconcile()
    assert site.launcher.abandoned == []


def test_a_run_that_was_canceled_while_it_started_is_ended_in_the_scheduler_too(site: Site) -> None:
    cancel_job(site.db, site.launcher, site.owner, site.job_id)
    site.reconcile()
    assert site.launcher.abandoned == [], "it may still end by itself"
    site.last_heard_of(-60)

    site.reconcile()

    assert site.launcher.abandoned == [site.job.flow_run_id]


def test_a_run_that_was_looked_at_once_is_left_alone(site: Site) -> None:
    end(site)
    site.last_heard_of(-90)
    with site.db.session() as session:
        session.get_one(Job, site.job_id).ended_at = utc_now() - timedelta(seconds=90)
        session.commit()

    site.reconcile()
    site.reconcile()

    assert site.launcher.abandoned == [site.job.flow_run_id]
