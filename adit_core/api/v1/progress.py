"""The progress of a job as server-sent events, so that programs and pages need not ask again and again."""

from collections.abc import AsyncIterator
from typing import Annotated

from anyio import sleep, to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from adit_core.api.authentication import any_caller, require_scope
from adit_core.api.v1.callers import Reader
from adit_core.api.v1.job_views import Job
from adit_core.api.v1.jobs import JobId
from adit_core.api.wiring import wiring_of
from adit_core.db import JobStatus, TokenScope
from adit_core.errors import AditError
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import show_job

_INTERVAL = 1.0
"""Seconds between two looks at the database."""
_GOING_ON = OPEN_JOBS | {JobStatus.UNVERIFIED}

router = APIRouter(prefix="/jobs", tags=["jobs"])


def _first_look(request: Request, _caller: Reader, job_id: JobId) -> Job:
    """Return the job, so that whoever may not see it is answered with a problem, and not with a stream."""
    return _look(request, job_id)


@router.get("/{job_id}/progress", response_class=EventSourceResponse)
async def progress(
    request: Request, first: Annotated[Job, Depends(_first_look)]
) -> AsyncIterator[ServerSentEvent]:
    """Follow a job: an event `progress` with the job whenever something changed, `end` when it has ended.

    Every event holds the whole job, so who was cut off just asks again. An event `problem` comes last if
    the token ends, or the job is deleted.
    """
    job = first
    yield ServerSentEvent(event="progress", data=job)
    while job.status in _GOING_ON:
        await sleep(_INTERVAL)
        try:
            seen = await to_thread.run_sync(_look, request, first.id)
        except (AditError, HTTPException) as error:
            detail = error.detail if isinstance(error, HTTPException) else str(error)
            yield ServerSentEvent(event="problem", data={"detail": detail})
            return
        if seen != job:
            job = seen
            yield ServerSentEvent(event="progress", data=job)
    yield ServerSentEvent(event="end", data=job)


def _look(request: Request, job_id: int) -> Job:
    """Return the job as it is now, if the caller is still welcome."""
    caller = require_scope(any_caller(request), TokenScope.READ)
    return Job.of(show_job(wiring_of(request).database, caller.user, job_id))
