"""Images that may show who the patient is: for reviewers to look at, and to decide whether they leave."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from adit_core.api.v1.callers import Reader, Submitter, Wired
from adit_core.api.v1.values import Given, Id, Page, Paged, Shown
from adit_core.db import ReviewStatus
from adit_core.deid.pixels.regions import Rectangle
from adit_core.services.held import list_held, picture_of_held, reject_held, release_held
from adit_core.services.routes import receiver_address

_LARGEST = 65_535

router = APIRouter(prefix="/held", tags=["review"])


class HeldInstance(Shown):
    """An instance that did not leave."""

    id: int
    job_id: int
    task_id: int
    project: str
    pseudonym: str
    series_instance_uid: str
    sop_instance_uid: str
    """As the source calls it."""
    reason: str
    status: ReviewStatus
    held_at: datetime
    reviewed_at: datetime | None


class Region(Given):
    """A part of every frame, in pixels from the top left one."""

    left: int = Field(ge=0, le=_LARGEST)
    top: int = Field(ge=0, le=_LARGEST)
    width: int = Field(ge=1, le=_LARGEST)
    height: int = Field(ge=1, le=_LARGEST)

    def value(self) -> Rectangle:
        """Return it as what blanks pixels."""
        return Rectangle(self.left, self.top, self.width, self.height)


class Decision(Given):
    """About which instances a reviewer decides."""

    ids: list[Id] = Field(min_length=1, max_length=1000)


class Release(Decision):
    """Which instances may leave."""

    blank: list[Region] = Field(default=[], max_length=100)
    """What is blanked in all frames of these."""


@router.get("")
def list_some(
    wiring: Wired,
    caller: Reader,
    paging: Paged,
    status: Annotated[list[ReviewStatus] | None, Query(description="Only these; held by default.")] = None,
    job: Annotated[Id | None, Query(description="Only of this job.")] = None,
) -> Page[HeldInstance]:
    """List instances that wait for a reviewer, of projects that you may use."""
    found = list_held(
        wiring.database,
        caller.user,
        statuses=tuple(status or (ReviewStatus.HELD,)),
        job_id=job,
        after_id=paging.cursor or 0,
        limit=paging.limit,
    )
    return paging.page([HeldInstance.model_validate(one) for one in found], lambda one: one.id)


@router.get("/{held_id}/picture", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def picture(
    wiring: Wired,
    caller: Reader,
    held_id: Id,
    frame: Annotated[int, Query(ge=1, le=2**31 - 1, description="Which frame.")] = 1,
) -> Response:
    """Return a frame as PNG, as the source has it; the audit trail tells that you looked."""
    content = picture_of_held(
        wiring.database,
        caller.user,
        held_id,
        receiver=receiver_address(wiring.settings),
        frame=frame - 1,
        address=caller.address,
    )
    return Response(content, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.post("/release", status_code=204)
def release(wiring: Wired, caller: Submitter, wanted: Release) -> None:
    """Let instances leave, blanked where you say; their studies are taken up again."""
    release_held(
        wiring.database,
        wiring.launcher,
        caller.user,
        wanted.ids,
        blank=[region.value() for region in wanted.blank],
        address=caller.address,
    )


@router.post("/reject", status_code=204)
def reject(wiring: Wired, caller: Submitter, wanted: Decision) -> None:
    """Decide that instances never leave."""
    reject_held(wiring.database, caller.user, wanted.ids, address=caller.address)
