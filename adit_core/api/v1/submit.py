"""Having jobs done; validating and previewing them instead."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from adit_core.api.authentication import Caller
from adit_core.api.v1.callers import Submitter, Wired
from adit_core.api.v1.creating import IdempotencyKey
from adit_core.api.v1.job_orders import (
    BatchForm,
    BatchOrder,
    BatchSheet,
    MassOrder,
    QueryForm,
    QueryOrder,
    QuerySheet,
    SelectiveOrder,
    UploadOrder,
    once_key,
)
from adit_core.api.v1.job_views import AcceptedOrder, Job, Preview, QueryPreview
from adit_core.api.wiring import Wiring
from adit_core.db import JobKind
from adit_core.services import batch_preview, query_preview, validation
from adit_core.services.jobs import show_job
from adit_core.services.once import OnceKey, submit_once
from adit_core.services.preview import MOST_STUDIES, preview_mass_transfer, preview_studies, preview_upload
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.submit_selective import (
    merged_picks,
    picked_problems,
    picked_wishes,
    submit_selective_transfer,
)
from adit_core.services.submit_upload import submit_upload
from adit_core.services.transfer_preview import TransferPreview
from adit_core.services.validation import Accepted

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Job, "description": "It was submitted before, under the same key; this is the job."},
    201: {"description": "Submitted.", "headers": {"Location": {"schema": {"type": "string"}}}},
}
_DAY = "2024-01-02"
MostStudies = Annotated[int, Query(ge=1, le=1000, description="Studies that are asked about at most.")]

MostRows = Annotated[int, Query(ge=1, le=1000, description="Rows that are described at most.")]

router = APIRouter(prefix="/jobs", tags=["submitting"])


class Desk:
    """Where jobs are submitted, by a caller who may do so again under the same key."""

    def __init__(
        self,
        request: Request,
        response: Response,
        wiring: Wired,
        caller: Submitter,
        idempotency_key: IdempotencyKey = None,
    ) -> None:
        self.wiring = wiring
        self.caller = caller
        self._path = request.url.path
        self._response = response
        self._key = idempotency_key

    def submit(self, order: BaseModel, submit: Callable[[OnceKey | None], int]) -> Job:
        """Submit what is ordered, if it was not before, and answer with the job."""
        once = once_key(self._path, self._key, order)
        submitted = submit_once(self.wiring.database, self.caller.user.id, once, lambda: submit(once))
        self._response.status_code = 201 if submitted.is_new else 200
        self._response.headers["Location"] = f"/api/v1/jobs/{submitted.job_id}"
        return Job.of(show_job(self.wiring.database, self.caller.user, submitted.job_id))


OpenDesk = Annotated[Desk, Depends()]


@router.post("/selective", status_code=201, responses=_ANSWERS)
def submit_selective(desk: OpenDesk, order: SelectiveOrder) -> Job:
    """Transfer studies, or some of their series."""

    def submit(once: OnceKey | None) -> int:
        wanted = order.request(desk.caller, once)
        return submit_selective_transfer(desk.wiring.database, desk.wiring.launcher, wanted, order.picks())

    return desk.submit(order, submit)


@router.post("/selective/validate")
def validate_selective(wiring: Wired, caller: Submitter, order: SelectiveOrder) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _accepted(
        validation.check_selective_transfer(wiring.database, order.request(caller), order.picks())
    )


@router.post("/selective/preview")
def preview_selective(
    wiring: Wired, caller: Submitter, order: SelectiveOrder, most: MostStudies = MOST_STUDIES
) -> Preview:
    """Tell what would become of it, by asking both nodes. Nothing is transferred."""
    picks = order.picks()
    found = preview_studies(
        wiring.database,
        order.request(caller),
        JobKind.SELECTIVE_TRANSFER,
        merged_picks(picks),
        *picked_problems(picks),
        wishes=picked_wishes(picks),
        most=most,
    )
    return _preview(found)


@router.post("/batch", status_code=201, responses=_ANSWERS)
def submit_batch(desk: OpenDesk, order: BatchOrder) -> Job:
    """Transfer the studies that rows name."""
    return _submit_batch(desk, order)


@router.post("/batch/validate")
def validate_batch(wiring: Wired, caller: Submitter, order: BatchOrder) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _validate_batch(wiring, caller, order)


@router.post("/batch/preview")
def preview_batch(
    wiring: Wired, caller: Submitter, order: BatchOrder, most: MostStudies = MOST_STUDIES
) -> Preview:
    """Tell what would become of it, by asking both nodes. Nothing is transferred."""
    return _preview_batch(wiring, caller, order, most)


@router.post("/batch/spreadsheet", status_code=201, responses=_ANSWERS)
def submit_batch_spreadsheet(desk: OpenDesk, order: BatchForm) -> Job:
    """Transfer the studies that a spreadsheet names."""
    return _submit_batch(desk, order)


@router.post("/batch/spreadsheet/validate")
def validate_batch_spreadsheet(wiring: Wired, caller: Submitter, order: BatchForm) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _validate_batch(wiring, caller, order)


@router.post("/batch/spreadsheet/preview")
def preview_batch_spreadsheet(
    wiring: Wired, caller: Submitter, order: BatchForm, most: MostStudies = MOST_STUDIES
) -> Preview:
    """Tell what would become of it, by asking both nodes. Nothing is transferred."""
    return _preview_batch(wiring, caller, order, most)


@router.post("/mass", status_code=201, responses=_ANSWERS)
def submit_mass(desk: OpenDesk, order: MassOrder) -> Job:
    """Transfer whatever a range of days and filters choose."""

    def submit(once: OnceKey | None) -> int:
        wanted = order.request(desk.caller, once)
        return submit_mass_transfer(desk.wiring.database, desk.wiring.launcher, wanted, order.search)

    return desk.submit(order, submit)


@router.post("/mass/validate")
def validate_mass(wiring: Wired, caller: Submitter, order: MassOrder) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _accepted(validation.check_mass_transfer(wiring.database, order.request(caller), order.search))


@router.post("/mass/preview")
def preview_mass(
    wiring: Wired,
    caller: Submitter,
    order: MassOrder,
    day: Annotated[
        date | None, Query(description="By default the first that is no weekend.", examples=[_DAY])
    ] = None,
    most: MostStudies = MOST_STUDIES,
) -> Preview:
    """Tell what would become of one day of it; by default of the first one that is no weekend."""
    wanted = order.request(caller)
    return _preview(preview_mass_transfer(wiring.database, wanted, order.search, day=day, most=most))


@router.post("/upload", status_code=201, responses=_ANSWERS)
def submit_uploaded(desk: OpenDesk, order: UploadOrder) -> Job:
    """Transfer what was uploaded before."""

    def submit(once: OnceKey | None) -> int:
        wanted = order.request(desk.caller, once)
        return submit_upload(desk.wiring.database, desk.wiring.launcher, wanted, order.upload)

    return desk.submit(order, submit)


@router.post("/upload/validate")
def validate_uploaded(wiring: Wired, caller: Submitter, order: UploadOrder) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _accepted(validation.check_upload(wiring.database, order.request(caller), order.upload))


@router.post("/upload/preview")
def preview_uploaded(
    wiring: Wired, caller: Submitter, order: UploadOrder, most: MostStudies = MOST_STUDIES
) -> Preview:
    """Tell what would become of it, by asking the destination. Nothing is transferred."""
    return _preview(preview_upload(wiring.database, order.request(caller), order.upload, most=most))


@router.post("/query", status_code=201, responses=_ANSWERS)
def submit_query(desk: OpenDesk, order: QueryOrder) -> Job:
    """Ask an archive about each of the rows."""
    return _submit_query(desk, order)


@router.post("/query/validate")
def validate_query(wiring: Wired, caller: Submitter, order: QueryOrder) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _validate_query(wiring, caller, order)


@router.post("/query/spreadsheet", status_code=201, responses=_ANSWERS)
def submit_query_spreadsheet(desk: OpenDesk, order: QueryForm) -> Job:
    """Ask an archive about each row of a spreadsheet."""
    return _submit_query(desk, order)


@router.post("/query/spreadsheet/validate")
def validate_query_spreadsheet(wiring: Wired, caller: Submitter, order: QueryForm) -> AcceptedOrder:
    """Tell whether it could be submitted; a problem names all that is wrong."""
    return _validate_query(wiring, caller, order)


@router.post("/query/preview")
def preview_query(
    wiring: Wired, caller: Submitter, order: QueryOrder, most: MostRows = query_preview.MOST_ROWS
) -> QueryPreview:
    """Tell what each of the rows would ask of the archive. Nothing is asked."""
    return _preview_query(wiring, caller, order, most)


@router.post("/query/spreadsheet/preview")
def preview_query_spreadsheet(
    wiring: Wired, caller: Submitter, order: QueryForm, most: MostRows = query_preview.MOST_ROWS
) -> QueryPreview:
    """Tell what each row of a spreadsheet would ask of the archive. Nothing is asked."""
    return _preview_query(wiring, caller, order, most)


def _submit_batch(desk: Desk, order: BatchOrder | BatchSheet) -> Job:
    def submit(once: OnceKey | None) -> int:
        wanted = order.request(desk.caller, once)
        return submit_batch_transfer(desk.wiring.database, desk.wiring.launcher, wanted, order.batch())

    return desk.submit(order, submit)


def _validate_batch(wiring: Wiring, caller: Caller, order: BatchOrder | BatchSheet) -> AcceptedOrder:
    return _accepted(validation.check_batch_transfer(wiring.database, order.request(caller), order.batch()))


def _preview_batch(wiring: Wiring, caller: Caller, order: BatchOrder | BatchSheet, most: int) -> Preview:
    return _preview(
        batch_preview.preview_batch(wiring.database, order.request(caller), order.batch(), most=most)
    )


def _submit_query(desk: Desk, order: QueryOrder | QuerySheet) -> Job:
    def submit(once: OnceKey | None) -> int:
        return submit_batch_query(
            desk.wiring.database,
            desk.wiring.launcher,
            owner_id=desk.caller.user.id,
            source=order.source,
            query=order.query(),
            name=order.name,
            urgent=order.urgent,
            address=desk.caller.address,
            once=once,
        )

    return desk.submit(order, submit)


def _validate_query(wiring: Wiring, caller: Caller, order: QueryOrder | QuerySheet) -> AcceptedOrder:
    return _accepted(
        validation.check_batch_query(
            wiring.database,
            caller.user.id,
            order.source,
            order.query(),
            name=order.name,
            urgent=order.urgent,
        )
    )


def _preview_query(wiring: Wiring, caller: Caller, order: QueryOrder | QuerySheet, most: int) -> QueryPreview:
    found = query_preview.preview_query(
        wiring.database,
        caller.user.id,
        order.source,
        order.query(),
        name=order.name,
        urgent=order.urgent,
        most=most,
    )
    return QueryPreview.model_validate(found)


def _accepted(accepted: Accepted) -> AcceptedOrder:
    return AcceptedOrder.model_validate(accepted)


def _preview(preview: TransferPreview) -> Preview:
    return Preview.model_validate(preview)
