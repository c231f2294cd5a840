"""What everybody is told: announcements and maintenance mode."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from adit_core.api.v1.callers import Administrator, Reader, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.values import Given, Id, Shown, Text
from adit_core.db import Importance
from adit_core.services.announcements import (
    add_announcement,
    current_announcements,
    list_announcements,
    remove_announcement,
)
from adit_core.services.maintenance import begin_maintenance, end_maintenance, maintenance_now

router = APIRouter(tags=["admin"])


class Announcement(Shown):
    """Something that everybody is told."""

    id: int
    message: str
    importance: Importance
    starts_at: datetime
    ends_at: datetime | None
    created_by: str


class NewAnnouncement(Given):
    """What is to be announced."""

    message: Text = Field(examples=["On Friday at 18:00 the archive is moved."])
    importance: Importance = Importance.NEWS
    starts_at: AwareDatetime | None = None
    """Null for at once."""
    ends_at: AwareDatetime | None = None
    """Null until it is removed."""


class Maintenance(Shown):
    """Maintenance mode: nobody but staff begins anything, what runs goes on."""

    is_on: bool
    message: str = ""
    started_by: str = ""
    started_at: datetime | None = None


class Reason(Given):
    """Why nothing can be begun."""

    message: Text = Field(examples=["The archive is moved; we are back at 20:00."])


@router.get("/announcements")
def list_current(wiring: Wired, _caller: Reader) -> list[Announcement]:
    """List what everybody is told now, the newest first."""
    return [Announcement.model_validate(row) for row in current_announcements(wiring.database)]


@router.get("/admin/announcements")
def list_all(wiring: Wired, caller: Administrator) -> list[Announcement]:
    """List all announcements, also those of the past and the future."""
    return [Announcement.model_validate(row) for row in list_announcements(wiring.database, caller.user)]


@router.post("/admin/announcements", status_code=201)
def announce(
    wiring: Wired, caller: Administrator, creation: OneCreation, wanted: NewAnnouncement
) -> Announcement:
    """Tell everybody something."""

    def create() -> Announcement:
        row = add_announcement(
            wiring.database,
            caller.user,
            wanted.message,
            importance=wanted.importance,
            starts_at=wanted.starts_at,
            ends_at=wanted.ends_at,
            address=caller.address,
        )
        return Announcement.model_validate(row)

    return creation.once(wanted, Announcement, create)


@router.delete("/admin/announcements/{announcement_id}", status_code=204)
def remove(wiring: Wired, caller: Administrator, announcement_id: Id) -> None:
    """Take an announcement back."""
    remove_announcement(wiring.database, caller.user, announcement_id, address=caller.address)


@router.get("/maintenance")
def show_maintenance(wiring: Wired, _caller: Reader) -> Maintenance:
    """Tell whether maintenance mode is on, and why."""
    return _maintenance(wiring)


@router.put("/admin/maintenance")
def switch_on(wiring: Wired, caller: Administrator, reason: Reason) -> Maintenance:
    """Switch maintenance mode on."""
    begin_maintenance(wiring.database, caller.user, reason.message, address=caller.address)
    return _maintenance(wiring)


@router.delete("/admin/maintenance")
def switch_off(wiring: Wired, caller: Administrator) -> Maintenance:
    """Switch maintenance mode off."""
    end_maintenance(wiring.database, caller.user, address=caller.address)
    return _maintenance(wiring)


def _maintenance(wiring: Wired) -> Maintenance:
    row = maintenance_now(wiring.database)
    if row is None:
        return Maintenance(is_on=False)
    return Maintenance(is_on=True, message=row.message, started_by=row.started_by, started_at=row.started_at)
