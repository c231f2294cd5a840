"""What the OpenAPI document says of the proxy.

Parameters of queries are read by `parameters.py`, bodies are streamed: of neither FastAPI can know. Each of
what is here is the ``openapi_extra`` of a route.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from adit_core.api.dicomweb.media_types import DICOM, DICOM_JSON, JSON, MULTIPART, OCTET_STREAM
from adit_core.api.dicomweb.parameters import PICTURE_TYPES
from adit_core.api.problems import MEDIA_TYPE as PROBLEM
from adit_core.dicom.query import Level

Description = dict[str, Any]

_ROOT = "1.2.826.0.1.3680043.8.498"
STUDY_UID, SERIES_UID, INSTANCE_UID = f"{_ROOT}.1", f"{_ROOT}.1.1", f"{_ROOT}.1.1.1"
_SOP_CLASS_UID = "1.2.840.10008.5.1.4.1.1.2"
_URL = f"https://adit.example.org/api/dicom-web/PACS/wadors/studies/{STUDY_UID}"
_INSTANCE_URL = f"{_URL}/series/{SERIES_UID}/instances/{INSTANCE_UID}"
_UIDS = r"^[0-9]+(\.[0-9]+)*(,[0-9]+(\.[0-9]+)*)*$"

_KEYS: Mapping[Level, tuple[tuple[str, str], ...]] = {
    Level.STUDY: (
        ("StudyInstanceUID", STUDY_UID),
        ("StudyDate", "20240101-20240131"),
        ("StudyTime", "080000-120000"),
        ("AccessionNumber", "A0001"),
        ("ModalitiesInStudy", "CT"),
        ("ReferringPhysicianName", "Curie*"),
        ("PatientName", "Doe^J*"),
        ("PatientID", "4711"),
        ("StudyID", "1"),
        ("StudyDescription", "*thorax*"),
    ),
    Level.SERIES: (
        ("Modality", "CT"),
        ("SeriesInstanceUID", SERIES_UID),
        ("SeriesNumber", "2"),
        ("SeriesDescription", "axial*"),
        ("PerformedProcedureStepStartDate", "20240101-"),
        ("PerformedProcedureStepStartTime", "080000-"),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "S1"),
        ("RequestAttributesSequence.RequestedProcedureID", "R1"),
    ),
    Level.INSTANCE: (
        ("SOPClassUID", _SOP_CLASS_UID),
        ("SOPInstanceUID", INSTANCE_UID),
        ("InstanceNumber", "1"),
    ),
}
"""What every server has to match, with an example (PS3.18 tables 10.6.1-2, 10.6.1-3 and 10.6.1-5)."""
_LEVELS = (Level.STUDY, Level.SERIES, Level.INSTANCE)
_SIDE = r"[1-9]\d{0,2}"
_LINE = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^\\\x00-\x1f\x7f]+$"}
_BINARY = {"type": "string", "format": "binary"}


def uid_field(example: str) -> dict[str, Any]:
    """Return how a UID in a path is described. The pattern is for readers; what breaks it is told by 400."""
    return {"examples": [example], "json_schema_extra": {"pattern": r"^[0-9]+(\.[0-9]+)*$", "maxLength": 64}}


def search(level: Level) -> Description:
    """Return the description of a search for studies, series or instances (PS3.18 10.6)."""
    keys = [key for above in _LEVELS[: _LEVELS.index(level) + 1] for key in _KEYS[above]]
    parameters = [
        *(_key(keyword, example) for keyword, example in keys),
        _parameter(
            "includefield",
            "Attributes to be told besides, by keyword or tag, with commas between; `all` for all.",
            {"type": "string"},
            "StudyDescription,00081030",
        ),
        _parameter(
            "limit", "How many results at most.", {"type": "integer", "minimum": 0, "maximum": 999999999}, 100
        ),
        _parameter(
            "offset", "How many to leave out.", {"type": "integer", "minimum": 0, "maximum": 999999999}, 0
        ),
        _parameter(
            "fuzzymatching",
            "Whether names that are alike match, where the archive can do that. A Warning says if it cannot.",
            {"type": "boolean"},
            False,
        ),
        _accept(DICOM_JSON, JSON),
    ]
    schema, example = _data_sets(), [_found(level)]
    content = {each: {"schema": schema, "example": example} for each in (DICOM_JSON, JSON)}
    answer = {"description": "What was found; nothing is an empty list.", "content": content}
    warning = "That there are more results, or that names were matched literally."
    return {
        "parameters": parameters,
        "responses": {"200": {**answer, "headers": _warning(warning)}},
    }


def _key(keyword: str, example: str) -> dict[str, Any]:
    if keyword.endswith("UID"):
        hint, schema = "One, or several with commas between.", {"type": "string", "pattern": _UIDS}
    elif keyword.endswith("Date"):
        hint, schema = (
            "A day, or a range of days.",
            {"type": "string", "pattern": r"^(\d{8}(-(\d{8})?)?|-\d{8})$"},
        )
    elif keyword.endswith("Time"):
        hint, schema = (
            "A time, or a range of times.",
            {"type": "string", "pattern": r"^\d{2,6}(-(\d{2,6})?)?$"},
        )
    elif keyword.endswith("Number") and keyword != "AccessionNumber":
        hint, schema = "A number.", {"type": "string", "pattern": r"^\d{1,9}$"}
    else:
        hint, schema = "With the wildcards * and ?.", {"type": "string", "maxLength": 64}
    return _parameter(keyword, f"Only results of which this matches. {hint}", schema, example)


def _retrieval(*offered: str, parameters: Iterable[Mapping[str, Any]] = (), **content: Any) -> Description:
    return {
        "parameters": [*_DISGUISE, *parameters, _accept(*offered)],
        "responses": {"200": {"description": "What was asked for.", **content}},
    }


def _parameter(name: str, description: str, schema: Mapping[str, Any], example: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"title": name, **schema},
        "example": example,
    }


def _accept(*offered: str) -> dict[str, Any]:
    description = f"What is accepted, in the place of the header Accept: {', '.join(offered)}."
    schema = {"anyOf": [{"type": "string", "enum": list(offered)}, {"type": "string"}]}
    return _parameter("accept", description, schema, offered[0])


def _multipart(part: str) -> str:
    return f'{MULTIPART}; type="{part}"'


def _binary(*media_types: str) -> dict[str, Any]:
    return {media_type: {"schema": _BINARY} for media_type in media_types}


def _data_sets() -> dict[str, Any]:
    return {
        "type": "array",
        "items": {"type": "object", "title": "Data set", "additionalProperties": {"type": "object"}},
        "description": "Data sets in the DICOM JSON Model (PS3.18 F).",
    }


def _warning(description: str) -> dict[str, Any]:
    return {"Warning": {"description": description, "schema": {"type": "string"}}}


def _element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def _found(level: Level) -> dict[str, Any]:
    told = {
        "00080020": _element("DA", "20240102"),
        "00100010": _element("PN", {"Alphabetic": "Doe^Jane"}),
        "00100020": _element("LO", "4711"),
        "0020000D": _element("UI", STUDY_UID),
    }
    path = _URL
    if level is not Level.STUDY:
        told |= {"00080060": _element("CS", "CT"), "0020000E": _element("UI", SERIES_UID)}
        path += f"/series/{SERIES_UID}"
    if level is Level.INSTANCE:
        told |= {"00080018": _element("UI", INSTANCE_UID), "00200013": _element("IS", 1)}
        path += f"/instances/{INSTANCE_UID}"
    return dict(sorted((told | {"00081190": _element("UR", path)}).items()))


_DISGUISE = (
    _parameter(
        "pseudonym",
        "De-identify the instances, with this in the place of patient's name and ID.",
        _LINE,
        "P7K2",
    ),
    _parameter(
        "trial_protocol_id",
        "Write this Clinical Trial Protocol ID into the instances.",
        _LINE,
        "TRIAL1",
    ),
    _parameter(
        "trial_protocol_name",
        "Write this Clinical Trial Protocol Name into the instances.",
        _LINE,
        "First trial",
    ),
)
_VIEW = (
    _parameter(
        "window",
        "Center, width and function (linear, linear-exact or sigmoid), with commas between.",
        {"type": "string", "pattern": r"^-?\d{1,5},[1-9]\d{0,4}(,(linear|linear-exact|sigmoid))?$"},
        "40,400,linear",
    ),
    _parameter(
        "viewport",
        "Columns and rows, and if need be left, top, width and height of the region of the image.",
        {"type": "string", "pattern": rf"^{_SIDE},{_SIDE}(,\d{{1,4}},\d{{1,4}},{_SIDE},{_SIDE})?$"},
        "512,512",
    ),
    _parameter(
        "quality",
        "Of formats that lose something.",
        {"type": "integer", "minimum": 1, "maximum": 100},
        90,
    ),
)
_PICTURE_PARTS = tuple(map(_multipart, PICTURE_TYPES))

FILES = _retrieval(_multipart(DICOM), content=_binary(MULTIPART))
FILE = _retrieval(_multipart(DICOM), DICOM, content=_binary(MULTIPART, DICOM))
METADATA = _retrieval(
    DICOM_JSON,
    JSON,
    content={
        DICOM_JSON: {
            "schema": _data_sets(),
            "example": [
                {
                    "00080018": _element("UI", INSTANCE_UID),
                    "00100020": _element("LO", "4711"),
                    "7FE00010": {
                        "vr": "OW",
                        "BulkDataURI": f"{_INSTANCE_URL}/bulkdata/7FE00010",
                    },
                }
            ],
        }
    },
)
FRAMES = _retrieval(_multipart(OCTET_STREAM), _multipart("image/jp2"), content=_binary(MULTIPART))
PICTURES = _retrieval(
    *PICTURE_TYPES, *_PICTURE_PARTS, parameters=_VIEW, content=_binary(*PICTURE_TYPES, MULTIPART)
)
THUMBNAIL = _retrieval(*PICTURE_TYPES, parameters=_VIEW, content=_binary(*PICTURE_TYPES))
BULK_DATA = _retrieval(OCTET_STREAM, _multipart(OCTET_STREAM), content=_binary(OCTET_STREAM, MULTIPART))
NIFTI = _retrieval(_multipart(OCTET_STREAM), content=_binary(MULTIPART))

_STORED = {
    "00081190": _element("UR", _URL),
    "00081199": _element(
        "SQ",
        {
            "00081150": _element("UI", _SOP_CLASS_UID),
            "00081155": _element("UI", INSTANCE_UID),
            "00081190": _element("UR", _URL),
        },
    ),
}
_REFUSED = {
    "00081198": _element(
        "SQ",
        {
            "00081150": _element("UI", _SOP_CLASS_UID),
            "00081155": _element("UI", INSTANCE_UID),
            "00081197": _element("US", 0xA700),
        },
    ),
}
_BODY = f"--b\r\nContent-Type: {DICOM}\r\n\r\n(a file)\r\n--b--\r\n"


def _receipt(description: str, example: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "description": "The Store Instances Response Module (PS3.18 I.2) in the DICOM JSON Model.",
    }
    return {
        "description": description,
        "content": {DICOM_JSON: {"schema": schema, "example": example}},
        "headers": _warning("Why instances were refused, in words."),
    }


_ALL_REFUSED = _receipt("None was stored.", _REFUSED)
_ALL_REFUSED["content"][PROBLEM] = {"schema": {"$ref": "#/components/schemas/Problem"}}

STORE: Description = {
    "parameters": [_accept(DICOM_JSON, JSON)],
    "requestBody": {
        "required": True,
        "description": f"One file in each part, as `{_multipart(DICOM)}; boundary=…`.",
        "content": {MULTIPART: {"schema": _BINARY, "example": _BODY}},
    },
    "responses": {
        "200": _receipt("All instances were stored.", _STORED),
        "202": _receipt("Some were refused, or changed by the archive.", _STORED | _REFUSED),
        "409": _ALL_REFUSED,
    },
}
"""Storing (PS3.18 10.5)."""
