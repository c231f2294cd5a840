"""The audit trail, for staff."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, StringConstraints

from adit_core.api.v1.callers import Administrator, Wired
from adit_core.api.v1.values import Page, Paged, Shown
from adit_core.db.audit import AuditAction
from adit_core.services.audit_trail import list_events

Word = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]

_MOMENT = "2026-01-31T08:00:00Z"

router = APIRouter(prefix="/audit", tags=["admin"])


class AuditEvent(Shown):
    """One thing that was done, or tried."""

    id: int
    at: datetime
    actor: str
    action: AuditAction
    succeeded: bool
    object_kind: str
    object_id: str
    address: str
    """The network address that it was done from."""
    details: dict[str, str | int | bool | None]


@router.get("")
def list_some(
    *,
    wiring: Wired,
    caller: Administrator,
    paging: Paged,
    actor: Annotated[Word, Query(description="Only what this one did.", examples=["ada"])] = "",
    action: Annotated[list[AuditAction] | None, Query(description="Only these.")] = None,
    object_kind: Annotated[
        Word, Query(description="Only what was done to such: job, node, user.", examples=["job"])
    ] = "",
    object_id: Annotated[Word, Query(description="Only what was done to this one.", examples=["42"])] = "",
    since: Annotated[
        AwareDatetime | None, Query(description="Only from this moment on.", examples=[_MOMENT])
    ] = None,
    until: Annotated[
        AwareDatetime | None, Query(description="Only before this moment.", examples=[_MOMENT])
    ] = None,
) -> Page[AuditEvent]:
    """List what was done, the latest first."""
    events = list_events(
        wiring.database,
        caller.user,
        actor=actor,
        actions=action or (),
        object_kind=object_kind,
        object_id=object_id,
        since=since,
        until=until,
        limit=paging.limit,
        before_id=paging.cursor,
    )
    return paging.page([AuditEvent.model_validate(event) for event in events], lambda event: event.id)
