"""Following a job while it runs, on a terminal and where nothing can be redrawn."""

from concurrent.futures import Future, ThreadPoolExecutor
from io import StringIO

import pytest
from rich.console import Console

from adit_core.console import watch_job
from adit_core.db import Job, JobStatus, TaskStatus, User
from adit_core.services.claims import finish_task, unfinished_task_ids
from adit_core.services.jobs import JobView
from adit_core.services.progress import TaskCounts
from tests.integration.cli.conftest import CommandLine, start_task
from tests.rows import make_job

HALF = TaskCounts(planned=4, delivered=2, sent=2, bytes_sent=1_000_000)
ALL = TaskCounts(planned=4, delivered=4, sent=4, bytes_sent=2_000_000)


class Watching:
    """Watches a job in a thread."""

    def __init__(self, cli: CommandLine, admin: User, job: Job, *, terminal: bool) -> None:
        self._screen = StringIO()
        console = Console(file=self._screen, force_terminal=terminal, width=100, _environ={"TERM": "xterm"})
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[JobView] = self._pool.submit(watch_job, cli.db, admin, job.id, console, 0.01)

    def wait_for(self, text: str) -> None:
        """Wait until something is shown."""
        for _ in range(1000):
            if text in self._screen.getvalue():
                return
            with pytest.raises(TimeoutError):
                self._future.result(timeout=0.01)
        pytest.fail(f"{text} was not shown: {self._screen.getvalue()}")

    def end(self) -> tuple[JobView, str]:
        """Return how the job ended, and all that was shown."""
        with self._pool:
            return self._future.result(timeout=30), self._screen.getvalue()


@pytest.fixture
def job(cli: CommandLine, admin: User) -> Job:
    return make_job(cli.db, owner=admin)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_job_is_followed_until_it_has_ended(
    cli: CommandLine, admin: User, job: Job, terminal: bool
) -> None:
    (task_id,) = unfinished_task_ids(cli.db, job.id)
    watching = Watching(cli, admin, job, terminal=terminal)
    watching.wait_for("PENDING")

    token = start_task(cli.db, task_id, HALF)
    watching.wait_for("IN_PROGRESS")
    finish_task(cli.db, task_id, token=token, status=TaskStatus.SUCCESS, message="", counts=ALL)

    ended, screen = watching.end()
    assert ended.status is JobStatus.SUCCESS
    assert ended.progress.counts == ALL
    assert "4/4" in screen if terminal else "4 of 4 instances delivered" in screen


def test_the_study_on_the_move_is_shown_on_a_terminal(cli: CommandLine, admin: User, job: Job) -> None:
    (task_id,) = unfinished_task_ids(cli.db, job.id)
    token = start_task(cli.db, task_id, HALF)
    watching = Watching(cli, admin, job, terminal=True)

    watching.wait_for("2/4  row 2: 1.2.1")

    finish_task(cli.db, task_id, token=token, status=TaskStatus.SUCCESS, message="", counts=ALL)
    watching.end()


def test_lines_are_printed_when_the_status_changes_and_otherwise_seldom(
    cli: CommandLine, admin: User, job: Job
) -> None:
    (task_id,) = unfinished_task_ids(cli.db, job.id)
    watching = Watching(cli, admin, job, terminal=False)
    watching.wait_for("PENDING")
    token = start_task(cli.db, task_id, HALF)
    watching.wait_for("IN_PROGRESS")
    finish_task(cli.db, task_id, token=token, status=TaskStatus.SUCCESS, message="", counts=ALL)

    _, screen = watching.end()

    statuses = [line.split()[3].rstrip(":") for line in screen.splitlines() if " Job " in line]
    assert statuses == ["PENDING", "IN_PROGRESS", "SUCCESS"]
    assert "P1" not in screen
