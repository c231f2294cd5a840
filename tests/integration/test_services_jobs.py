"""Jobs: submitting, showing, canceling, trying again; and who may do so."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlmodel import select

from adit_core.db import (
    AuditEvent,
    DicomNode,
    Job,
    JobStatus,
    NodeAccess,
    Permission,
    SeriesProgress,
    StorageForm,
    Task,
    TaskStatus,
    TransferOptions,
    User,
)
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InvalidInput, NotAllowed, NotFound
from adit_core.services.action_rules import JobAction
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.claims import (
    ClaimState,
    TaskCounts,
    claim_task,
    finish_task,
    renew_claim,
    unfinished_task_ids,
)
from adit_core.services.job_actions import cancel_job, resume_job, retry_failed
from adit_core.services.jobs import list_jobs, list_tasks, series_of_task, show_job
from adit_core.services.progress import record_progress
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from tests.fakes.launcher import FakeLauncher
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_job, make_server, make_user, told

BATCH = BatchFile(
    (
        BatchStudy("P1", "1.2.1", ("1.2.1.1",), rows=(2, 4)),
        BatchStudy("P2", "1.2.2", rows=(3,)),
    )
)
DELIVERED = TaskCounts(planned=2, delivered=2, sent=2, bytes_sent=1000)


@dataclass
class Clinic:
    """A user who may transfer from the PACS to a folder, and a scheduler."""

    db: Database
    user: User
    pacs: DicomNode
    folder: DicomNode
    launcher: FakeLauncher

    def submit(self, **changes) -> int:
        asked = {"source": "PACS", "destination": "Export", "owner_id": self.user.id}
        batch = changes.pop("batch", BATCH)
        request = TransferRequest(**{**asked, **changes})
        return submit_batch_transfer(self.db, self.launcher, request, batch)

    def run(self, job_id: int, *statuses: TaskStatus) -> None:
        """Execute the unfinished tasks of a job so that they end as told."""
        for task_id, status in zip(unfinished_task_ids(self.db, job_id), statuses, strict=True):
            assert claim_task(self.db, task_id, token="worker", lease=60) is not None
            counts = None if status is TaskStatus.FAILURE else DELIVERED
            assert finish_task(self.db, task_id, token="worker", status=status, message="", counts=counts)

    def job(self, job_id: int) -> Job:
        return load(self.db, Job, job_id)

    def tasks(self, job_id: int) -> list[Task]:
        with self.db.reading() as session:
            chosen = select(Task).where(Task.job_id == job_id)
            return sorted(session.exec(chosen), key=lambda task: task.id)

    def audited(self) -> list[str]:
        with self.db.reading() as session:
            return [
                f"{event.actor}: {event.action.value} {event.object_kind} {event.object_id}"
                for event in session.exec(select(AuditEvent))
            ]


@pytest.fixture
def clinic(database: Database) -> Clinic:
    user = make_user(database, "ada")
    pacs, folder = make_server(database), make_folder(database)
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    group = make_group(database, user, permissions=granted)
    allow(database, group, pacs, as_source=True)
    allow(database, group, folder, as_destination=True)
    return Clinic(database, user, pacs, folder, FakeLauncher())


def test_submitting_writes_the_job_with_its_tasks_and_has_it_run(clinic: Clinic) -> None:
    options = TransferOptions(excluded_modalities=("SR",))
    job_id = clinic.submit(name=" heads ", options=options)

    job = clinic.job(job_id)
    assert (job.name, job.status, job.run_number, job.options) == ("heads", JobStatus.PENDING, 1, options)
    assert job.flow_run_id == clinic.launcher.runs[f"job-{job_id}-run-1"]
    assert [
        (task.patient_id, task.study_instance_uid, task.series_instance_uids, task.rows, task.status)
        for task in clinic.tasks(job_id)
    ] == [
        ("P1", "1.2.1", ("1.2.1.1",), (2, 4), TaskStatus.PENDING),
        ("P2", "1.2.2", (), (3,), TaskStatus.PENDING),
    ]
    assert clinic.audited() == [f"ada: job submitted job {job_id}"]


def test_studies_that_keep_the_patients_name_need_a_permission_of_their_own(clinic: Clinic) -> None:
    colleague = make_user(clinic.db, "bea")
    group = make_group(clinic.db, colleague, permissions=(*TRANSFERS,))
    allow(clinic.db, group, clinic.pacs, as_source=True)
    allow(clinic.db, group, clinic.folder, as_destination=True)
    with pytest.raises(NotAllowed, match="permission to transfer unpseudonymized"):
        clinic.submit(owner_id=colleague.id)


def test_studies_are_transferred_from_folders_of_files_only(clinic: Clinic) -> None:
    files = make_folder(clinic.db, "Files")
    vault = make_folder(clinic.db, "Vault", storage=StorageForm.NIFTI)
    group = make_group(clinic.db, clinic.user)
    allow(clinic.db, group, files, as_source=True)
    allow(clinic.db, group, vault, as_source=True)

    assert clinic.job(clinic.submit(source="Files")).source_id == files.id
    with pytest.raises(InvalidInput, match="source: Vault holds no DICOM files"):
        clinic.submit(source="Vault")


def test_a_job_waits_while_the_scheduler_is_unavailable(clinic: Clinic) -> None:
    clinic.launcher.unavailable = True

    job = clinic.job(clinic.submit())

    assert (job.status, job.flow_run_id) == (JobStatus.PENDING, None)
    assert job.message == "Waits for the scheduler. Start it."


@pytest.mark.parametrize("urgent", [False, True])
def test_urgent_jobs_pass_others_if_the_user_may_have_them(clinic: Clinic, urgent: bool) -> None:
    make_group(clinic.db, clinic.user, permissions=(Permission.PROCESS_URGENTLY,))

    job_id = clinic.submit(urgent=urgent)

    assert clinic.launcher.urgent == ({clinic.job(job_id).flow_run_id} if urgent else set())


def test_urgency_needs_a_permission(clinic: Clinic) -> None:
    with pytest.raises(NotAllowed, match="permission to process urgently"):
        clinic.submit(urgent=True)


def test_transfers_need_a_permission(clinic: Clinic) -> None:
    outsider = make_user(clinic.db, "eve")
    group = make_group(clinic.db, outsider)
    allow(clinic.db, group, clinic.pacs, as_source=True)
    allow(clinic.db, group, clinic.folder, as_destination=True)

    with pytest.raises(NotAllowed, match="permission to transfer"):
        clinic.submit(owner_id=outsider.id)


def test_a_node_may_be_used_in_the_granted_role_only(clinic: Clinic) -> None:
    other = make_server(clinic.db, "Research")
    make_folder(clinic.db, "Private")
    group = make_group(clinic.db, clinic.user)
    allow(clinic.db, group, other, as_destination=True)

    clinic.submit(destination="Research")
    with pytest.raises(NotAllowed, match="Research as a source"):
        clinic.submit(source="Research")
    with pytest.raises(NotAllowed, match="Private as a destination"):
        clinic.submit(destination="Private")


def test_staff_need_no_permissions_but_an_open_account(clinic: Clinic) -> None:
    clinic.submit(owner_id=make_user(clinic.db, "root", staff=True).id, urgent=True)

    with pytest.raises(NotAllowed):
        clinic.submit(owner_id=make_user(clinic.db, "gone", staff=True, active=False).id)


def test_nodes_and_users_must_exist(clinic: Clinic) -> None:
    with pytest.raises(NotFound, match=r"no node called PACX\. Known nodes: Export, PACS\."):
        clinic.submit(source="PACX")
    with pytest.raises(NotFound, match="no such user"):
        clinic.submit(owner_id=12345)


def test_nodes_must_support_what_a_transfer_needs(clinic: Clinic) -> None:
    root = make_user(clinic.db, "root", staff=True)
    make_server(clinic.db, "No query", supports_find=False)
    make_server(clinic.db, "No retrieval", supports_get=False)
    make_server(clinic.db, "Moves", supports_get=False, supports_move=True)
    make_server(clinic.db, "No storage", supports_store=False)
    make_folder(clinic.db, "Vault", storage=StorageForm.NIFTI)

    def fields(source: str, destination: str) -> list[str | None]:
        with pytest.raises(InvalidInput) as caught:
            clinic.submit(owner_id=root.id, source=source, destination=destination)
        return [problem.field for problem in caught.value.problems]

    assert fields("No query", "Export") == ["source"]
    assert fields("No retrieval", "Export") == ["source"]
    assert fields("Vault", "PACS") == ["source"]
    assert fields("PACS", "No storage") == ["destination"]
    assert fields("PACS", "PACS") == ["destination"]
    assert fields("Vault", "Vault") == ["source", "destination"]
    assert clinic.submit(owner_id=root.id, source="Moves")


def test_a_pseudonym_is_refused_rather_than_ignored(clinic: Clinic) -> None:
    batch = BatchFile((BatchStudy("P1", "1.2.1", pseudonym="A", rows=(2,)),))

    with pytest.raises(InvalidInput, match="row 2, column Pseudonym: A pseudonym needs a project"):
        clinic.submit(batch=batch)


def test_a_job_without_studies_is_refused(clinic: Clinic) -> None:
    with pytest.raises(InvalidInput, match="no study"):
        clinic.submit(batch=BatchFile(()))
    assert list_jobs(clinic.db, clinic.user) == []


def test_a_job_shows_how_far_it_is(clinic: Clinic) -> None:
    job_id = clinic.submit()
    first, second = unfinished_task_ids(clinic.db, job_id)
    claim_task(clinic.db, first, token="worker", lease=60)
    finish_task(
        clinic.db,
        first,
        token="worker",
        status=TaskStatus.WARNING,
        message="",
        counts=TaskCounts(planned=10, delivered=8, filtered=2, sent=8, bytes_sent=3 << 30),
    )
    claim_task(clinic.db, second, token="worker", lease=60)
    record_progress(
        clinic.db,
        second,
        token="worker",
        series=[],
        counts=TaskCounts(planned=4, delivered=2, sent=2, bytes_sent=1 << 30),
    )
    _let_time_pass(clinic.db, job_id, seconds=30)

    view = show_job(clinic.db, clinic.user, job_id)

    assert (view.owner, view.source, view.destination) == ("ada", "PACS", "Export")
    assert (view.status, view.message) == (JobStatus.IN_PROGRESS, "1 of 2 studies ended with a warning.")
    assert view.actions == {JobAction.CANCEL}
    progress = view.progress
    assert progress.tasks == {TaskStatus.WARNING: 1, TaskStatus.IN_PROGRESS: 1}
    assert progress.counts == TaskCounts(planned=14, delivered=10, filtered=2, sent=10, bytes_sent=4 << 30)
    assert progress.bytes_per_second == pytest.approx((4 << 30) / 30, rel=0.2)
    # One and a half of two studies took 30 seconds.
    assert progress.share == pytest.approx(0.75)
    assert progress.seconds_left == pytest.approx(10, rel=0.2)


def test_a_job_that_has_not_started_has_no_speed(clinic: Clinic) -> None:
    progress = show_job(clinic.db, clinic.user, clinic.submit()).progress

    assert (progress.bytes_per_second, progress.seconds_left) == (None, None)
    assert progress.tasks == {TaskStatus.PENDING: 2}


def test_the_speed_of_a_repeated_run_leaves_out_what_an_earlier_one_sent(clinic: Clinic) -> None:
    job_id = clinic.submit()
    clinic.run(job_id, TaskStatus.SUCCESS, TaskStatus.FAILURE)
    retry_failed(clinic.db, clinic.launcher, clinic.user, job_id)
    (task_id,) = unfinished_task_ids(clinic.db, job_id)
    claim_task(clinic.db, task_id, token="worker", lease=60)

    progress = show_job(clinic.db, clinic.user, job_id).progress

    assert progress.counts.bytes_sent == 1000
    assert progress.share == 0.5
    assert progress.bytes_per_second == 0
    assert progress.seconds_left is None


def test_an_ended_job_has_a_mean_speed_and_nothing_left(clinic: Clinic) -> None:
    job_id = clinic.submit()
    clinic.run(job_id, TaskStatus.SUCCESS, TaskStatus.SUCCESS)

    view = show_job(clinic.db, clinic.user, job_id)

    assert view.status is JobStatus.SUCCESS
    assert view.actions == frozenset()
    assert view.started_at is not None
    assert view.ended_at is not None
    assert view.progress.bytes_per_second is not None
    elapsed = (view.ended_at - view.started_at).total_seconds()
    assert view.progress.bytes_per_second * elapsed == pytest.approx(2 * DELIVERED.bytes_sent)
    assert view.progress.seconds_left is None


def test_jobs_are_listed_newest_first_page_by_page(clinic: Clinic) -> None:
    ids = [clinic.submit() for _ in range(5)]
    cancel_job(clinic.db, clinic.launcher, clinic.user, ids[3])

    first = list_jobs(clinic.db, clinic.user, limit=2)
    rest = list_jobs(clinic.db, clinic.user, limit=10, before_id=first[-1].id)
    canceled = list_jobs(clinic.db, clinic.user, statuses=[JobStatus.CANCELED])

    assert [job.id for job in [*first, *rest]] == ids[::-1]
    assert [job.id for job in canceled] == [ids[3]]
    assert first[0].progress.tasks == {TaskStatus.PENDING: 2}


def test_tasks_are_listed_in_the_order_of_the_spreadsheet_page_by_page(clinic: Clinic) -> None:
    job_id = clinic.submit()
    clinic.run(job_id, TaskStatus.SUCCESS, TaskStatus.FAILURE)

    def uids(**chosen) -> list[str]:
        return [task.study_instance_uid for task in list_tasks(clinic.db, clinic.user, job_id, **chosen)]

    assert uids() == ["1.2.1", "1.2.2"]
    assert uids(limit=1) == ["1.2.1"]
    assert uids(after_id=clinic.tasks(job_id)[0].id) == ["1.2.2"]
    assert uids(statuses=[TaskStatus.FAILURE]) == ["1.2.2"]


def test_series_are_shown_by_their_number(clinic: Clinic) -> None:
    (task_id, _) = unfinished_task_ids(clinic.db, clinic.submit())
    claim_task(clinic.db, task_id, token="worker", lease=60)
    series = [
        SeriesProgress(task_id=task_id, series_instance_uid=f"1.{number}", series_number=number)
        for number in (10, 9)
    ]
    record_progress(clinic.db, task_id, token="worker", series=series, counts=TaskCounts())

    shown = series_of_task(clinic.db, clinic.user, task_id)

    assert [row.series_number for row in shown] == [9, 10]


def test_the_jobs_of_others_do_not_exist_for_a_user(clinic: Clinic) -> None:
    job_id = clinic.submit()
    (task_id, _) = unfinished_task_ids(clinic.db, job_id)
    other = make_user(clinic.db, "eve")
    make_group(clinic.db, other, permissions=tuple(Permission))
    closed = make_user(clinic.db, "gone", staff=True, active=False)

    for user in (other, closed):
        assert list_jobs(clinic.db, user) == []
        with pytest.raises(NotAllowed):
            list_jobs(clinic.db, user, all_users=True)
        for forbidden in (
            lambda user: show_job(clinic.db, user, job_id),
            lambda user: list_tasks(clinic.db, user, job_id),
            lambda user: series_of_task(clinic.db, user, task_id),
            lambda user: cancel_job(clinic.db, clinic.launcher, user, job_id),
            lambda user: retry_failed(clinic.db, clinic.launcher, user, job_id),
            lambda user: resume_job(clinic.db, clinic.launcher, user, job_id),
        ):
            with pytest.raises(NotFound, match="There is no"):
                forbidden(user)
    assert clinic.job(job_id).status is JobStatus.PENDING


def test_staff_see_and_change_the_jobs_of_all(clinic: Clinic) -> None:
    job_id = clinic.submit()
    root = make_user(clinic.db, "root", staff=True)

    assert [job.owner for job in list_jobs(clinic.db, root, all_users=True)] == ["ada"]
    assert list_jobs(clinic.db, root) == []
    cancel_job(clinic.db, clinic.launcher, root, job_id)
    assert show_job(clinic.db, root, job_id).status is JobStatus.CANCELED
    assert clinic.audited()[-1] == f"root: job canceled job {job_id}"


def test_canceling_a_job_that_has_not_started_ends_it_at_once(clinic: Clinic) -> None:
    job_id = clinic.submit()

    cancel_job(clinic.db, clinic.launcher, clinic.user, job_id)

    job = clinic.job(job_id)
    assert (job.status, job.message) == (JobStatus.CANCELED, "2 of 2 studies were canceled.")
    assert job.ended_at is not None
    assert {task.status for task in clinic.tasks(job_id)} == {TaskStatus.CANCELED}
    assert clinic.launcher.canceled == [job.flow_run_id]


def test_canceling_leaves_what_is_under_way_to_its_worker(clinic: Clinic) -> None:
    job_id = clinic.submit()
    (task_id, _) = unfinished_task_ids(clinic.db, job_id)
    claim_task(clinic.db, task_id, token="worker", lease=60)

    cancel_job(clinic.db, clinic.launcher, clinic.user, job_id)

    assert clinic.job(job_id).status is JobStatus.CANCELING
    assert [task.status for task in clinic.tasks(job_id)] == [TaskStatus.IN_PROGRESS, TaskStatus.CANCELED]
    assert renew_claim(clinic.db, task_id, token="worker", lease=60) is ClaimState.CANCEL_REQUESTED
    finish_task(clinic.db, task_id, token="worker", status=TaskStatus.CANCELED, message="", counts=None)
    assert clinic.job(job_id).status is JobStatus.CANCELED


def test_a_cancel_reaches_the_tasks_although_the_scheduler_is_unavailable(clinic: Clinic) -> None:
    job_id = clinic.submit()
    clinic.launcher.unavailable = True

    cancel_job(clinic.db, clinic.launcher, clinic.user, job_id)

    assert clinic.job(job_id).status is JobStatus.CANCELED


def test_a_cancel_that_comes_too_late_says_so_and_changes_nothing(clinic: Clinic) -> None:
    job_id = clinic.submit()
    clinic.run(job_id, TaskStatus.SUCCESS, TaskStatus.SUCCESS)

    with pytest.raises(
        ActionNotPossible,
        match=f"Job {job_id}: Only a job that waits or is in progress can be canceled; this one is SUCCESS",
    ):
        cancel_job(clinic.db, clinic.launcher, clinic.user, job_id)

    assert not clinic.job(job_id).cancel_requested


def test_retrying_begins_the_failed_tasks_anew_and_only_those(clinic: Clinic) -> None:
    job_id = clinic.submit()
    (_, failing) = unfinished_task_ids(clinic.db, job_id)
    clinic.run(job_id, TaskStatus.SUCCESS, TaskStatus.FAILURE)
    done_before = clinic.tasks(job_id)[0]

    retry_failed(clinic.db, clinic.launcher, clinic.user, job_id)

    job = clinic.job(job_id)
    assert (job.status, job.run_number, job.message) == (JobStatus.PENDING, 2, "")
    assert (job.started_at, job.ended_at) == (None, None)
    assert job.flow_run_id == clinic.launcher.runs[f"job-{job_id}-run-2"]
    assert clinic.tasks(job_id)[0] == done_before
    task = load(clinic.db, Task, failing)
    assert (task.status, task.attempts, task.ended_at) == (TaskStatus.PENDING, 0, None)
    assert [line.split(": ")[0] for line in told(clinic.db, failing)][-2:] == ["1 FAILURE", "1 PENDING"]
    clinic.run(job_id, TaskStatus.SUCCESS)
    assert clinic.job(job_id).status is JobStatus.SUCCESS


def test_retrying_forgets_the_account_of_the_failed_attempts(clinic: Clinic) -> None:
    job_id = clinic.submit()
    (first, second) = unfinished_task_ids(clinic.db, job_id)
    for task_id in (first, second):
        claim_task(clinic.db, task_id, token="worker", lease=60)
        series = [SeriesProgress(task_id=task_id, series_instance_uid="1.2.3", planned=5, delivered=2)]
        counts = TaskCounts(planned=5, delivered=2, sent=2, bytes_sent=99)
        record_progress(clinic.db, task_id, token="worker", series=series, counts=counts)
        finish_task(clinic.db, task_id, token="worker", status=TaskStatus.FAILURE, message="", counts=None)

    retry_failed(clinic.db, clinic.launcher, clinic.user, job_id)

    view = show_job(clinic.db, clinic.user, job_id)
    assert view.progress.counts == TaskCounts()
    assert series_of_task(clinic.db, clinic.user, first) == []


def test_retrying_needs_a_failed_task(clinic: Clinic) -> None:
    job_id = clinic.submit()
    with pytest.raises(ActionNotPossible, match="this one is PENDING"):
        retry_failed(clinic.db, clinic.launcher, clinic.user, job_id)

    clinic.run(job_id, TaskStatus.WARNING, TaskStatus.SUCCESS)
    with pytest.raises(ActionNotPossible, match="None of its tasks failed"):
        retry_failed(clinic.db, clinic.launcher, clinic.user, job_id)


def test_resuming_goes_on_with_what_was_canceled(clinic: Clinic) -> None:
    job_id = clinic.submit()
    first, second = unfinished_task_ids(clinic.db, job_id)
    claim_task(clinic.db, first, token="worker", lease=60)
    finish_task(clinic.db, first, token="worker", status=TaskStatus.SUCCESS, message="", counts=DELIVERED)
    cancel_job(clinic.db, clinic.launcher, clinic.user, job_id)

    resume_job(clinic.db, clinic.launcher, clinic.user, job_id)

    assert unfinished_task_ids(clinic.db, job_id) == [second]
    clinic.run(job_id, TaskStatus.SUCCESS)
    job = clinic.job(job_id)
    assert (job.status, job.run_number, job.cancel_requested) == (JobStatus.SUCCESS, 2, False)


def test_only_a_canceled_job_can_be_resumed(clinic: Clinic) -> None:
    with pytest.raises(ActionNotPossible, match="Only a canceled job can be resumed; this one is PENDING"):
        resume_job(clinic.db, clinic.launcher, clinic.user, clinic.submit())


def test_rights_that_were_taken_away_are_missed_when_a_job_begins_anew(clinic: Clinic) -> None:
    failed, canceled = clinic.submit(), clinic.submit()
    clinic.run(failed, TaskStatus.FAILURE, TaskStatus.FAILURE)
    cancel_job(clinic.db, clinic.launcher, clinic.user, canceled)
    with clinic.db.session() as session:
        for access in session.exec(select(NodeAccess)):
            session.delete(access)
        session.commit()

    with pytest.raises(NotAllowed):
        retry_failed(clinic.db, clinic.launcher, clinic.user, failed)
    with pytest.raises(NotAllowed):
        resume_job(clinic.db, clinic.launcher, clinic.user, canceled)

    assert clinic.job(failed).status is JobStatus.FAILURE


def test_of_two_retries_at_once_one_is_told_that_it_is_too_late(clinic: Clinic) -> None:
    job_id = clinic.submit()
    clinic.run(job_id, TaskStatus.FAILURE, TaskStatus.FAILURE)

    def retry(_number: int) -> bool:
        try:
            retry_failed(clinic.db, clinic.launcher, clinic.user, job_id)
        except ActionNotPossible:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(retry, range(4))) == [False, False, False, True]
    assert clinic.job(job_id).run_number == 2


def test_a_cancel_and_claims_at_the_same_moment_leave_no_task_behind(database: Database) -> None:
    for number in range(5):
        user = make_user(database, f"user {number}")
        job = make_job(database, studies=6, owner=user)
        task_ids = unfinished_task_ids(database, job.id)

        def work(task_id: int) -> bool:
            if claim_task(database, task_id, token=str(task_id), lease=60) is None:
                return False
            state = renew_claim(database, task_id, token=str(task_id), lease=60)
            canceled = state is ClaimState.CANCEL_REQUESTED
            return finish_task(
                database,
                task_id,
                token=str(task_id),
                status=TaskStatus.CANCELED if canceled else TaskStatus.SUCCESS,
                message="",
                counts=None if canceled else DELIVERED,
            )

        with ThreadPoolExecutor(7) as pool:
            done = [pool.submit(work, task_id) for task_id in task_ids]
            cancel = pool.submit(_cancel_if_possible, database, user, job.id)
            finished = sum(future.result() for future in done)

        tasks = show_job(database, user, job.id).progress.tasks
        assert not tasks.keys() & {TaskStatus.PENDING, TaskStatus.IN_PROGRESS}
        if cancel.result() and tasks.get(TaskStatus.CANCELED):
            assert load(database, Job, job.id).status is JobStatus.CANCELED
        else:
            assert finished == len(task_ids)
            assert load(database, Job, job.id).status is JobStatus.SUCCESS


def _cancel_if_possible(db: Database, user: User, job_id: int) -> bool:
    try:
        cancel_job(db, FakeLauncher(), user, job_id)
    except ActionNotPossible:
        return False
    return True


def _let_time_pass(db: Database, job_id: int, *, seconds: float) -> None:
    """Put the start of a job and its tasks back."""
    start = utc_now() - timedelta(seconds=seconds)
    with db.session() as session:
        session.get_one(Job, job_id).started_at = start
        for task in session.exec(select(Task).where(Task.job_id == job_id)):
            task.started_at = start
        session.commit()
