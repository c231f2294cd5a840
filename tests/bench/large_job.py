"""A job of 10,000 tasks: what users wait for, and the memory of its flow."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from adit_core.db import JobStatus, TaskStatus
from adit_core.db.engine import Database
from adit_core.services.batch_file import BatchFile, BatchStudy
from adit_core.services.job_actions import cancel_job, resume_job
from adit_core.services.job_history import history_of_job
from adit_core.services.jobs import list_jobs, list_tasks, show_job
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.users import create_user
from tests.bench.archives import Arena
from tests.bench.memory import watch_memory
from tests.bench.waiting import ended_job
from tests.fakes.launcher import FakeLauncher
from tests.servers import postgres

_PAGE = 50


def in_database(folder: Path, tasks: int, *, large_jobs: int) -> dict[str, dict[str, float]]:
    """Measure what users wait for, by database, with so many jobs of so many tasks each in it."""
    figures = {}
    for name, database in _databases(folder):
        figures[f"{large_jobs} jobs of {tasks} tasks, {name}, ms"] = _measure(database, tasks, large_jobs)
    return figures


def flow_memory(arena: Arena, tasks: int) -> dict[str, float]:
    """Return how long a job of so many studies that are not there takes, and the peak of its flow run."""
    assert arena.adit.worker is not None
    with watch_memory(arena.adit.worker.pid) as peak:
        began = time.monotonic()
        job_id = submit_batch_transfer(
            arena.adit.db,
            arena.adit.launcher,
            TransferRequest(
                owner_id=arena.adit.user.id, source=arena.nodes[0].name, destination=arena.nodes[1].name
            ),
            _batch(tasks),
        )
        job = ended_job(arena.adit, job_id)
        seconds = time.monotonic() - began
    assert job.status is JobStatus.FAILURE
    assert job.progress.tasks == {TaskStatus.FAILURE: tasks}
    return {"flow run, MB": peak.flow_run, "child, MB": peak.child, "seconds": seconds}


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url)
    database.upgrade()
    try:
        yield database
    finally:
        database.dispose()


def _databases(folder: Path) -> Iterator[tuple[str, Database]]:
    with _database(f"sqlite:///{folder / 'large.sqlite'}") as database:
        yield "SQLite", database
    with postgres() as cluster, _database(cluster.create_database()) as database:
        yield "PostgreSQL", database


def _measure(database: Database, tasks: int, large_jobs: int) -> dict[str, float]:
    user = create_user(database, username="operator", password=None, staff=True)
    add_server(database, "PACS", ae_title="PACS", host="127.0.0.1", port=104)
    add_folder(database, "Export", path="/export")
    launcher, batch = FakeLauncher(), _batch(tasks)

    def submit() -> int:
        return submit_batch_transfer(
            database, launcher, TransferRequest(owner_id=user.id, source="PACS", destination="Export"), batch
        )

    for _ in range(large_jobs - 1):
        submit()
    submitting = _milliseconds(submit)
    job_id = list_jobs(database, user, limit=1)[0].id
    first = list_tasks(database, user, job_id, limit=1)[0].id
    tasks_of_job = partial(list_tasks, database, user, job_id, limit=_PAGE)
    steps: dict[str, Callable[[], object]] = {
        "list jobs": lambda: list_jobs(database, user, limit=_PAGE),
        "list canceled jobs": lambda: list_jobs(database, user, statuses=[JobStatus.CANCELED], limit=_PAGE),
        "show the job": lambda: show_job(database, user, job_id),
        "its first tasks": tasks_of_job,
        "its last tasks": partial(tasks_of_job, after_id=first + tasks - _PAGE),
        "its failed tasks": partial(tasks_of_job, statuses=[TaskStatus.FAILURE]),
        "cancel it": lambda: cancel_job(database, launcher, user, job_id),
        "resume it": lambda: resume_job(database, launcher, user, job_id),
        "the beginning of its history": lambda: history_of_job(database, user, job_id, limit=_PAGE),
    }
    return {"submit it": submitting} | {name: _milliseconds(step) for name, step in steps.items()}


def _milliseconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - began)


def _batch(tasks: int) -> BatchFile:
    return BatchFile(
        tuple(BatchStudy(f"P{number}", f"1.2.3.{number}", rows=(number,)) for number in range(2, tasks + 2))
    )
