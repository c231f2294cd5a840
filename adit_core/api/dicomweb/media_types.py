"""Content negotiation: what a client accepts, and which of what there is it gets (PS3.18 8.7)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
JSON = "application/json"
OCTET_STREAM = "application/octet-stream"
MULTIPART = "multipart/related"

_ANY = "*/*"
_RANGES = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_PARAMETERS = re.compile(r';\s*([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One of the media types that are accepted; that of the parts, if it is multipart."""

    name: str
    is_multipart: bool
    is_single: bool
    transfer_syntaxes: frozenset[str]
    """Empty, or ``*`` among them, for any."""
    quality: float

    def covers(self, media_type: str) -> bool:
        """Tell whether the media type is in the range."""
        kind = media_type.partition("/")[0]
        return self.name in (media_type, _ANY, f"{kind}/*", f"{kind}/")


def accepted(request: Request) -> list[MediaRange]:
    """Return what is accepted, the most wanted first; the parameter ``accept`` replaces the header.

    Without either, everything is.
    """
    header = request.query_params.get("accept") or request.headers.get("accept") or _ANY
    ranges = [_media_range(text.strip()) for text in _RANGES.findall(header) if text.strip()]
    return sorted((each for each in ranges if each.quality > 0), key=lambda each: -each.quality)


def require(request: Request, offered: Iterable[str], *, multipart: bool = False) -> MediaRange:
    """Return the most wanted range that one of the `offered` media types is in.

    Raises:
        HTTPException: None of them is (406).
    """
    offers = tuple(offered)
    for media_range in accepted(request):
        is_form_right = media_range.is_multipart if multipart else media_range.is_single
        if is_form_right and any(map(media_range.covers, offers)):
            return media_range
    raise not_acceptable(f'{MULTIPART}; type="{offer}"' if multipart else offer for offer in offers)


def chosen(media_range: MediaRange, offered: Sequence[str]) -> str:
    """Return the first of the `offered` media types that is in the range."""
    return next(offer for offer in offered if media_range.covers(offer))


def not_acceptable(offers: Iterable[str]) -> HTTPException:
    """Return the refusal of whatever was accepted (406), with what there is."""
    return HTTPException(406, f"Accept one of the media types that there are: {', '.join(offers)}.")


def _media_range(text: str) -> MediaRange:
    name, parameters = _parsed(text)
    is_any = name == _ANY
    if name in (MULTIPART, "multipart/*"):
        name = parameters.get("type", _ANY).lower()
        is_multipart, is_single = True, False
    else:
        is_multipart, is_single = is_any, True
    syntaxes = parameters.get("transfer-syntax", "")
    return MediaRange(
        name,
        is_multipart,
        is_single,
        frozenset(part for part in re.split(r"[,\s]+", syntaxes) if part),
        _quality(parameters.get("q", "1")),
    )


def _parsed(text: str) -> tuple[str, Mapping[str, str]]:
    name = text.partition(";")[0].strip().lower()
    pairs = _PARAMETERS.findall(text)
    return name, {key.lower(): value.strip('"') for key, value in pairs}


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
