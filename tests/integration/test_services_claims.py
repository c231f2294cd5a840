"""Claims on tasks: exactly one worker at a time, whatever happens to it."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Job, JobStatus, SeriesProgress, Task, TaskStatus, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.claims import (
    ClaimState,
    TaskCounts,
    claim_task,
    finish_task,
    hand_back_task,
    renew_claim,
    unfinished_task_ids,
)
from adit_core.services.job_status import job_result
from adit_core.services.progress import record_progress
from tests.rows import load, make_job, make_user, told

LEASE = 60.0
EXPIRED = -1.0
ALL_DELIVERED = TaskCounts(planned=3, delivered=3, sent=3, bytes_sent=3 << 30)


def claim(db: Database, task_id: int, *, token: str = "mine", lease: float = LEASE) -> Task:
    task = claim_task(db, task_id, token=token, lease=lease)
    assert task is not None
    return task


def succeed(db: Database, task_id: int, *, token: str = "mine") -> bool:
    return finish_task(db, task_id, token=token, status=TaskStatus.SUCCESS, message="", counts=ALL_DELIVERED)


def fail(db: Database, task_id: int, *, token: str = "mine") -> bool:
    return finish_task(db, task_id, token=token, status=TaskStatus.FAILURE, message="no", counts=None)


def test_a_claim_starts_an_attempt(database: Database) -> None:
    job = make_job(database, studies=2)
    first, second = unfinished_task_ids(database, job.id)

    task = claim(database, first)

    assert (task.status, task.attempts, task.claim_token) == (TaskStatus.IN_PROGRESS, 1, "mine")
    assert task.started_at is not None
    assert told(database, first) == ["1 IN_PROGRESS: Started."]
    assert load(database, Job, job.id).status is JobStatus.IN_PROGRESS
    assert load(database, Task, second).status is TaskStatus.PENDING


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_lets_nobody_do_a_task_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    with monkeypatch.context() as patch:
        patch.setattr("adit_core.db.clock.utc_now", lambda: utc_now() + timedelta(hours=hours))
        claim(database, task_id, token="mine")
    taken = claim_task(database, task_id, token="theirs", lease=LEASE)
    if database.engine.dialect.name == "postgresql":
        assert taken is None, "the clocks of machines matter"
    assert succeed(database, task_id, token="mine") is (taken is None)
    assert succeed(database, task_id, token="theirs") is (taken is not None)
    assert load(database, Task, task_id).delivered == 3


def test_a_claimed_task_cannot_be_claimed_again(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)

    assert claim_task(database, task_id, token="other", lease=LEASE) is None
    assert load(database, Task, task_id).claim_token == "mine"


def test_an_ended_task_cannot_be_claimed(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)
    assert succeed(database, task_id)

    assert claim_task(database, task_id, token="other", lease=LEASE) is None
    assert unfinished_task_ids(database, load(database, Task, task_id).job_id) == []


def test_a_task_that_does_not_exist_cannot_be_claimed(database: Database) -> None:
    assert claim_task(database, 12345, token="mine", lease=LEASE) is None


def test_a_task_of_a_job_that_is_being_canceled_cannot_be_claimed(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database, cancel_requested=True).id)

    assert claim_task(database, task_id, token="mine", lease=LEASE) is None


def test_an_expired_claim_can_be_taken_over(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id, token="dead", lease=EXPIRED)

    task = claim(database, task_id, token="alive")

    assert (task.claim_token, task.attempts) == ("alive", 2)


def test_the_loser_of_a_claim_can_change_nothing(database: Database) -> None:
    job = make_job(database)
    (task_id,) = unfinished_task_ids(database, job.id)
    claim(database, task_id, token="dead", lease=EXPIRED)
    claim(database, task_id, token="alive")
    before = load(database, Task, task_id)
    series = [SeriesProgress(task_id=task_id, series_instance_uid="1.2.3", planned=9)]

    assert renew_claim(database, task_id, token="dead", lease=LEASE) is ClaimState.LOST
    assert not record_progress(database, task_id, token="dead", series=series, counts=ALL_DELIVERED)
    assert not succeed(database, task_id, token="dead")
    assert not hand_back_task(database, task_id, token="dead", message="", counts=ALL_DELIVERED, counted=True)

    assert load(database, Task, task_id) == before
    with database.reading() as session:
        assert session.exec(select(SeriesProgress)).all() == []
    assert load(database, Job, job.id).status is JobStatus.IN_PROGRESS


def test_a_finished_task_cannot_be_finished_again(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)
    assert succeed(database, task_id)

    assert not fail(database, task_id)
    assert renew_claim(database, task_id, token="mine", lease=LEASE) is ClaimState.LOST
    assert load(database, Task, task_id).status is TaskStatus.SUCCESS


def test_renewing_keeps_a_claim_from_others(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id, lease=EXPIRED)

    assert renew_claim(database, task_id, token="mine", lease=LEASE) is ClaimState.HELD
    assert claim_task(database, task_id, token="other", lease=LEASE) is None


def test_renewing_tells_of_a_cancel(database: Database) -> None:
    job = make_job(database)
    (task_id,) = unfinished_task_ids(database, job.id)
    claim(database, task_id)
    _request_cancel(database, job.id)

    assert renew_claim(database, task_id, token="mine", lease=LEASE) is ClaimState.CANCEL_REQUESTED


def test_finishing_settles_the_job_and_keeps_the_account(database: Database) -> None:
    job = make_job(database)
    (task_id,) = unfinished_task_ids(database, job.id)
    claim(database, task_id)

    assert succeed(database, task_id)

    task = load(database, Task, task_id)
    assert (task.planned, task.delivered, task.bytes_sent) == (3, 3, 3 << 30)
    assert task.ended_at is not None
    assert (task.claim_token, task.claimed_until) == (None, None)
    job = load(database, Job, job.id)
    assert job.status is JobStatus.SUCCESS
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.started_at <= job.ended_at


def test_a_failure_without_an_account_closes_the_recorded_one(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)
    series = [SeriesProgress(task_id=task_id, series_instance_uid="1.2.3", planned=10, delivered=4)]
    recorded = TaskCounts(planned=10, delivered=4, sent=4)
    assert record_progress(database, task_id, token="mine", series=series, counts=recorded)

    assert fail(database, task_id)

    task = load(database, Task, task_id)
    assert (task.planned, task.delivered, task.filtered, task.failed) == (10, 4, 0, 6)
    assert load(database, SeriesProgress, (task_id, "1.2.3")).failed == 6


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (TaskStatus.SUCCESS, None),
        (TaskStatus.SUCCESS, TaskCounts(planned=3, delivered=2, failed=1)),
        (TaskStatus.WARNING, TaskCounts(planned=3, delivered=2, failed=1)),
        (TaskStatus.FAILURE, TaskCounts(planned=3, delivered=2)),
    ],
)
def test_an_account_that_is_short_of_an_instance_is_refused(
    database: Database, status: TaskStatus, counts: TaskCounts | None
) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)

    with pytest.raises(ValueError, match=r"account does not add up|cannot end as"):
        finish_task(database, task_id, token="mine", status=status, message="", counts=counts)

    assert load(database, Task, task_id).status is TaskStatus.IN_PROGRESS


def test_a_failed_attempt_is_counted_and_a_stopped_one_is_not(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)
    assert hand_back_task(database, task_id, token="mine", message="busy", counts=None, counted=True)
    assert load(database, Task, task_id).attempts == 1

    claim(database, task_id)
    assert hand_back_task(database, task_id, token="mine", message="stopped", counts=None, counted=False)

    task = load(database, Task, task_id)
    assert (task.status, task.attempts, task.message) == (TaskStatus.PENDING, 1, "stopped")
    assert told(database, task_id) == [
        "1 IN_PROGRESS: Started.",
        "1 PENDING: busy",
        "2 IN_PROGRESS: Started.",
        "2 PENDING: stopped",
    ]


def test_a_task_that_is_handed_back_while_its_job_is_canceled_ends(database: Database) -> None:
    job = make_job(database)
    (task_id,) = unfinished_task_ids(database, job.id)
    claim(database, task_id)
    _request_cancel(database, job.id)

    assert hand_back_task(database, task_id, token="mine", message="stopped", counts=None, counted=False)

    assert load(database, Task, task_id).status is TaskStatus.CANCELED
    assert load(database, Job, job.id).status is JobStatus.CANCELED


def test_messages_may_hold_what_a_database_cannot_store(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)

    assert hand_back_task(
        database, task_id, token="mine", message="peer said: no\x00\nway", counts=None, counted=True
    )

    assert told(database, task_id)[-1] == "1 PENDING: peer said: no\nway"


def test_progress_replaces_what_was_recorded_of_a_series(database: Database) -> None:
    (task_id,) = unfinished_task_ids(database, make_job(database).id)
    claim(database, task_id)

    for delivered in (1, 2):
        series = [
            SeriesProgress(
                task_id=task_id, series_instance_uid=uid, modality="CT", planned=3, delivered=delivered
            )
            for uid in ("1.2.3", "1.2.4")
        ]
        counts = TaskCounts(planned=6, delivered=2 * delivered, sent=2 * delivered)
        assert record_progress(database, task_id, token="mine", series=series, counts=counts)

    with database.reading() as session:
        rows = session.exec(select(SeriesProgress)).all()
    assert sorted((row.series_instance_uid, row.modality, row.delivered) for row in rows) == [
        ("1.2.3", "CT", 2),
        ("1.2.4", "CT", 2),
    ]
    assert load(database, Task, task_id).delivered == 4


def test_what_was_delivered_is_in_the_audit_trail(database: Database) -> None:
    job = make_job(database, studies=3)
    delivered, partly, nothing = unfinished_task_ids(database, job.id)
    for task_id in (delivered, partly, nothing):
        claim(database, task_id)
    succeed(database, delivered)
    record_progress(
        database, partly, token="mine", series=[], counts=TaskCounts(planned=2, delivered=1, sent=1)
    )
    fail(database, partly)
    fail(database, nothing)

    with database.reading() as session:
        events = session.exec(select(AuditEvent).order_by(AuditEvent.id)).all()  # pyright: ignore[reportArgumentType]

    assert [(event.action, event.actor, event.object_id, event.succeeded) for event in events] == [
        (AuditAction.STUDY_TRANSFERRED, "ada", "1.2.1", True),
        (AuditAction.STUDY_TRANSFERRED, "ada", "1.2.2", False),
    ]


def test_the_result_of_a_job_counts_its_tasks(database: Database) -> None:
    job = make_job(database, studies=3)
    first, second, _ = unfinished_task_ids(database, job.id)
    for task_id in (first, second):
        claim(database, task_id)
    succeed(database, first)
    fail(database, second)

    result = job_result(database, job.id)

    assert result.or_raise() == {"SUCCESS": 1, "FAILURE": 1, "PENDING": 1}
    assert result.message == "1 of 3 studies failed."


def test_of_eight_threads_exactly_one_gets_a_claim(database: Database) -> None:
    task_ids = unfinished_task_ids(database, make_job(database, studies=5).id)

    for task_id in task_ids:
        with ThreadPoolExecutor(8) as pool:
            claims = pool.map(
                lambda number, task_id=task_id: claim_task(
                    database, task_id, token=f"thread {number}", lease=LEASE
                ),
                range(8),
            )
            winners = [task.claim_token for task in claims if task is not None]
        assert winners == [load(database, Task, task_id).claim_token]


def _take_all(db: Database, job_id: int, start_at: float) -> list[int]:
    """Claim and finish, as a worker in a process of its own, whatever can be had."""
    time.sleep(max(0.0, start_at - time.time()))
    token = str(uuid4())
    taken = []
    for task_id in unfinished_task_ids(db, job_id):
        if claim_task(db, task_id, token=token, lease=LEASE) is not None:
            finished = succeed(db, task_id, token=token) if task_id % 2 else fail(db, task_id, token=token)
            assert finished
            taken.append(task_id)
    return taken


@pytest.mark.parametrize("start_method", ["spawn", "fork"])
def test_processes_share_the_tasks_of_a_job_and_the_last_one_settles_it(
    database: Database, start_method: str
) -> None:
    job = make_job(database, studies=24)
    task_ids = unfinished_task_ids(database, job.id)
    context = multiprocessing.get_context(start_method)

    with ProcessPoolExecutor(4, mp_context=context) as pool:
        start_at = time.time() + (2.0 if start_method == "spawn" else 0.2)
        futures = [pool.submit(_take_all, database, job.id, start_at) for _ in range(4)]
        taken = [task_id for future in futures for task_id in future.result()]

    assert sorted(taken) == task_ids
    job = load(database, Job, job.id)
    assert (job.status, job.message) == (JobStatus.WARNING, "12 of 24 studies failed.")
    assert job.ended_at is not None


def test_tasks_that_end_at_the_same_moment_settle_their_job(database: Database) -> None:
    for round_number in range(5):
        job = make_job(database, studies=8, owner=_user(database, round_number))
        task_ids = unfinished_task_ids(database, job.id)
        for task_id in task_ids:
            claim(database, task_id)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda task_id: succeed(database, task_id), task_ids))

        assert load(database, Job, job.id).status is JobStatus.SUCCESS


def _user(db: Database, number: int) -> User:
    return make_user(db, f"user {number}")


def _request_cancel(db: Database, job_id: int) -> None:
    with db.session() as session:
        session.get_one(Job, job_id).cancel_requested = True
        session.commit()
