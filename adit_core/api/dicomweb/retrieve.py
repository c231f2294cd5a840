"""WADO-RS: retrieving studies, series and instances, and what they consist of (PS3.18 10.4)."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from adit_core.api.dicomweb import bodies, described
from adit_core.api.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    JSON,
    OCTET_STREAM,
    MediaRange,
    accepted,
    chosen,
    not_acceptable,
    require,
)
from adit_core.api.dicomweb.parameters import (
    PICTURE_TYPES,
    bulk_path,
    disguise_wish,
    frame_numbers,
    view,
)
from adit_core.api.dicomweb.routing import Call, Called, OfInstance, OfSeries, OfStudy, ProxyRoute
from adit_core.api.dicomweb.streams import Answer, WatchedResponse
from adit_core.dicom.ports import IncomingInstance
from adit_core.services.proxy_access import RETRIEVE, RETRIEVE_AS_NIFTI, ProxyUse
from adit_core.services.proxy_retrieval import Retrieval, Wanted

router = APIRouter(
    prefix="/dicom-web/{ae_title}/wadors",
    tags=["DICOMweb"],
    route_class=ProxyRoute,
    default_response_class=Response,
)

_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_THUMBNAIL = (128, 128)
Frames = Annotated[
    str,
    Path(
        description="Their numbers, counted from 1, with commas between.",
        examples=["1,2"],
        json_schema_extra={"pattern": "^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$"},
    ),
]
BulkPath = Annotated[
    str,
    Path(
        description="Where it is, as the metadata say: a tag, or tags and numbers of items.",
        examples=["7FE00010"],
        json_schema_extra={"pattern": "^[0-9A-F]{8}([.][0-9]{1,6}[.][0-9A-F]{8})*$"},
    ),
]
Make = Callable[[Retrieval], Answer]


@router.get(_STUDY, openapi_extra=described.FILES)
async def study(named: OfStudy, call: Called) -> Response:
    """Retrieve the instances of a study."""
    return await _files(call, named)


@router.get(_SERIES, openapi_extra=described.FILES)
async def series(named: OfSeries, call: Called) -> Response:
    """Retrieve the instances of a series."""
    return await _files(call, named)


@router.get(_INSTANCE, openapi_extra=described.FILE)
async def instance(named: OfInstance, call: Called) -> Response:
    """Retrieve an instance."""
    return await _files(call, named)


@router.get(f"{_STUDY}/metadata", openapi_extra=described.METADATA)
async def study_metadata(named: OfStudy, call: Called) -> Response:
    """Retrieve what the instances of a study say, without their pixels."""
    return await _metadata(call, named)


@router.get(f"{_SERIES}/metadata", openapi_extra=described.METADATA)
async def series_metadata(named: OfSeries, call: Called) -> Response:
    """Retrieve what the instances of a series say, without their pixels."""
    return await _metadata(call, named)


@router.get(f"{_INSTANCE}/metadata", openapi_extra=described.METADATA)
async def instance_metadata(named: OfInstance, call: Called) -> Response:
    """Retrieve what an instance says, without its pixels."""
    return await _metadata(call, named)


@router.get(f"{_INSTANCE}/frames/{{frames}}", openapi_extra=described.FRAMES)
async def frames(named: OfInstance, frames: Frames, call: Called) -> Response:
    """Retrieve frames of an instance, counted from 1."""
    numbers = frame_numbers(frames)
    ranges = [each for each in accepted(call.request) if each.is_multipart]
    media_range = _first(ranges, lambda each: each.name == "*/*" or not each.name.startswith("multipart"))
    return await _retrieve(call, named, lambda retrieval: bodies.frames(retrieval, numbers, media_range))


@router.get(f"{_STUDY}/rendered", openapi_extra=described.PICTURES)
async def study_rendered(named: OfStudy, call: Called) -> Response:
    """Retrieve pictures of all images of a study."""
    return await _rendered(call, named)


@router.get(f"{_SERIES}/rendered", openapi_extra=described.PICTURES)
async def series_rendered(named: OfSeries, call: Called) -> Response:
    """Retrieve pictures of all images of a series."""
    return await _rendered(call, named)


@router.get(f"{_INSTANCE}/rendered", openapi_extra=described.PICTURES)
async def instance_rendered(named: OfInstance, call: Called) -> Response:
    """Retrieve a picture of an instance: of its first frame, or of all if several parts are accepted."""
    return await _rendered(call, named)


@router.get(f"{_INSTANCE}/frames/{{frames}}/rendered", openapi_extra=described.PICTURES)
async def frames_rendered(named: OfInstance, frames: Frames, call: Called) -> Response:
    """Retrieve pictures of frames of an instance."""
    return await _rendered(call, named, frame_numbers(frames))


@router.get(f"{_STUDY}/thumbnail", openapi_extra=described.THUMBNAIL)
async def study_thumbnail(named: OfStudy, call: Called) -> Response:
    """Retrieve a small picture that stands for a study."""
    return await _thumbnail(call, named)


@router.get(f"{_SERIES}/thumbnail", openapi_extra=described.THUMBNAIL)
async def series_thumbnail(named: OfSeries, call: Called) -> Response:
    """Retrieve a small picture that stands for a series."""
    return await _thumbnail(call, named)


@router.get(f"{_INSTANCE}/thumbnail", openapi_extra=described.THUMBNAIL)
async def instance_thumbnail(named: OfInstance, call: Called) -> Response:
    """Retrieve a small picture of an instance."""
    return await _thumbnail(call, named)


@router.get(f"{_INSTANCE}/frames/{{frames}}/thumbnail", openapi_extra=described.THUMBNAIL)
async def frame_thumbnail(named: OfInstance, frames: Frames, call: Called) -> Response:
    """Retrieve a small picture of a frame."""
    return await _thumbnail(call, named, frame_numbers(frames)[0])


@router.get(f"{_INSTANCE}/bulkdata/{{path}}", openapi_extra=described.BULK_DATA)
async def bulk_data(named: OfInstance, path: BulkPath, call: Called) -> Response:
    """Retrieve a long value of an instance, by the URI that the metadata give."""
    tags = bulk_path(path)
    ranges = [each for each in accepted(call.request) if not each.name.startswith("multipart")]
    media_range = _first(ranges, lambda each: each.covers(OCTET_STREAM) or each.name.startswith("image"))
    return await _retrieve(call, named, lambda retrieval: bodies.bulk_data(retrieval, tags, media_range))


@router.get(f"{_STUDY}/nifti", openapi_extra=described.NIFTI)
async def study_nifti(named: OfStudy, call: Called) -> Response:
    """Retrieve a study as NIfTI volumes."""
    return await _nifti(call, named)


@router.get(f"{_SERIES}/nifti", openapi_extra=described.NIFTI)
async def series_nifti(named: OfSeries, call: Called) -> Response:
    """Retrieve a series as NIfTI volumes."""
    return await _nifti(call, named)


@router.get(f"{_INSTANCE}/nifti", openapi_extra=described.NIFTI)
async def instance_nifti(named: OfInstance, call: Called) -> Response:
    """Retrieve an instance as NIfTI volumes."""
    return await _nifti(call, named)


async def _files(call: Call, named: Wanted) -> Response:
    ranges = accepted(call.request)
    several = [each for each in ranges if each.is_multipart and each.covers(DICOM)]
    if several:
        syntaxes = _syntaxes(several)
        return await _retrieve(call, named, lambda retrieval: bodies.files(retrieval, syntaxes))
    if named.sop_instance_uid:
        syntaxes = _syntaxes([require(call.request, (DICOM,))])
        return await _retrieve(call, named, lambda retrieval: bodies.single_file(retrieval, syntaxes))
    raise not_acceptable((f'multipart/related; type="{DICOM}"',))


async def _metadata(call: Call, named: Wanted) -> Response:
    require(call.request, (DICOM_JSON, JSON))

    def url_of(instance: IncomingInstance) -> str:
        series = instance.reference.series
        study_url = call.url("studies", series.study.study_instance_uid)
        uid = instance.reference.sop_instance_uid
        return f"{study_url}/series/{series.series_instance_uid}/instances/{uid}"

    return await _retrieve(call, named, lambda retrieval: bodies.metadata(retrieval, url_of))


async def _rendered(call: Call, named: Wanted, numbers: tuple[int, ...] | None = None) -> Response:
    is_one = bool(named.sop_instance_uid) and (numbers is None or len(numbers) == 1)
    singles = [each for each in accepted(call.request) if each.is_single and _is_picture(each)]
    if singles and (is_one or not any(each.is_multipart for each in singles)):
        # Who takes no more than one picture gets the one that stands for all.
        media_type = chosen(singles[0], PICTURE_TYPES)
        asked = view(media_type, call.parameters)
        number = numbers[0] if numbers else 1
        return await _retrieve(
            call,
            _one_of(named),
            lambda retrieval: bodies.picture(retrieval, number, media_type, asked),
        )
    media_type = chosen(require(call.request, PICTURE_TYPES, multipart=True), PICTURE_TYPES)
    asked = view(media_type, call.parameters)
    return await _retrieve(
        call, named, lambda retrieval: bodies.pictures(retrieval, media_type, asked, numbers)
    )


async def _thumbnail(call: Call, named: Wanted, number: int = 1) -> Response:
    media_type = chosen(require(call.request, PICTURE_TYPES), PICTURE_TYPES)
    asked = view(media_type, call.parameters, viewport=_THUMBNAIL)
    return await _retrieve(
        call,
        _one_of(named),
        lambda retrieval: bodies.picture(retrieval, number, media_type, asked),
    )


async def _nifti(call: Call, named: Wanted) -> Response:
    require(call.request, (OCTET_STREAM,), multipart=True)
    return await _retrieve(call, named, bodies.nifti, use=RETRIEVE_AS_NIFTI)


async def _retrieve(call: Call, named: Wanted, make: Make, *, use: ProxyUse = RETRIEVE) -> Response:
    wish = disguise_wish(call.parameters)
    access = await call.enter(use)
    retrieval = Retrieval(access, call.receiver, named, wish)
    return WatchedResponse(bodies.RetrievalWork(retrieval, make))


def _one_of(named: Wanted) -> Wanted:
    return Wanted(
        named.study_instance_uid,
        named.series_instance_uid,
        named.sop_instance_uid,
        is_one_for_all=not named.sop_instance_uid,
    )


def _syntaxes(ranges: list[MediaRange]) -> frozenset[str]:
    """Return the transfer syntaxes that are accepted, none if any is."""
    found = [each.transfer_syntaxes for each in ranges]
    return frozenset().union(*found) if all(found) else frozenset()


def _is_picture(media_range: MediaRange) -> bool:
    return any(map(media_range.covers, PICTURE_TYPES))


def _first(ranges: list[MediaRange], is_right: Callable[[MediaRange], bool]) -> MediaRange:
    for media_range in ranges:
        if is_right(media_range):
            return media_range
    raise not_acceptable((f'multipart/related; type="{OCTET_STREAM}"',))
