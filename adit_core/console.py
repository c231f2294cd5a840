"""What people see of jobs in a terminal: their progress while they run, tables of what came of them.

No line names a patient: what is printed may end up in a log.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from adit_core.db import JobKind, JobStatus, RowStatus, Task, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.job_status import OPEN_TASKS, parts_in_words
from adit_core.services.jobs import JobView, list_tasks, show_job
from adit_core.services.number_ranges import in_ranges
from adit_core.terminal import cell, identifiers, new_table, numbers

ENDED = frozenset({JobStatus.SUCCESS, JobStatus.WARNING, JobStatus.FAILURE, JobStatus.CANCELED})
"""A job that has one of these is over, unless somebody begins it anew."""

_POLL = 0.5
_LINE_INTERVAL = 5.0
"""Seconds between lines about a job that goes on, where a display cannot be redrawn."""
_BAR_WIDTH = 30
_WIDE = 120
"""The width, in characters, from which on all columns of the results fit beside each other."""
_MOST_SHOWN = 8
"""How many of the studies that are being moved are shown."""

_STYLES = {
    "IN_PROGRESS": "cyan",
    "CANCELING": "yellow",
    "CANCELED": "yellow",
    "SUCCESS": "green",
    "WARNING": "yellow",
    "FAILURE": "red",
}


def status_cell(status: JobStatus | TaskStatus) -> Text:
    """Return a status in its colour."""
    return Text(status.value, _STYLES.get(status.value, ""))


def watch_job(db: Database, user: User, job_id: int, console: Console, poll: float = _POLL) -> JobView:
    """Show how a job goes until it is over, and return it as it is then.

    Where the console cannot be redrawn (a file, a pipe, a notebook without ipywidgets), a line is
    printed every few seconds instead. An interrupt ends the watching, not the job, and the console says so.

    Raises:
        NotFound: There is no such job, or it is not the user's to see.
        KeyboardInterrupt: Watching was interrupted.
    """
    display: _Display = _LiveDisplay(console) if _can_redraw(console) else _LineDisplay(console)
    try:
        with display:
            while True:
                job = show_job(db, user, job_id)
                display.show(job, _moving(db, user, job))
                if job.status in ENDED:
                    return job
                time.sleep(poll)
    except KeyboardInterrupt:
        console.print(f"Watching job {job_id} was interrupted; the job itself was not.")
        raise


def job_progress(job: JobView, moving: Sequence[Task]) -> RenderableType:
    """Return a picture of how far a job is, with the tasks that are under way."""
    counts, parts = job.progress.counts, sum(job.progress.tasks.values())
    grid = Table.grid(padding=(0, 1))
    words = parts_in_words(job.kind).capitalize()
    grid.add_row(words, _bar(_ended_parts(job), parts), Text(f"{_ended_parts(job)}/{parts}"))
    wanted = counts.planned - counts.filtered
    grid.add_row(
        "Answered" if _is_query(job) else "Instances",
        _bar(counts.delivered, wanted),
        Text(f"{counts.delivered}/{wanted}"),
    )
    for task in moving[:_MOST_SHOWN]:
        wanted = task.planned - task.filtered
        account = f"{task.delivered}/{wanted}  {_study_name(task)}"
        grid.add_row("", _bar(task.delivered, wanted), Text(account))
    if len(moving) > _MOST_SHOWN:
        grid.add_row("", "", f"and {len(moving) - _MOST_SHOWN} more {_tasks_in_words(job)}")
    return Group(_headline(job), grid)


def progress_sentence(job: JobView) -> str:
    """Return how far a job is in one line."""
    counts, total = job.progress.counts, sum(job.progress.tasks.values())
    delivered = "answered" if _is_query(job) else "instances delivered"
    parts = [
        f"{_ended_parts(job)} of {total} {parts_in_words(job.kind)} ended",
        f"{counts.delivered} of {counts.planned - counts.filtered} {delivered}",
        f"{counts.failed} failed" if counts.failed else "",
        _pace(job),
        job.message,
    ]
    return f"Job {job.id} {job.status.value}: " + ", ".join(part for part in parts if part)


def results_table(
    job: JobView, tasks: Sequence[Task], modalities: Mapping[int, Sequence[str]]
) -> RenderableType:
    """Return what became of every study of a job, the sums, and below them what went wrong.

    What counts as delivered was found at the destination afterwards. `modalities` are those of a
    study by the id of its task.
    """
    messages = [cell(f"{_study_name(task)}: {task.message}") for task in tasks if task.message]
    return Group(_Results(job, tasks, modalities), *messages, _headline(job))


def outcomes_table(job: JobView, outcomes: Mapping[RowStatus, int]) -> RenderableType:
    """Return how many rows of a query came to what."""
    table = new_table("outcome of the row", numbers("number", sum(outcomes.values())))
    for status in RowStatus:
        if outcomes.get(status):
            table.add_row(status.value, str(outcomes[status]))
    return Group(table, _headline(job))


@dataclass(frozen=True, slots=True)
class _Results:
    """The table of results, as wide as the console allows."""

    job: JobView
    tasks: Sequence[Task]
    modalities: Mapping[int, Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._wide() if options.max_width >= _WIDE else self._narrow()

    def _wide(self) -> Table:
        columns = (
            identifiers("rows"),
            identifiers("Study Instance UID", self._total()),
            identifiers("modalities"),
        )
        table = new_table(*columns, *self._account_columns())
        for task in self.tasks:
            identity = (in_ranges(task.rows), task.subject, self._modalities(task))
            table.add_row(*map(cell, identity), *_account_cells(task))
        return table

    def _narrow(self) -> Table:
        """Return the table with all that identifies a study in one column."""
        study = Column("row, modalities,\nStudy Instance UID", self._total(), overflow="fold", min_width=22)
        table = new_table(study, *self._account_columns(), padding=0)
        for task in self.tasks:
            name = cell(f"{in_ranges(task.rows)} {self._modalities(task)}")
            identity = Text("\n").join((name, cell(task.subject)))
            table.add_row(identity, *_account_cells(task))
        return table

    def _account_columns(self) -> tuple[Column, ...]:
        counts = self.job.progress.counts
        return (
            Column("status", no_wrap=True),
            numbers("planned", counts.planned),
            numbers("delivered\nverified", counts.delivered),
            numbers("filtered", counts.filtered),
            numbers("failed", counts.failed),
            numbers("sent", counts.sent),
            numbers("MB", _megabytes(counts.bytes_sent)),
        )

    def _total(self) -> str:
        return f"{len(self.tasks)} {'study' if len(self.tasks) == 1 else 'studies'}"

    def _modalities(self, task: Task) -> str:
        return " ".join(self.modalities.get(task.id, ()))


def _account_cells(task: Task) -> tuple[RenderableType, ...]:
    counts = (task.planned, task.delivered, task.filtered, task.failed, task.sent)
    return status_cell(task.status), *map(str, counts), _megabytes(task.bytes_sent)


class _Display(Protocol):
    """Shows a job again and again while it runs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def show(self, job: JobView, moving: Sequence[Task]) -> None:
        """Show how the job is now."""
        ...


