"""Jobs: following them and acting on them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from adit_core.api.v1.callers import Reader, Submitter, Wired
from adit_core.api.v1.job_views import (
    AnsweredRow,
    Event,
    Job,
    JobActionName,
    Preview,
    QueryPreview,
    SeriesOfJob,
    Task,
)
from adit_core.api.v1.values import Given, Id, Page, Paged
from adit_core.db import JobKind, JobStatus, RowStatus, TaskStatus
from adit_core.services.action_rules import JobAction
from adit_core.services.job_actions import JOB_ACTIONS, delete_job, verify_job
from adit_core.services.job_export import export_series, export_tasks
from adit_core.services.job_history import history_of_job
from adit_core.services.job_preview import preview_job
from adit_core.services.job_series import list_series
from adit_core.services.jobs import list_jobs, list_tasks, show_job
from adit_core.services.query_export import export_results
from adit_core.services.query_results import list_rows
from adit_core.services.text_sheet import SheetFormat
from adit_core.services.transfer_preview import TransferPreview

JobId = Annotated[Id, Path(description="The number of the job.", examples=[42])]

_SHEET_TYPES = {
    SheetFormat.CSV: "text/csv; charset=utf-8",
    SheetFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_SHEETS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The spreadsheet.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in _SHEET_TYPES.values()
        },
    }
}

router = APIRouter(prefix="/jobs", tags=["jobs"])


class Approval(Given):
    """Which tasks of a job are approved, or looked ahead at before they are."""

    task_ids: list[Id] | None = None
    """Null for all. The others of a job that is approved end as CANCELED."""


@router.get("")
def list_some(
    *,
    wiring: Wired,
    caller: Reader,
    paging: Paged,
    status: Annotated[list[JobStatus] | None, Query(description="Only these.")] = None,
    kind: Annotated[list[JobKind] | None, Query(description="Only these.")] = None,
    all_users: Annotated[bool, Query(description="Everybody's jobs; for staff only.")] = False,
    owner: Annotated[
        str, Query(max_length=150, description="Only jobs of the user of this name.", examples=["ada"])
    ] = "",
    text: Annotated[
        str,
        Query(
            max_length=150,
            description="Only jobs with this in their name, or as their number.",
            examples=["trial"],
        ),
    ] = "",
) -> Page[Job]:
    """List jobs, the newest first."""
    jobs = list_jobs(
        wiring.database,
        caller.user,
        all_users=all_users,
        owner=owner,
        text=text,
        statuses=status or (),
        kinds=kind or (),
        limit=paging.limit,
        before_id=paging.cursor,
    )
    return paging.page([Job.of(job) for job in jobs], lambda job: job.id)


@router.get("/{job_id}")
def show(wiring: Wired, caller: Reader, job_id: JobId) -> Job:
    """Show a job."""
    return Job.of(show_job(wiring.database, caller.user, job_id))


@router.delete("/{job_id}", status_code=204)
def delete(wiring: Wired, caller: Submitter, job_id: JobId) -> None:
    """Delete a job of which nothing was started. It cannot be brought back."""
    delete_job(wiring.database, wiring.launcher, caller.user, job_id, address=caller.address)


@router.post("/{job_id}/preview")
def preview(
    wiring: Wired, caller: Submitter, job_id: JobId, approval: Annotated[Approval | None, Body()] = None
) -> Preview | QueryPreview:
    """Look ahead at a job that waits for approval, or at some of its tasks; for staff only.

    Of a transfer, both nodes are asked, and nothing is transferred; of a query, nothing is asked. A mass
    transfer is judged by one day, whichever of its tasks are chosen.
    """
    task_ids = approval.task_ids if approval else None
    found = preview_job(wiring.database, caller.user, job_id, task_ids=task_ids, address=caller.address)
    if isinstance(found, TransferPreview):
        return Preview.model_validate(found)
    return QueryPreview.model_validate(found)


@router.post("/{job_id}/actions/verify")
def verify(
    wiring: Wired, caller: Submitter, job_id: JobId, approval: Annotated[Approval | None, Body()] = None
) -> Job:
    """Approve a job that waits for it, or some of its tasks; for staff only."""
    task_ids = approval.task_ids if approval else None
    verify_job(
        wiring.database, wiring.launcher, caller.user, job_id, task_ids=task_ids, address=caller.address
    )
    return Job.of(show_job(wiring.database, caller.user, job_id))


@router.post("/{job_id}/actions/{action}")
def act(wiring: Wired, caller: Submitter, job_id: JobId, action: JobActionName) -> Job:
    """Do something with a job: its field `actions` tells what you may do now."""
    perform = JOB_ACTIONS[JobAction[action.name]]
    perform(wiring.database, wiring.launcher, caller.user, job_id, address=caller.address)
    return Job.of(show_job(wiring.database, caller.user, job_id))


@router.get("/{job_id}/tasks")
def tasks(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    paging: Paged,
    status: Annotated[list[TaskStatus] | None, Query(description="Only these.")] = None,
) -> Page[Task]:
    """List the tasks of a job, in the order of the spreadsheet."""
    found = list_tasks(
        wiring.database,
        caller.user,
        job_id,
        statuses=status or (),
        limit=paging.limit,
        after_id=paging.cursor,
        address=caller.address,
    )
    return paging.page([Task.model_validate(task) for task in found], lambda task: task.id)


@router.get("/{job_id}/tasks/spreadsheet", response_class=Response, responses=_SHEETS)
def export_of_tasks(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    format: SheetFormat = SheetFormat.XLSX,  # noqa: A002
) -> Response:
    """Get the tasks of a job, with what became of each, as a spreadsheet."""
    content = export_tasks(wiring.database, caller.user, job_id, format, address=caller.address)
    return _sheet(content, f"job-{job_id}-tasks", format)


@router.get("/{job_id}/series")
def series(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    paging: Paged,
    status: Annotated[
        list[TaskStatus] | None, Query(description="Only those of studies that have one of these.")
    ] = None,
) -> Page[SeriesOfJob]:
    """List the series of a job with their state, study by study; `limit` counts studies."""
    found = list_series(
        wiring.database,
        caller.user,
        job_id,
        statuses=status or (),
        limit=paging.limit,
        after_id=paging.cursor,
        address=caller.address,
    )
    return Page(items=[SeriesOfJob.model_validate(each) for each in found.series], next=found.next_after)


@router.get("/{job_id}/series/spreadsheet", response_class=Response, responses=_SHEETS)
def export_of_series(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    format: SheetFormat = SheetFormat.XLSX,  # noqa: A002
) -> Response:
    """Get the series of a job with their state as a spreadsheet."""
    content = export_series(wiring.database, caller.user, job_id, format, address=caller.address)
    return _sheet(content, f"job-{job_id}-series", format)


@router.get("/{job_id}/history")
def history(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    paging: Paged,
    task: Annotated[Id | None, Query(description="Only what happened to this task.")] = None,
) -> Page[Event]:
    """List what happened to a job and its tasks, in order, and who wanted it."""
    events = history_of_job(
        wiring.database, caller.user, job_id, task_id=task, limit=paging.limit, after_id=paging.cursor
    )
    return paging.page([Event.model_validate(event) for event in events], lambda event: event.id)


@router.get("/{job_id}/results")
def results(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    paging: Paged,
    status: Annotated[list[RowStatus] | None, Query(description="Only rows to which this came.")] = None,
) -> Page[AnsweredRow]:
    """List the rows of a batch query, in the order of the spreadsheet, with what was found for each."""
    rows = list_rows(
        wiring.database,
        caller.user,
        job_id,
        statuses=status or (),
        limit=paging.limit,
        after=paging.cursor,
        address=caller.address,
    )
    return paging.page([AnsweredRow.model_validate(row) for row in rows], lambda row: row.row)


@router.get("/{job_id}/results/spreadsheet", response_class=Response, responses=_SHEETS)
def export(
    wiring: Wired,
    caller: Reader,
    job_id: JobId,
    format: SheetFormat = SheetFormat.XLSX,  # noqa: A002
) -> Response:
    """Get the results of a batch query as a spreadsheet, which a batch transfer takes as it is."""
    content = export_results(wiring.database, caller.user, job_id, format, address=caller.address)
    return _sheet(content, f"query-{job_id}", format)


def _sheet(content: bytes, name: str, form: SheetFormat) -> Response:
    attachment = f'attachment; filename="{name}.{form.value}"'
    return Response(
        content,
        media_type=_SHEET_TYPES[form],
        headers={"Content-Disposition": attachment, "Cache-Control": "no-store"},
    )
