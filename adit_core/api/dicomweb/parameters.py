"""What the parameters of DICOMweb requests say, and what is wrong with them (PS3.18 8.3)."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword

from adit_core.dicom.command import is_sendable_uid
from adit_core.dicom.frames import PictureFormat, View, Window
from adit_core.dicom.key_matching import RANGE_VRS, WILDCARD_VRS
from adit_core.dicom.query import Level
from adit_core.errors import InputProblem, InvalidInput, refuse
from adit_core.services.proxy_disguise import DisguiseWish, check_wish
from adit_core.services.proxy_retrieval import Wanted
from adit_core.services.proxy_search import MOST_RESULTS, SearchRequest

Parameters = Iterable[tuple[str, str]]

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_LIMITS = ("limit", "offset")
_RESERVED = frozenset({"includefield", "fuzzymatching", "accept", "charset", *_LIMITS})
_UNMATCHABLE = frozenset({"AT", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_INTEGER_VRS = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_UNSIGNED_VRS = frozenset({"UL", "US", "UV"})
_RANGES = {
    "DA": re.compile(r"\d{8}(-(\d{8})?)?|-\d{8}"),
    "TM": re.compile(r"(\d{2,6}(\.\d{1,6})?)?-?(\d{2,6}(\.\d{1,6})?)?"),
    "DT": re.compile(r"[\d.+-]{4,54}"),
}
_LONGEST_VALUE = 1 << 12
_DEEPEST = 4
_BELOW = {
    "Modality": Level.SERIES,
    "SeriesInstanceUID": Level.SERIES,
    "SeriesNumber": Level.SERIES,
    "SeriesDescription": Level.SERIES,
    "NumberOfSeriesRelatedInstances": Level.SERIES,
    "SOPInstanceUID": Level.INSTANCE,
    "SOPClassUID": Level.INSTANCE,
    "InstanceNumber": Level.INSTANCE,
}
"""Attributes that only results of this level, and those below, have."""
_LEVELS = (Level.STUDY, Level.SERIES, Level.INSTANCE)
_FORMATS = {
    "image/jpeg": PictureFormat.JPEG,
    "image/png": PictureFormat.PNG,
    "image/gif": PictureFormat.GIF,
    "image/jp2": PictureFormat.JP2,
}
PICTURE_TYPES = tuple(_FORMATS)
_LARGEST_VIEWPORT = 4096
_WIDEST_WINDOW = 1e9
_LONGEST_NUMBER = 20
_WINDOW_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}


def wanted(study: str, series: str = "", instance: str = "") -> Wanted:
    """Return what a path names. Raises InvalidInput if a UID is none."""
    uids = {"study": study, "series": series, "instance": instance}
    refuse(*(_uid_problem(name, uid) for name, uid in uids.items() if uid and not is_sendable_uid(uid)))
    return Wanted(study, series, instance)


def search_request(level: Level, parameters: Parameters, named: Wanted) -> SearchRequest:
    """Return what is searched for, in all studies or in what is named (PS3.18 8.3.4).

    Raises:
        InvalidInput: With all that is wrong.
    """
    problems: list[InputProblem] = []
    keys: dict[str, Any] = {}
    included: set[str] = set()
    numbers = {"limit": MOST_RESULTS, "offset": 0}
    options: dict[str, bool] = {"includes_all": False, "is_fuzzy": False}
    for name, value in parameters:
        try:
            if name in _LIMITS:
                numbers[name] = _count(name, value)
            elif name == "fuzzymatching":
                options["is_fuzzy"] = _truth(name, value)
            elif name == "includefield":
                options["includes_all"] |= _include(value, included)
            elif name not in _RESERVED:
                _add_key(keys, name, value, level)
        except InvalidInput as error:
            problems += error.problems
    refuse(*problems)
    uids = (named.study_instance_uid, named.series_instance_uid)
    return SearchRequest(level, *uids, keys, frozenset(included), **numbers, **options)


def disguise_wish(parameters: Parameters) -> DisguiseWish:
    """Return how instances are to be changed. Raises InvalidInput if that is not fit for DICOM."""
    given = dict(parameters)
    names = ("pseudonym", "trial_protocol_id", "trial_protocol_name")
    problems = [
        InputProblem("Give it a value, or leave it out.", field=name)
        for name in names
        if name in given and not given[name].strip()
    ]
    refuse(*problems)
    wish = DisguiseWish(*(given.get(name, "") for name in names))
    check_wish(wish)
    return wish


def frame_numbers(text: str) -> tuple[int, ...]:
    """Return a list of frame numbers. Raises InvalidInput if it is none."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and 0 < len(part) <= 9 for part in parts):
        raise _invalid("frames", "Give the numbers of frames, counted from 1, with commas between them.")
    return tuple(map(int, parts))


