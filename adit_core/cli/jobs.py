"""`adit jobs …`: follow, approve, cancel and repeat jobs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from adit_core.cli.command import new_app
from adit_core.cli.job_preview import preview
from adit_core.cli.job_series import series
from adit_core.cli.output import AsJson, present, warn, write_file
from adit_core.cli.query_results import results
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.console import job_progress, outcomes_table, results_table, status_cell, watch_job
from adit_core.db import JobEvent, JobKind, JobStatus, Task, User
from adit_core.db.engine import Database
from adit_core.services.job_actions import (
    cancel_job,
    delete_job,
    make_urgent,
    restart_job,
    resume_job,
    retry_failed,
    search_again,
    verify_job,
)
from adit_core.services.job_history import history_of_job
from adit_core.services.jobs import JobView, list_jobs, list_tasks, modalities_of_tasks, show_job
from adit_core.services.launching import Launcher
from adit_core.services.query_results import count_outcomes
from adit_core.terminal import cell, local_time, new_console, new_table, numbers

app = new_app("Follow, approve, cancel and repeat jobs.")
app.command()(preview)
app.command()(results)
app.command()(series)

JobId = Annotated[int, typer.Argument(metavar="ID", help="The number of the job.")]

EXIT_STATUS = {
    JobStatus.SUCCESS: 0,
    JobStatus.WARNING: 3,
    JobStatus.FAILURE: 4,
    JobStatus.CANCELED: 5,
}
"""What a command that waits for a job ends with."""

_TOLD = (
    *("id", "kind", "subject", "rows"),
    *("patient_id", "study_instance_uid", "series_instance_uids", "pseudonym"),
    *("status", "message", "attempts", "started_at", "ended_at"),
    *("planned", "delivered", "filtered", "failed", "sent", "bytes_sent"),
)
"""What programs get to know of a task."""


@app.command("list")
def list_some(
    ctx: typer.Context,
    *,
    all_users: Annotated[bool, typer.Option("--all", help="Everybody's jobs; for staff only.")] = False,
    status: Annotated[
        list[JobStatus] | None, typer.Option(case_sensitive=False, help="Only these; may be given again.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    before: Annotated[int | None, typer.Option(metavar="ID", help="Only jobs older than this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    with open_database() as db:
        jobs = list_jobs(
            db,
            acting_user(ctx, db),
            all_users=all_users,
            statuses=status or (),
            limit=limit,
            before_id=before,
        )
    present(jobs, _table, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    job_id: JobId,
    tasks: Annotated[bool, typer.Option("--tasks", help="With every study.")] = False,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A file that ends in .xlsx or .csv.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a job is, with --tasks also what became of every study, or write that as a spreadsheet."""
    with open_database() as db:
        user = acting_user(ctx, db)
        if output is not None:
            # To import what writes spreadsheets takes longer than the rest of the command.
            from adit_core.services.job_export import export_tasks  # noqa: PLC0415
            from adit_core.services.text_sheet import SheetFormat  # noqa: PLC0415

            content = export_tasks(db, user, job_id, SheetFormat.of_file(output.name))
            write_file(output, content, as_json=as_json)
            return
        job = show_job(db, user, job_id)
        if tasks:
            told = {"job": job, "tasks": _Tasks.of(db, user, job).lines() if as_json else ()}
            present(told, lambda _: _outcome(db, user, job), as_json=as_json)
        else:
            present(job, _details, as_json=as_json)


