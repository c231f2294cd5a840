"""STOW-RS: storing instances in archives (PS3.18 10.5)."""

from collections.abc import Callable
from functools import partial
from typing import Any

from anyio import from_thread, to_thread
from fastapi import APIRouter, Request
from pydicom.datadict import dictionary_VR, tag_for_keyword
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from adit_core.api.dicomweb import described
from adit_core.api.dicomweb.media_types import DICOM, DICOM_JSON, JSON, MULTIPART, require
from adit_core.api.dicomweb.routing import Call, Called, OfStudy, ProxyRoute
from adit_core.api.dicomweb.streams import THREADS
from adit_core.api.problems import problem_response
from adit_core.dicom.multipart import MediaType
from adit_core.services.proxy_access import STORE
from adit_core.services.proxy_store import (
    StoredInstance,
    StoreReport,
    Storing,
    require_boundary,
)

router = APIRouter(
    prefix="/dicom-web/{ae_title}/stowrs",
    tags=["DICOMweb"],
    route_class=ProxyRoute,
    default_response_class=Response,
)


@router.post("/studies", openapi_extra=described.STORE)
async def store(call: Called) -> Response:
    """Store instances of any studies."""
    return await _store(call)


@router.post("/studies/{study}", openapi_extra=described.STORE)
async def store_in_study(named: OfStudy, call: Called) -> Response:
    """Store instances of one study; those of others are refused."""
    return await _store(call, named.study_instance_uid)


async def _store(call: Call, study: str = "") -> Response:
    require(call.request, (DICOM_JSON, JSON))
    boundary = require_boundary(_boundary(call.request))
    access = await call.enter(STORE)
    most = call.wiring.settings.upload_max_bytes
    _refuse_announced(call.request, most)
    storing = Storing(access, study_instance_uid=study, most_bytes=most)
    report = await _stored(storing, call.request, boundary)
    if report.broken_off:
        detail = f"{report.broken_off} {report.stored} whole instances before that were stored."
        return problem_response(413 if report.is_too_large else 400, detail)
    if not report.instances:
        return problem_response(400, "The body has no part with an instance.")
    return JSONResponse(
        _receipt(report, call),
        _status(report),
        media_type=DICOM_JSON,
        headers=_warning(report, call),
    )


async def _stored(storing: Storing, request: Request, boundary: str) -> StoreReport:
    """Store what comes, in a thread that fetches the body piece by piece."""
    stream = request.stream()

    async def next_piece() -> bytes:
        try:
            async for piece in stream:
                if piece:
                    return piece
        except ClientDisconnect:
            storing.cancel()
        return b""

    read: Callable[[], bytes] = partial(from_thread.run, next_piece)
    return await to_thread.run_sync(storing.run, read, boundary, limiter=THREADS)


def _refuse_announced(request: Request, most: int) -> None:
    """Refuse a body that says itself that it is too large, before anything of it is stored (413)."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise HTTPException(413, f"The body is larger than {most} bytes, the most that is taken.")


def _boundary(request: Request) -> str:
    """Return the boundary of the body. Raises HTTPException (415) if it is of another kind."""
    header = request.headers.get("content-type", "")
    media_type = MediaType.parse(header)
    parameters = header.replace(" ", "").replace('"', "").lower()
    if media_type.name != MULTIPART or f"type={DICOM}" not in parameters.split(";"):
        raise HTTPException(415, f'Send {MULTIPART}; type="{DICOM}"; boundary=…, with one file in each part.')
    return media_type.boundary


def _status(report: StoreReport) -> int:
    """Return the status (PS3.18 table 10.5.3-1)."""
    if not report.stored:
        return 409
    is_perfect = not any(each.failure or each.warning for each in report.instances)
    return 200 if is_perfect else 202


def _warning(report: StoreReport, call: Call) -> dict[str, str]:
    """Say in words why instances were not stored; the receipt has codes only."""
    messages = dict.fromkeys(each.message for each in report.instances if each.failure and each.message)
    if not messages:
        return {}
    text = "; ".join(list(messages)[:3]).encode("ascii", "replace").decode().replace('"', "'")
    text = "".join(char if char.isprintable() else " " for char in text)
    return {"Warning": f'299 {call.url().rstrip("/")} "{text[:500]}"'}


def _receipt(report: StoreReport, call: Call) -> dict[str, Any]:
    """Return the Store Instances Response Module (PS3.18 table I.1-1)."""
    studies = {each.study_instance_uid for each in report.instances if not each.failure}
    elements: dict[str, Any] = {}
    if len(studies) == 1:
        elements |= _element("RetrieveURL", call.url("studies", *studies))
    stored = [_reference(each, call) for each in report.instances if not each.failure]
    failed = [_reference(each, call) for each in report.instances if each.failure]
    if stored:
        elements |= _element("ReferencedSOPSequence", *stored)
    if failed:
        elements |= _element("FailedSOPSequence", *failed)
    return dict(sorted(elements.items()))


def _reference(instance: StoredInstance, call: Call) -> dict[str, Any]:
    elements: dict[str, Any] = {}
    if instance.sop_instance_uid:
        elements |= _element("ReferencedSOPClassUID", instance.sop_class_uid)
        elements |= _element("ReferencedSOPInstanceUID", instance.sop_instance_uid)
    if instance.failure:
        elements |= _element("FailureReason", instance.failure)
        return elements
    if instance.warning:
        elements |= _element("WarningReason", instance.warning)
    elements |= _element("RetrieveURL", call.url("studies", instance.study_instance_uid))
    return dict(sorted(elements.items()))


def _element(keyword: str, *values: Any) -> dict[str, Any]:
    return {f"{tag_for_keyword(keyword):08X}": {"vr": dictionary_VR(keyword), "Value": list(values)}}
