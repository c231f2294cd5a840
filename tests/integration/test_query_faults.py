"""Batch queries of an archive that fails on some rows: what is asked again, and what the account says."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Thread

import pytest

from adit_core.db import Job, JobStatus, RowStatus, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.job_actions import cancel_job, retry_failed
from adit_core.services.node_policies import change_policy
from adit_core.services.query_results import all_rows
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.fakes.peer import Conversation, FakePeer, encode
from tests.queries import perform, submit
from tests.rows import load, make_server, make_user

PENDING, FAILURE, BUSY = 0xFF00, 0xC001, 0xA700


@dataclass
class Moody:
    """An archive that knows a study of every patient, but not when it is asked for those named here."""

    fails: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    leaves: set[str] = field(default_factory=set)
    stalls: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """The patients that it was asked for, in order."""
    associations: int = 0

    def heal(self) -> None:
        """Answer everything from now on."""
        for patients in (self.fails, self.busy, self.leaves, self.stalls):
            patients.clear()

    def converse(self, peer: Conversation) -> None:
        peer.accept()
        self.associations += 1
        while True:
            request = peer.receive()
            patient_id = request.decoded().PatientID
            self.asked.append(patient_id)
            if patient_id in self.leaves:
                peer.reset()
                return
            if patient_id in self.stalls:
                peer.stall()
            elif patient_id in self.fails | self.busy:
                peer.respond(request, FAILURE if patient_id in self.fails else BUSY)
            else:
                study = {
                    "PatientID": patient_id,
                    "StudyInstanceUID": f"1.2.{len(patient_id)}.{patient_id[1:]}",
                }
                peer.respond(request, PENDING, encode(**study))
                peer.respond(request, 0)


@pytest.fixture
def archive(database: Database) -> Iterator[Moody]:
    """A node called PACS that one association at a time is allowed to."""
    moody = Moody()
    with FakePeer(moody.converse) as fake:
        make_server(database, "PACS", port=fake.node().port, max_associations=1)
        yield moody


@pytest.fixture
def user(database: Database) -> User:
    return make_user(database, "root", staff=True)


@pytest.fixture
def job_id(database: Database, user: User, archive: Moody) -> int:
    """A query of the patients P1 to P5, in the rows 2 to 6."""
    return ask(database, user, 5)


def ask(database: Database, user: User, count: int) -> int:
    return submit(database, user, *({"PatientID": f"P{number}"} for number in range(1, count + 1)))


def outcomes(database: Database, user: User, job_id: int) -> list[tuple[RowStatus, int]]:
    """Return the status and the number of results of each row."""
    return [(row.status, len(row.results)) for row in all_rows(database, user, job_id)]


def account(task: Task) -> tuple[TaskStatus, int, int, int]:
    return task.status, task.planned, task.delivered, task.failed


FOUND, UNANSWERED, FAILED = (RowStatus.FOUND, 1), (RowStatus.UNANSWERED, 0), (RowStatus.FAILED, 0)


def test_a_row_that_the_archive_refuses_fails_alone(
    database: Database, user: User, archive: Moody, job_id: int
) -> None:
    archive.fails = {"P2"}
    job = perform(database, job_id)
    assert outcomes(database, user, job_id) == [FOUND, FAILED, FOUND, FOUND, FOUND]
    assert "C001" in list(all_rows(database, user, job_id))[1].message
    assert account(load(database, Task, 1)) == (TaskStatus.FAILURE, 5, 4, 1)
    assert (job.status, job.message) == (JobStatus.WARNING, "1 of 5 rows failed.")


@pytest.mark.parametrize("mood", ["busy", "leaves"])
def test_a_row_that_fails_for_now_is_asked_again_alone(
    database: Database, user: User, archive: Moody, job_id: int, mood: str
) -> None:
    setattr(archive, mood, {"P2"})
    perform(database, job_id)
    assert outcomes(database, user, job_id) == [FOUND, UNANSWERED, FOUND, FOUND, FOUND]
    assert load(database, Task, 1).status is TaskStatus.PENDING

    archive.heal()
    archive.asked.clear()
    job = perform(database, job_id)

    assert archive.asked == ["P2"]
    assert outcomes(database, user, job_id) == [FOUND] * 5
    assert account(load(database, Task, 1)) == (TaskStatus.SUCCESS, 5, 5, 0)
    assert (job.status, job.message) == (JobStatus.SUCCESS, "")


def test_an_archive_that_goes_away_is_left_alone_until_the_next_attempt(
    database: Database, user: User, archive: Moody, job_id: int
) -> None:
    archive.leaves = {"P2", "P3", "P4", "P5"}
    perform(database, job_id)
    assert set(archive.asked) == {"P1", "P2", "P3"}
    assert outcomes(database, user, job_id) == [FOUND, *[UNANSWERED] * 4]

    archive.heal()
    archive.asked.clear()
    perform(database, job_id)

    assert archive.asked == ["P2", "P3", "P4", "P5"]
    assert outcomes(database, user, job_id) == [FOUND] * 5


def test_a_row_that_never_gets_an_answer_says_why(
    database: Database, user: User, archive: Moody, job_id: int
) -> None:
    archive.busy = {"P2"}
    settings = Settings.model_validate({"task_attempts": 1})
    job = perform(database, job_id, settings)
    row = list(all_rows(database, user, job_id))[1]
    assert row.status is RowStatus.UNANSWERED
    assert "1 of 5 rows: not answered." in row.message
    assert "A700" in row.message
    assert account(load(database, Task, 1)) == (TaskStatus.FAILURE, 5, 4, 1)
    assert (job.status, job.message) == (JobStatus.WARNING, "1 of 5 rows failed.")


def test_an_association_serves_one_chunk(database: Database, user: User, archive: Moody) -> None:
    job_id = ask(database, user, 45)
    job = perform(database, job_id)
    with database.reading() as session:
        tasks = [session.get_one(Task, task_id) for task_id in (1, 2, 3)]
    assert [len(task.rows) for task in tasks] == [20, 20, 5]
    assert archive.associations == 3
    assert (job.status, len(archive.asked)) == (JobStatus.SUCCESS, 45)


def test_a_row_that_finds_as_much_as_the_archive_gives_may_lack_something(
    database: Database, user: User, archive: Moody, job_id: int
) -> None:
    change_policy(database, "PACS", find_limit=1)
    perform(database, job_id)
    assert outcomes(database, user, job_id) == [FAILED] * 5
    assert "at most 1 results" in next(all_rows(database, user, job_id)).message


def test_a_query_is_canceled_within_five_seconds(
    database: Database, user: User, archive: Moody, job_id: int
) -> None:
    archive.stalls = {"P3"}
    running = Thread(target=perform, args=(database, job_id))
    running.start()
    while "P3" not in archive.asked:
        time.sleep(0.05)
    began = time.monotonic()
    cancel_job(database, FakeLauncher(), user, job_id)
    running.join(10)
    assert time.monotonic() - began < 5
    job = load(database, Job, job_id)
    assert job.status is JobStatus.CANCELED
    task = load(database, Task, 1)
    assert task.status is TaskStatus.CANCELED
    assert task.planned == task.delivered + task.failed == 5


def test_what_is_tried_again_forgets_its_results(
    database: Database, user: User, archive: Moody, job_id: int
) -> None:
    archive.fails = {"P2"}
    perform(database, job_id)
    retry_failed(database, FakeLauncher(), user, job_id)
    assert outcomes(database, user, job_id) == [UNANSWERED] * 5
    assert account(load(database, Task, 1)) == (TaskStatus.PENDING, 5, 0, 0)

    archive.heal()
    job = perform(database, job_id)

    assert outcomes(database, user, job_id) == [FOUND] * 5
    assert job.status is JobStatus.SUCCESS


def test_an_archive_that_is_down_is_paused_and_burns_no_attempts(database: Database, user: User) -> None:
    make_server(database, "PACS", port=1, max_associations=1)
    job_id = ask(database, user, 3)
    for _ in range(3):
        perform(database, job_id)
    task = load(database, Task, 1)
    assert (task.status, task.attempts) == (TaskStatus.PENDING, 1)
    assert "paused" in task.message
