"""Actions on jobs and tasks: what they change, who did it, and what the scheduler is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from adit_core.db import (
    AuditEvent,
    DicomNode,
    Job,
    JobEvent,
    JobStatus,
    Permission,
    Task,
    TaskStatus,
    User,
)
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, NotAllowed, NotFound, StudyFailed
from adit_core.services.action_rules import JobAction, TaskAction
from adit_core.services.claims import (
    ClaimState,
    claim_task,
    finish_task,
    hand_back_task,
    renew_claim,
    unfinished_task_ids,
)
from adit_core.services.job_actions import (
    JOB_ACTIONS,
    cancel_job,
    delete_job,
    make_urgent,
    restart_job,
    resume_job,
    retry_failed,
    verify_job,
)
from adit_core.services.jobs import show_job
from adit_core.services.launching import launch_job
from adit_core.services.progress import TaskCounts
from adit_core.services.reconcile import reconcile
from adit_core.services.run_heartbeat import RunHeartbeat
from adit_core.services.run_job import JobRun
from adit_core.services.task_actions import delete_task, kill_task, refusals_of_task, reset_task
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_job, make_user, told

DELIVERED = TaskCounts(planned=1, delivered=1, sent=1, bytes_sent=1)


@dataclass
class Ward:
    """A job of three studies, its owner and a member of staff."""

    db: Database
    owner: User
    staff: User
    job_id: int
    launcher: FakeLauncher

    @property
    def job(self) -> Job:
        return load(self.db, Job, self.job_id)

    @property
    def statuses(self) -> list[TaskStatus]:
        with self.db.reading() as session:
            chosen = select(Task.status).where(Task.job_id == self.job_id).order_by(col(Task.id))
            return [TaskStatus(status) for status in session.exec(chosen)]

    @property
    def task_ids(self) -> list[int]:
        with self.db.reading() as session:
            chosen = select(Task.id).where(Task.job_id == self.job_id).order_by(col(Task.id))
            return list(session.exec(chosen))

    def do(self, action: Callable[..., None], user: User | None = None, **arguments: Any) -> None:
        action(self.db, self.launcher, user or self.owner, self.job_id, **arguments)

    def do_with_task(self, action: Callable[..., None], number: int, user: User | None = None) -> None:
        action(self.db, self.launcher, user or self.owner, self.task_ids[number])

    def start(self, number: int) -> int:
        task_id = self.task_ids[number]
        assert claim_task(self.db, task_id, token="worker", lease=60) is not None
        return task_id

    def end(self, number: int, status: TaskStatus) -> None:
        task_id = self.start(number)
        counts = DELIVERED if status is TaskStatus.SUCCESS else None
        assert finish_task(self.db, task_id, token="worker", status=status, message="", counts=counts)

    def end_all(self, *statuses: TaskStatus) -> None:
        for number, status in enumerate(statuses):
            self.end(number, status)

    def audited(self) -> list[str]:
        with self.db.reading() as session:
            events = session.exec(select(AuditEvent).order_by(col(AuditEvent.id)))
            return [f"{event.actor} {event.address}: {event.action.value}" for event in events]

    def told(self) -> list[str]:
        """What is told of the job itself, with who wanted it."""
        chosen = select(JobEvent).where(JobEvent.job_id == self.job_id, col(JobEvent.task_id).is_(None))
        with self.db.reading() as session:
            events = session.exec(chosen.order_by(col(JobEvent.id)))
            return [f"{event.actor}: {event.message}" for event in events if event.actor]

    def wait_for_approval(self) -> None:
        with self.db.session() as session:
            job = session.get_one(Job, self.job_id)
            job.status, job.flow_run_id = JobStatus.UNVERIFIED, None
            session.commit()
        self.launcher.runs.clear()


@pytest.fixture
def ward(database: Database) -> Ward:
    owner = make_user(database, "ada")
    staff = make_user(database, "root", staff=True)
    job = make_job(database, studies=3, owner=owner)
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    group = make_group(database, owner, permissions=granted)
    allow(database, group, load(database, DicomNode, job.source_id), as_source=True)
    allow(database, group, load(database, DicomNode, job.destination_id), as_destination=True)
    launcher = FakeLauncher()
    launch_job(database, launcher, job.id)
    return Ward(database, owner, staff, job.id, launcher)


def test_a_job_that_waits_for_approval_never_runs(ward: Ward) -> None:
    ward.wait_for_approval()

    assert launch_job(ward.db, ward.launcher, ward.job_id)
    assert reconcile(ward.db, ward.launcher, lease=60).jobs_launched == 0
    assert claim_task(ward.db, ward.task_ids[0], token="worker", lease=60) is None
    with pytest.raises(ActionNotPossible, match=f"Job {ward.job_id} waits for approval"):
        JobRun(ward.db, ward.job_id, Settings())

    assert ward.launcher.runs == {}
    assert ward.job.status is JobStatus.UNVERIFIED
    assert set(ward.statuses) == {TaskStatus.PENDING}


def test_staff_approve_a_job_and_it_runs(ward: Ward) -> None:
    ward.wait_for_approval()

    ward.do(verify_job, ward.staff, address="10.0.0.7")

    assert (ward.job.status, ward.job.flow_run_id) == (
        JobStatus.PENDING,
        ward.launcher.runs[f"job-{ward.job_id}-run-1"],
    )
    assert ward.audited() == ["root 10.0.0.7: job verified"]
    assert ward.told() == ["root: Approved."]
    with pytest.raises(ActionNotPossible, match="waits for approval can be verified; this one is PENDING"):
        ward.do(verify_job, ward.staff)


def test_the_owner_cannot_approve(ward: Ward) -> None:
    ward.wait_for_approval()

    with pytest.raises(NotAllowed, match="Only staff"):
        ward.do(verify_job)

    assert ward.job.status is JobStatus.UNVERIFIED
    assert ward.audited() == []


def test_what_is_not_chosen_when_a_job_is_approved_is_never_done(ward: Ward) -> None:
    ward.wait_for_approval()

    ward.do(verify_job, ward.staff, task_ids=[ward.task_ids[1]])

    assert ward.statuses == [TaskStatus.CANCELED, TaskStatus.PENDING, TaskStatus.CANCELED]
    assert told(ward.db, ward.task_ids[0]) == ["0 CANCELED: Not approved."]
    ward.end(1, TaskStatus.SUCCESS)
    assert ward.job.status is JobStatus.CANCELED
    with pytest.raises(ActionNotPossible, match="None of its canceled tasks was approved"):
        ward.do(resume_job)
    with pytest.raises(NotAllowed, match="not approved"):
        ward.do_with_task(reset_task, 0)
    ward.do(restart_job, ward.staff)
    assert ward.statuses == [TaskStatus.CANCELED, TaskStatus.PENDING, TaskStatus.CANCELED]


def test_a_member_of_staff_can_have_a_refused_task_done_after_all(ward: Ward) -> None:
    ward.wait_for_approval()
    ward.do(verify_job, ward.staff, task_ids=ward.task_ids[1:])

    ward.do_with_task(reset_task, 0, ward.staff)

    ward.end_all(TaskStatus.SUCCESS, TaskStatus.SUCCESS, TaskStatus.SUCCESS)
    assert ward.job.status is JobStatus.SUCCESS


def test_only_tasks_of_the_job_can_be_approved(ward: Ward) -> None:
    ward.wait_for_approval()

    with pytest.raises(NotFound, match="has no task 12345"):
        ward.do(verify_job, ward.staff, task_ids=[ward.task_ids[0], 12345])

    assert ward.job.status is JobStatus.UNVERIFIED
    assert ward.audited() == ward.told() == []


def test_a_deleted_job_is_gone_with_all_that_belongs_to_it(ward: Ward) -> None:
    flow_run_id, task_ids = ward.job.flow_run_id, ward.task_ids
    ward.do(make_urgent, ward.staff)

    ward.do(delete_job)

    with pytest.raises(NotFound):
        show_job(ward.db, ward.staff, ward.job_id)
    with ward.db.reading() as session:
        assert session.exec(select(Task)).all() == session.exec(select(JobEvent)).all() == []
    assert flow_run_id in ward.launcher.canceled
    assert ward.audited()[-1] == "ada : job deleted"
    with pytest.raises(NotFound):
        JobRun(ward.db, ward.job_id, Settings())
    assert claim_task(ward.db, task_ids[0], token="worker", lease=60) is None


def test_a_job_of_which_a_task_was_started_is_not_deleted(ward: Ward) -> None:
    task_id = ward.start(0)
    hand_back_task(ward.db, task_id, token="worker", message="Stopped.", counts=None, counted=False)
    ward.do(cancel_job)
    ward.do(resume_job)
    assert ward.job.status is JobStatus.PENDING

    with pytest.raises(ActionNotPossible, match="anything was started cannot be deleted"):
        ward.do(delete_job)

    assert len(ward.statuses) == 3


def test_staff_restart_a_job_with_all_its_tasks(ward: Ward) -> None:
    ward.end_all(TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.SUCCESS)
    with pytest.raises(NotAllowed, match="Only staff"):
        ward.do(restart_job)

    ward.do(restart_job, ward.staff)

    assert set(ward.statuses) == {TaskStatus.PENDING}
    assert (ward.job.status, ward.job.run_number) == (JobStatus.PENDING, 2)
    assert ward.job.flow_run_id == ward.launcher.runs[f"job-{ward.job_id}-run-2"]
    assert ward.audited()[-1] == "root : job restarted"
    assert told(ward.db, ward.task_ids[1])[-1] == "1 PENDING: Restarted."


def test_a_job_that_waits_moves_to_the_urgent_queue(ward: Ward) -> None:
    waiting = ward.job.flow_run_id

    ward.do(make_urgent, ward.staff)

    assert ward.launcher.canceled == [waiting]
    assert ward.launcher.urgent == {ward.job.flow_run_id}
    assert ward.job.flow_run_id == ward.launcher.runs[f"job-{ward.job_id}-run-2"]
    assert ward.told() == ["root: Made urgent."]


def test_a_job_that_runs_goes_on_when_it_is_made_urgent(ward: Ward) -> None:
    run = ward.job.flow_run_id
    with RunHeartbeat(ward.db, ward.job_id, run_number=1, lease=60):
        ward.do(make_urgent, ward.staff)
        assert (ward.job.urgent, ward.job.run_number, ward.job.flow_run_id) == (True, 1, run)
        assert ward.launcher.canceled == []
        ward.end_all(TaskStatus.FAILURE, TaskStatus.FAILURE, TaskStatus.FAILURE)

    ward.do(retry_failed, ward.staff)

    assert ward.launcher.urgent == {ward.job.flow_run_id}


def test_urgency_needs_the_permission_after_submission_too(ward: Ward) -> None:
    with pytest.raises(NotAllowed, match="permission to process urgently"):
        ward.do(make_urgent)
    make_group(ward.db, ward.owner, permissions=(Permission.PROCESS_URGENTLY,))

    ward.do(make_urgent)

    assert ward.job.urgent


def test_a_job_waiting_for_approval_that_is_made_urgent_goes_on_waiting(ward: Ward) -> None:
    ward.wait_for_approval()

    ward.do(make_urgent, ward.staff)

    assert ward.launcher.runs == {}
    ward.do(verify_job, ward.staff)
    assert ward.launcher.urgent == {ward.job.flow_run_id}


@pytest.mark.parametrize("action", [action for action in JobAction if action is not JobAction.MAKE_URGENT])
def test_an_action_that_came_too_late_changes_nothing(ward: Ward, action: JobAction) -> None:
    ward.end_all(TaskStatus.SUCCESS, TaskStatus.SUCCESS)
    ward.start(2)
    ward.do(cancel_job)
    before, audited, runs = ward.job, ward.audited(), dict(ward.launcher.runs)

    with pytest.raises(ActionNotPossible, match=f"Job {ward.job_id}: "):
        ward.do(JOB_ACTIONS[action], ward.staff)

    assert (ward.job, ward.audited(), ward.launcher.runs) == (before, audited, runs)


def test_the_view_of_a_job_says_what_may_be_done_and_why_the_rest_may_not(ward: Ward) -> None:
    view = show_job(ward.db, ward.owner, ward.job_id)

    assert view.actions == {JobAction.DELETE, JobAction.CANCEL}
    assert view.refusals[JobAction.RESUME] == "Only a canceled job can be resumed; this one is PENDING."
    assert view.refusals[JobAction.RESTART] == "Only staff may do this."
    assert JobAction.MAKE_URGENT in show_job(ward.db, ward.staff, ward.job_id).actions


def test_a_task_that_waits_is_deleted(ward: Ward) -> None:
    study = load(ward.db, Task, ward.task_ids[1]).study_instance_uid
    ward.end(0, TaskStatus.SUCCESS)

    ward.do_with_task(delete_task, 1)

    assert ward.statuses == [TaskStatus.SUCCESS, TaskStatus.PENDING]
    assert any(study in line for line in ward.told())
    assert ward.audited()[-1] == "ada : task deleted"
    ward.do_with_task(delete_task, 1)
    assert ward.job.status is JobStatus.SUCCESS, "nothing is left to do"


def test_the_last_task_of_a_job_cannot_be_deleted(ward: Ward) -> None:
    ward.do_with_task(delete_task, 0)
    ward.do_with_task(delete_task, 0)

    with pytest.raises(ActionNotPossible, match="only task of its job"):
        ward.do_with_task(delete_task, 0)


def test_a_task_that_is_reset_while_its_job_goes_on_is_taken_up_by_the_same_run(ward: Ward) -> None:
    ward.end(0, TaskStatus.FAILURE)
    runs = dict(ward.launcher.runs)

    ward.do_with_task(reset_task, 0)

    assert ward.statuses[0] is TaskStatus.PENDING
    assert (ward.job.status, ward.job.run_number) == (JobStatus.IN_PROGRESS, 1)
    assert ward.launcher.runs == runs
    assert unfinished_task_ids(ward.db, ward.job_id) == ward.task_ids
    assert told(ward.db, ward.task_ids[0])[-1] == "1 PENDING: Reset."


def test_a_task_that_is_reset_after_its_job_has_ended_gives_that_a_new_run(ward: Ward) -> None:
    ward.end_all(TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.SUCCESS)

    ward.do_with_task(reset_task, 1)

    assert ward.statuses == [TaskStatus.SUCCESS, TaskStatus.PENDING, TaskStatus.SUCCESS]
    assert ward.job.flow_run_id == ward.launcher.runs[f"job-{ward.job_id}-run-2"]
    ward.end(1, TaskStatus.SUCCESS)
    assert ward.job.status is JobStatus.SUCCESS


def test_a_canceled_task_that_is_reset_does_not_bring_back_the_others(ward: Ward) -> None:
    ward.do(cancel_job)

    ward.do_with_task(reset_task, 0)

    assert ward.statuses == [TaskStatus.PENDING, TaskStatus.CANCELED, TaskStatus.CANCELED]
    ward.end(0, TaskStatus.SUCCESS)
    assert ward.job.status is JobStatus.CANCELED


def test_staff_have_an_attempt_killed_and_its_worker_hears_of_it(ward: Ward) -> None:
    task_id = ward.start(0)
    with pytest.raises(NotAllowed, match="Only staff"):
        ward.do_with_task(kill_task, 0)

    ward.do_with_task(kill_task, 0, ward.staff)

    assert renew_claim(ward.db, task_id, token="worker", lease=60) is ClaimState.KILL_REQUESTED
    assert ward.audited() == ["root : task killed"]
    with pytest.raises(ActionNotPossible, match="this one is PENDING"):
        ward.do_with_task(kill_task, 1, ward.staff)


def test_a_kill_is_not_forgotten_when_the_worker_gives_the_task_back(ward: Ward) -> None:
    task_id = ward.start(0)
    ward.do_with_task(kill_task, 0, ward.staff)

    hand_back_task(ward.db, task_id, token="worker", message="Stopped.", counts=None, counted=False)

    task = load(ward.db, Task, task_id)
    assert (task.status, task.message) == (TaskStatus.FAILURE, "Killed.")


def test_the_tasks_of_others_look_as_if_there_were_none(ward: Ward) -> None:
    stranger = make_user(ward.db, "eve")

    for action in (delete_task, reset_task, kill_task):
        with pytest.raises(NotFound, match="There is no task"):
            ward.do_with_task(action, 0, stranger)
    with pytest.raises(NotFound):
        refusals_of_task(ward.db, stranger, ward.task_ids[0])


def test_what_may_be_done_with_a_task_is_told(ward: Ward) -> None:
    assert refusals_of_task(ward.db, ward.owner, ward.task_ids[0]).keys() == {
        TaskAction.RESET,
        TaskAction.KILL,
    }


def test_a_run_takes_up_what_is_reset_while_it_goes_on_and_nothing_else(ward: Ward, tmp_path: Path) -> None:
    for name in ("source", "destination"):
        (tmp_path / name).mkdir()
    source = make_folder(ward.db, "empty", path=str(tmp_path / "source"))
    destination = make_folder(ward.db, "target", path=str(tmp_path / "destination"))
    with ward.db.session() as session:
        job = session.get_one(Job, ward.job_id)
        job.source_id, job.destination_id = source.id, destination.id
        session.commit()
    with JobRun(ward.db, ward.job_id, Settings(studies_in_flight=1)) as run:
        for task_id in run.new_tasks()[:2]:
            with pytest.raises(StudyFailed):
                run.perform(task_id)
        assert run.new_tasks() == []

        ward.do_with_task(reset_task, 0, ward.staff)

        assert run.new_tasks() == ward.task_ids[:1]
