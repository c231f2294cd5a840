"""Uploads: DICOM files that are taken in while they arrive, to be transferred afterwards."""

from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Annotated, BinaryIO

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Path, Request, Response

from adit_core.api.uploaded_files import DICOM, FORM, files_of
from adit_core.api.v1.callers import Uploader, Wired
from adit_core.api.v1.creating import OneCreation
from adit_core.api.v1.values import Shown
from adit_core.services.uploads import discard_upload, receive_upload, upload_limits

# Each takes a thread for as long as it lasts, and writes to the same disk.
_at_once = CapacityLimiter(8)
_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": _FILE, "minItems": 1}},
                }
            },
            DICOM: {"schema": _FILE},
        },
    }
}
UploadId = Annotated[
    str,
    Path(pattern="^[0-9a-f]{32}$", description="The id of the upload.", examples=["0123456789abcdef" * 2]),
]

router = APIRouter(prefix="/uploads", tags=["uploads"])


class UploadedSeries(Shown):
    """A series of an upload."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    instances: int


class UploadedStudy(Shown):
    """A study of an upload, as its files describe it."""

    patient_id: str
    study_instance_uid: str
    study_date: date | None
    study_description: str
    series: tuple[UploadedSeries, ...]
    instances: int


class RefusedFile(Shown):
    """A file that stands for no instance, and why."""

    name: str
    reason: str


class Upload(Shown):
    """What was recognised in an upload."""

    id: str
    studies: tuple[UploadedStudy, ...]
    refused: tuple[RefusedFile, ...]
    problems: tuple[str, ...]
    """What is wrong with studies."""
    patients: int
    series: int
    instances: int


@router.post("", status_code=201, openapi_extra=_BODY)
async def receive(
    request: Request, response: Response, wiring: Wired, caller: Uploader, creation: OneCreation
) -> Upload:
    """Send DICOM files: any number in a form, or one as it is. They are kept until a job transfers them."""
    take_in = partial(_take_in, wiring, caller)
    create = partial(creation.once_of_files, files_of(request), Upload, take_in)
    upload = await to_thread.run_sync(create, limiter=_at_once)
    response.headers["Location"] = f"/api/v1/uploads/{upload.id}"
    return upload


@router.delete("/{upload_id}", status_code=204)
def discard(wiring: Wired, caller: Uploader, upload_id: UploadId) -> None:
    """Remove an upload that no job transfers."""
    discard_upload(wiring.database, caller.user, upload_id)


def _take_in(wiring: Wired, caller: Uploader, files: Iterable[tuple[str, BinaryIO]]) -> Upload:
    settings = wiring.settings
    summary = receive_upload(
        wiring.database,
        caller.user,
        files,
        root=settings.resolved_uploads(),
        limits=upload_limits(settings),
        address=caller.address,
    )
    return Upload.model_validate(summary)
