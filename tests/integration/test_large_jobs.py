"""Pages and submissions of large jobs: as few statements and rows as those of small ones, by indexes.

How long they take is measured by `make bench`; this guards what makes them fast, on any machine.
"""

import tracemalloc
from collections.abc import Callable

import pytest
from sqlmodel import col, select, update

from adit_core.db import Job, JobEvent, JobStatus, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.claims import unfinished_task_ids
from adit_core.services.job_actions import cancel_job
from adit_core.services.job_history import history_of_job
from adit_core.services.job_series import list_series
from adit_core.services.jobs import list_jobs, list_tasks, show_job
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from tests.fakes.launcher import FakeLauncher
from tests.rows import make_folder, make_server, make_user
from tests.statements import Statements, watched

FEW, MANY, PAGE = 60, 3000, 50


@pytest.fixture
def staff(database: Database) -> User:
    make_server(database, "PACS")
    make_folder(database, "Export")
    return make_user(database, "staff", staff=True)


def batch(tasks: int) -> BatchFile:
    numbers = range(2, tasks + 2)
    return BatchFile(tuple(BatchStudy(f"P{number}", f"1.2.{number}", rows=(number,)) for number in numbers))


def submit(db: Database, owner: User, tasks: int) -> int:
    request = TransferRequest(owner_id=owner.id, source="PACS", destination="Export")
    return submit_batch_transfer(db, FakeLauncher(), request, batch(tasks))


PAGES: dict[str, Callable[[Database, User, int], object]] = {
    "jobs": lambda db, user, _: list_jobs(db, user, limit=PAGE),
    "canceled jobs": lambda db, user, _: list_jobs(db, user, statuses=[JobStatus.CANCELED], limit=PAGE),
    "the job": show_job,
    "its first tasks": lambda db, user, job: list_tasks(db, user, job, limit=PAGE),
    "its last tasks": lambda db, user, job: list_tasks(
        db, user, job, limit=PAGE, after_id=_last(db, job) - PAGE
    ),
    "its failed tasks": lambda db, user, job: list_tasks(
        db, user, job, statuses=[TaskStatus.FAILURE], limit=PAGE
    ),
    "its series": lambda db, user, job: list_series(db, user, job, limit=PAGE),
    "its history": lambda db, user, job: history_of_job(db, user, job, limit=PAGE),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_large_job_costs_no_more_than_one_of_a_small_job(
    database: Database, staff: User, page: str
) -> None:
    asked = {}
    for tasks in (FEW, MANY):
        job_id = submit(database, staff, tasks)
        _fail_every_tenth(database, job_id)
        _last(database, job_id)
        with watched(database, Task, JobEvent) as asked[tasks]:
            PAGES[page](database, staff, job_id)

    assert len(asked[MANY]) == len(asked[FEW]) < 20
    assert max(asked[MANY].loaded.values(), default=0) <= PAGE + 1
    assert not asked[MANY].scanned() & {"task", "job_event", "series_progress"}


def test_jobs_of_many_jobs_are_listed_by_as_few_statements(database: Database, staff: User) -> None:
    asked: list[Statements] = []
    for jobs in (5, 60):
        for _ in range(jobs):
            submit(database, staff, 2)
        with watched(database, Job, Task) as statements:
            list_jobs(database, staff, limit=PAGE)
        asked.append(statements)

    assert len(asked[1]) == len(asked[0])
    assert asked[1].loaded == {"Job": PAGE}


@pytest.mark.parametrize("tasks", [FEW, MANY])
def test_to_submit_a_large_job_takes_few_statements(database: Database, staff: User, tasks: int) -> None:
    with watched(database) as statements:
        submit(database, staff, tasks)

    # SQLite is told of each task by itself, which is a call within the process.
    is_sqlite = database.engine.dialect.name == "sqlite"
    assert len(statements) < 25 + (tasks if is_sqlite else tasks / 50)


def test_to_cancel_a_large_job_takes_no_statement_of_its_own_for_a_task(
    database: Database, staff: User
) -> None:
    asked = []
    for tasks in (FEW, MANY):
        job_id = submit(database, staff, tasks)
        with watched(database, Task) as statements:
            cancel_job(database, FakeLauncher(), staff, job_id)
        asked.append(statements)

    assert len(asked[1]) == len(asked[0])
    assert asked[1].loaded["Task"] == 0


def test_a_flow_keeps_no_more_of_a_task_than_its_number(database: Database, staff: User) -> None:
    job_id = submit(database, staff, MANY)
    unfinished_task_ids(database, job_id)  # what is kept for all jobs is made once
    tracemalloc.start()
    try:
        with watched(database, Task) as statements:
            task_ids = unfinished_task_ids(database, job_id)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(task_ids) == MANY
    assert statements.loaded["Task"] == 0
    assert peak / MANY < 1000, "bytes for each task, of which 10,000 must fit into 500 MB many times"


def _last(db: Database, job_id: int) -> int:
    with db.reading() as session:
        return (
            session.exec(select(Task.id).where(Task.job_id == job_id).order_by(col(Task.id).desc())).first()
            or 0
        )


def _fail_every_tenth(db: Database, job_id: int) -> None:
    with db.session() as session:
        tenth = col(Task.id) % 10 == 0
        session.exec(update(Task).where(col(Task.job_id) == job_id, tenth).values(status=TaskStatus.FAILURE))
        session.commit()