def view(media_type: str, parameters: Parameters, *, viewport: tuple[int, int] | None = None) -> View:
    """Return how to render (PS3.18 8.3.5); `viewport` is for those who do not say. Raises InvalidInput."""
    given = dict(parameters)
    problems: list[InputProblem] = []
    made: dict[str, Any] = {"viewport": viewport}
    readers = {"window": _window, "viewport": _viewport, "quality": _quality}
    for name, read in readers.items():
        if name in given:
            try:
                made |= read(given[name])
            except InvalidInput as error:
                problems += error.problems
    refuse(*problems)
    return View(format=_FORMATS[media_type], **made)


def _add_key(keys: dict[str, Any], name: str, value: str, level: Level) -> None:
    *parents, keyword = path = _path(name)
    below = _BELOW.get(path[0], Level.STUDY)
    if _LEVELS.index(below) > _LEVELS.index(level):
        hint = "; ask for ModalitiesInStudy" if path[0] == "Modality" else ""
        raise _invalid(name, f"Results of this search do not have {path[0]}{hint}.")
    place = keys
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise _invalid(name, "It is given both as a sequence and as a value.")
    if keyword in place:
        raise _invalid(name, "It is given twice.")
    place[keyword] = _key(name, dictionary_VR(keyword).partition(" ")[0], value)


def _include(value: str, included: set[str]) -> bool:
    """Add the attributes to be told, and tell whether all are."""
    names = [part.strip() for part in value.split(",") if part.strip()]
    if not names:
        raise _invalid("includefield", "Name attributes by keyword or tag, or say all.")
    included.update(_path(name, field="includefield")[0] for name in names if name != "all")
    return "all" in names


def _path(name: str, *, field: str | None = None) -> list[str]:
    """Return the keywords that an attribute's name consists of, which may lead into sequences."""
    parts = name.split(".")
    if len(parts) > _DEEPEST:
        raise _invalid(field or name, "It leads too deep into sequences.")
    keywords = [_keyword(part, field or name) for part in parts]
    for keyword in keywords[:-1]:
        if dictionary_VR(keyword) != "SQ":
            raise _invalid(field or name, f"{keyword} is no sequence.")
    return keywords


def _keyword(part: str, field: str) -> str:
    if _TAG.fullmatch(part):
        tag = int(part, 16)
        keyword = keyword_for_tag(tag) if dictionary_has_tag(tag) else ""
    else:
        keyword = part if tag_for_keyword(part) is not None else ""
    if not keyword or (tag_for_keyword(keyword) or 0) >> 16 <= 2:
        shown = part if re.fullmatch(r"\w{1,64}", part, re.ASCII) else "This"
        raise _invalid(
            field, f"{shown} is no attribute of DICOM: give its keyword (PatientID) or its tag (00100020)."
        )
    return keyword


def _key(name: str, vr: str, value: str) -> str:
    """Return a value to match. Raises InvalidInput if the attribute cannot have it, or match it."""
    if vr in _UNMATCHABLE:
        raise _invalid(name, "This attribute cannot be matched with a value.")
    if len(value) > _LONGEST_VALUE or not value.isprintable():
        raise _invalid(name, "This value is too long, or holds control characters.")
    if ("*" in value or "?" in value) and vr not in WILDCARD_VRS:
        raise _invalid(name, f"Wildcards are not for this attribute (value representation {vr}).")
    if vr == "UI":
        value = value.replace(",", "\\")
        if not all(map(is_sendable_uid, value.split("\\"))) and value:
            raise _uid_invalid(name)
    elif vr == "CS":
        value = value.replace(",", "\\")
    elif value and vr in RANGE_VRS and not _RANGES[vr].fullmatch(value):
        raise _invalid(name, _RANGE_HINTS[vr])
    elif value and not _is_number(vr, value):
        raise _invalid(name, "Give a number.")
    return value