class _LiveDisplay:
    """Redraws one picture in its place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._live.stop()

    def show(self, job: JobView, moving: Sequence[Task]) -> None:
        self._live.update(job_progress(job, moving), refresh=True)


class _LineDisplay:
    """Prints a line when the status has changed, and now and then when anything else has."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[JobStatus, str] | None = None
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def show(self, job: JobView, moving: Sequence[Task]) -> None:  # noqa: ARG002 - no room for them
        now = time.monotonic()
        same_status = self._shown is not None and self._shown[0] is job.status
        if same_status and now - self._shown_at < _LINE_INTERVAL:
            return
        line = progress_sentence(job)
        if self._shown != (job.status, line):
            self._console.print(cell(f"{datetime.now().astimezone():%H:%M:%S} {line}"), soft_wrap=True)
            self._shown, self._shown_at = (job.status, line), now


def _can_redraw(console: Console) -> bool:
    if console.is_jupyter:
        return find_spec("ipywidgets") is not None
    return console.is_terminal and not console.is_dumb_terminal


def _moving(db: Database, user: User, job: JobView) -> list[Task]:
    if not job.progress.tasks.get(TaskStatus.IN_PROGRESS):
        return []
    return list_tasks(db, user, job.id, statuses=(TaskStatus.IN_PROGRESS,))


def _headline(job: JobView) -> Text:
    return Text.assemble(
        f"Job {job.id}  ",
        cell(job.way),
        "  ",
        status_cell(job.status),
        f"  {_pace(job)}" if _pace(job) else "",
        cell(f"  {job.message}" if job.message else ""),
    )


def _pace(job: JobView) -> str:
    """Return how fast a job goes, or went, and how long it still takes."""
    progress = job.progress
    moves = progress.bytes_per_second is not None and not _is_query(job)
    speed = f"{_megabytes(progress.bytes_per_second or 0)} MB/s" if moves else ""
    left = f"{timedelta(seconds=round(progress.seconds_left))} left" if progress.seconds_left else ""
    return ", ".join(part for part in (speed, left) if part)


def _is_query(job: JobView) -> bool:
    return job.kind is JobKind.BATCH_QUERY


def _tasks_in_words(job: JobView) -> str:
    return "groups of rows" if _is_query(job) else "studies"


def _ended_parts(job: JobView) -> int:
    return sum(number for status, number in job.progress.tasks.items() if status not in OPEN_TASKS)


def _study_name(task: Task) -> str:
    rows = f"row {in_ranges(task.rows)}" if task.rows else ""
    return ": ".join(filter(None, (rows, task.subject)))


def _bar(done: int, total: int) -> ProgressBar:
    """Return a bar; without a total it is empty."""
    return ProgressBar(
        total=max(total, 1), completed=done, width=_BAR_WIDTH, complete_style="cyan", finished_style="green"
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f}"