@app.command()
def watch(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Show how a job goes until it has ended. Ctrl-C ends the watching, not the job.

    Exit status: 0 if the job ended with SUCCESS, 3 with WARNING, 4 with FAILURE, 5 with CANCELED.
    """
    with open_database() as db:
        follow(db, acting_user(ctx, db), job_id, as_json=as_json)


@app.command()
def verify(
    ctx: typer.Context,
    job_id: JobId,
    *,
    task: Annotated[
        list[int] | None, typer.Option(metavar="TASK", help="Only these tasks; may be given again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Approve a job that waits for it, so that it runs; for staff only.

    With --task, the other tasks are not approved and end as CANCELED.
    """

    def verify_chosen(db: Database, launcher: Launcher, user: User, job_id: int) -> None:
        verify_job(db, launcher, user, job_id, task_ids=task or None)

    _change(ctx, job_id, verify_chosen, as_json=as_json)


@app.command()
def delete(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Delete a job of which nothing was started. It cannot be brought back."""
    with open_database() as db:
        delete_job(db, scheduler(), acting_user(ctx, db), job_id)
    present({"deleted": job_id}, lambda _: cell(f"Deleted job {job_id}."), as_json=as_json)


@app.command()
def cancel(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Cancel a job: what has not started never will, what is under way ends within seconds."""
    _change(ctx, job_id, cancel_job, as_json=as_json)


@app.command()
def retry(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Begin the failed studies of a job anew. What has arrived is not sent again."""
    _change(ctx, job_id, retry_failed, as_json=as_json)


@app.command()
def resume(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Go on with a canceled job."""
    _change(ctx, job_id, resume_job, as_json=as_json)


@app.command()
def restart(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Begin all studies of a job that has ended anew; for staff only. What has arrived is not sent again."""
    _change(ctx, job_id, restart_job, as_json=as_json)


@app.command("search-again")
def again(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Have a mass transfer that has ended look for studies once more; only what is new is sent."""
    _change(ctx, job_id, search_again, as_json=as_json)


@app.command()
def urgent(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Let a job pass others. One that runs already goes on as it is."""
    _change(ctx, job_id, make_urgent, as_json=as_json)


@app.command()
def history(
    ctx: typer.Context,
    job_id: JobId,
    *,
    task: Annotated[int | None, typer.Option(metavar="TASK", help="Only what happened to this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 200,
    after: Annotated[
        int | None, typer.Option(metavar="EVENT", help="Only what came after this event.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to a job and its tasks, in order, and who wanted it."""
    with open_database() as db:
        events = history_of_job(db, acting_user(ctx, db), job_id, task_id=task, limit=limit, after_id=after)
    present(events, _history, as_json=as_json)


def follow(db: Database, user: User, job_id: int, *, as_json: bool) -> None:
    """Show how a job goes until it has ended, then its results; end the command as `EXIT_STATUS` says.

    With JSON nothing is shown before the job has ended.
    """
    job = watch_job(db, user, job_id, new_console(quiet=as_json))
    present(job, lambda job: _outcome(db, user, job), as_json=as_json)
    raise typer.Exit(EXIT_STATUS[job.status])


def warn_if_waiting(job: JobView, *, as_json: bool) -> None:
    """Tell the user if a job has to wait, for approval or the scheduler; its message says what to start."""
    if job.status in (JobStatus.PENDING, JobStatus.UNVERIFIED) and job.message:
        warn(f"Job {job.id}: {job.message}", as_json=as_json)


def _outcome(db: Database, user: User, job: JobView) -> RenderableType:
    if job.kind is JobKind.BATCH_QUERY:
        return outcomes_table(job, count_outcomes(db, user, job.id))
    tasks = _Tasks.of(db, user, job)
    return results_table(job, tasks.tasks, tasks.modalities)


@dataclass(frozen=True, slots=True)
class _Tasks:
    """The tasks of a job, and the modalities of their studies by task id."""

    tasks: list[Task]
    modalities: Mapping[int, Sequence[str]]

    @classmethod
    def of(cls, db: Database, user: User, job: JobView) -> "_Tasks":
        total = sum(job.progress.tasks.values())
        return cls(list_tasks(db, user, job.id, limit=total), modalities_of_tasks(db, user, job.id))

    def lines(self) -> list[dict[str, Any]]:
        """Return the tasks for programs."""
        return [
            {**{name: getattr(task, name) for name in _TOLD}, "modalities": self.modalities.get(task.id, ())}
            for task in self.tasks
        ]


def _change(
    ctx: typer.Context,
    job_id: int,
    change: Callable[[Database, Launcher, User, int], None],
    *,
    as_json: bool,
) -> None:
    with open_database() as db:
        user = acting_user(ctx, db)
        change(db, scheduler(), user, job_id)
        job = show_job(db, user, job_id)
    warn_if_waiting(job, as_json=as_json)
    present(job, lambda job: cell(f"Job {job.id} is {job.status}."), as_json=as_json)


def _details(job: JobView) -> RenderableType:
    excluded = " ".join(job.options.excluded_modalities)
    trial = " ".join(filter(None, (job.options.trial_protocol_id, job.options.trial_protocol_name)))
    grid = Table.grid(padding=(0, 2))
    for name, value in (
        ("name", job.name),
        ("owner", job.owner),
        ("group", job.group),
        ("kind", "urgent " * job.urgent + job.kind.value),
        ("excluded", excluded),
        ("archive", job.archive_file),
        ("NIfTI", "yes" * job.options.as_nifti),
        ("trial protocol", trial),
        ("created", local_time(job.created_at)),
        ("started", local_time(job.started_at)),
        ("ended", local_time(job.ended_at)),
        ("actions", ", ".join(sorted(job.actions))),
    ):
        if value:
            grid.add_row(name, cell(value))
    return Group(job_progress(job, ()), grid)


def _history(events: list[JobEvent]) -> RenderableType:
    if not events:
        return "Nothing is told of it."
    table = new_table(numbers("event"), "at", numbers("task"), numbers("attempt"), "by", "status", "what")
    for event in events:
        table.add_row(
            str(event.id),
            local_time(event.at),
            cell(event.task_id or ""),
            cell("" if event.attempt is None else event.attempt),
            cell(event.actor or ""),
            cell(event.status or ""),
            cell(event.message),
        )
    return table


def _table(jobs: list[JobView]) -> RenderableType:
    if not jobs:
        return "No jobs."
    table = new_table(
        numbers("job"),
        "name",
        "owner",
        "from → to",
        "status",
        numbers("studies, rows"),
        numbers("delivered"),
        numbers("failed"),
        "created",
    )
    for job in jobs:
        counts = job.progress.counts
        table.add_row(
            str(job.id),
            cell(job.name),
            cell(job.owner),
            cell(job.way),
            status_cell(job.status),
            str(sum(job.progress.tasks.values())),
            str(counts.delivered),
            str(counts.failed),
            local_time(job.created_at),
        )
    return table