_RANGE_HINTS = {
    "DA": "Give a day as YYYYMMDD, or a range: YYYYMMDD-YYYYMMDD, either end of which may be left out.",
    "TM": "Give a time as HHMMSS, or a range: HHMMSS-HHMMSS, either end of which may be left out.",
    "DT": "Give a moment as YYYYMMDDHHMMSS, or a range of two with a hyphen between them.",
}
_FLOATING = frozenset({"DS", "FD", "FL"})


def _is_number(vr: str, value: str) -> bool:
    if vr in _INTEGER_VRS:
        if not _INTEGER.fullmatch(value):
            return False
        bits = {"US": 16, "SS": 15, "UL": 32, "SL": 31}.get(vr, 62)
        return (0 if vr in _UNSIGNED_VRS else -(1 << bits)) <= int(value) < 1 << bits
    return vr not in _FLOATING or _NUMBER.fullmatch(value) is not None


def _count(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        raise _invalid(name, "Give a number that is not negative.")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise _invalid(name, "Say true or false.")
    return value.lower() == "true"


def _window(text: str) -> dict[str, Any]:
    parts = [part.strip() for part in text.split(",")]
    numbers = [float(part) for part in parts[:2] if _NUMBER.fullmatch(part) and len(part) < _LONGEST_NUMBER]
    function = _WINDOW_FUNCTIONS.get(parts[2].lower() if len(parts) == 3 else "linear", "")
    is_sensible = len(numbers) == 2 and numbers[1] >= 1 and max(map(abs, numbers)) <= _WIDEST_WINDOW
    if not is_sensible or len(parts) > 3 or not function:
        raise _invalid("window", "Give center,width,function: two numbers, and linear or sigmoid.")
    return {"window": Window(numbers[0], numbers[1], function)}


def _viewport(text: str) -> dict[str, Any]:
    parts = [part.strip() for part in text.split(",")]
    hint = f"Give columns,rows up to {_LARGEST_VIEWPORT}, and if need be left,top,width,height of the image."
    if not all(_INTEGER.fullmatch(part) for part in parts if part) or len(parts) not in (2, 6):
        raise _invalid("viewport", hint)
    numbers = [int(part or 0) for part in parts]
    if not all(0 < number <= _LARGEST_VIEWPORT for number in numbers[:2]):
        raise _invalid("viewport", hint)
    if len(numbers) == 2:
        return {"viewport": (numbers[0], numbers[1])}
    left, top, width, height = numbers[2:]
    if not (width and height and left >= 0 and top >= 0) or max(map(abs, numbers[2:])) > 1 << 16:
        raise _invalid("viewport", hint)
    return {"viewport": (numbers[0], numbers[1]), "region": (left, top, width, height)}


def _quality(text: str) -> dict[str, Any]:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 100):
        raise _invalid("quality", "Give a number from 1 to 100.")
    return {"quality": int(text)}


def _uid_problem(field: str, uid: str) -> InputProblem:
    shown = f": {uid}" if re.fullmatch(r"[\w.*?-]{1,80}", uid, re.ASCII) else ""
    return InputProblem(f"This is no UID{shown}. It is digits with dots between, at most 64.", field=field)


def _uid_invalid(field: str) -> InvalidInput:
    return InvalidInput(InputProblem("Give a UID, or several with commas between them.", field=field))


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(InputProblem(message, field=field if field.isprintable() else None))


def bulk_path(text: str) -> list[str]:
    """Return a path of tags and item numbers. Raises InvalidInput if it is none."""
    parts = text.split(".")
    return list(_checked_path(parts))


def _checked_path(parts: list[str]) -> Iterator[str]:
    for position, part in enumerate(parts):
        is_right = _TAG.fullmatch(part) if position % 2 == 0 else part.isdecimal() and len(part) <= 6
        if not is_right or not part.isascii() or len(parts) % 2 == 0:
            raise _invalid("bulkdata", "Take the URI as the metadata give it: tags and item numbers.")
        yield part
