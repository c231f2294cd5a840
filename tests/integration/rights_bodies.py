"""What the requests of the rights table carry: nothing is wrong with it, so only rights can refuse it."""

import json
from collections.abc import Mapping
from typing import Any

from tests.queries import sheet_of

PATIENT = "PATIENT-4711"
"""Whose the study is that is asked for, and all jobs."""
_STUDY = {"patient_id": PATIENT, "study_instance_uid": "1.2"}
_ROWS = [{"PatientID": PATIENT, "StudyInstanceUID": "1.2"}]
_WAY = {"source": "PACS", "destination": "Export"}
_DAYS = {"first_day": "2024-01-01", "last_day": "2024-01-02"}
_TRIAL = {"project": "Trial"}
_PASSWORD = "correct horse battery staple"
_DICOM_PARTS = 'multipart/related; type="application/dicom"; boundary=b'


def _json(body: Any) -> dict[str, Any]:
    return {"json": body}


def _form(content: bytes, **fields: str) -> dict[str, Any]:
    return {"data": fields, "files": {"file": ("rows.csv", content, "text/csv")}}


def _selective(**more: Any) -> dict[str, Any]:
    return _json({**_WAY, "studies": [_STUDY], **more})


def _batch(**more: Any) -> dict[str, Any]:
    return _json({**_WAY, "rows": _ROWS, **more})


def _batch_sheet(**more: str) -> dict[str, Any]:
    return _form(sheet_of(*_ROWS), **_WAY, **more)


def _mass(**more: Any) -> dict[str, Any]:
    return _json({**_WAY, "search": _DAYS, **more})


def _upload(**more: Any) -> dict[str, Any]:
    return _json({"upload": "{upload}", "destination": "Export", **more})


def _query(**more: Any) -> dict[str, Any]:
    return _json({"source": "PACS", "rows": [{"PatientID": PATIENT}], **more})


def _query_sheet(**more: str) -> dict[str, Any]:
    return _form(sheet_of({"PatientID": PATIENT}), source="PACS", **more)


_SEARCH = {"node": "PACS", "patient_id": PATIENT}
_BODIES: Mapping[str, dict[str, Any]] = {
    "POST /v1/sign-in": _json({}),  # but in this: wrong passwords take a while, and are counted
    "PATCH /v1/me": _json({"active_group": None}),
    "POST /v1/tokens": _json({"name": "new", "scopes": ["read"]}),
    "POST /v1/nodes/check": _json({"node": "PACS"}),
    "POST /v1/search/patients": _json(_SEARCH),
    "POST /v1/search/studies": _json(_SEARCH),
    "POST /v1/search/series": _json({"node": "PACS", **_STUDY}),
    "POST /v1/search/instances": _json({"node": "PACS", **_STUDY, "series_instance_uid": "1.3"}),
    "POST /v1/search/remembered/patients": _json({**_SEARCH, "max_age": 60}),
    "POST /v1/search/remembered/studies": _json({**_SEARCH, "max_age": 60}),
    "POST /v1/search/remembered/series": _json({"node": "PACS", **_STUDY, "max_age": 60}),
    "POST /v1/jobs/selective": _selective(**_TRIAL),
    "POST /v1/jobs/selective/validate": _selective(),
    "POST /v1/jobs/selective/preview": _selective(archive_password=_PASSWORD, **_TRIAL),
    "POST /v1/jobs/batch": _batch(),
    "POST /v1/jobs/batch/validate": _batch(**_TRIAL),
    "POST /v1/jobs/batch/preview": _batch(),
    "POST /v1/jobs/batch/spreadsheet": _batch_sheet(urgent="true", **_TRIAL),
    "POST /v1/jobs/batch/spreadsheet/validate": _batch_sheet(),
    "POST /v1/jobs/batch/spreadsheet/preview": _batch_sheet(**_TRIAL),
    "POST /v1/jobs/mass": _mass(),
    "POST /v1/jobs/mass/validate": _mass(as_nifti=True, **_TRIAL),
    "POST /v1/jobs/mass/preview": _mass(),
    "POST /v1/uploads": {},
    "POST /v1/jobs/upload": _upload(),
    "POST /v1/jobs/upload/validate": _upload(**_TRIAL),
    "POST /v1/jobs/upload/preview": _upload(),
    "POST /v1/jobs/query": _query(),
    "POST /v1/jobs/query/validate": _query(),
    "POST /v1/jobs/query/preview": _query(),
    "POST /v1/jobs/query/spreadsheet": _query_sheet(urgent="true"),
    "POST /v1/jobs/query/spreadsheet/validate": _query_sheet(),
    "POST /v1/jobs/query/spreadsheet/preview": _query_sheet(),
    "POST /v1/projects": _json({"name": "New"}),
    "PATCH /v1/projects/Trial": _json({"profile": "research"}),
    "POST /v1/projects/Trial/dry-run": _json({"source": "PACS", **_STUDY}),
    "POST /v1/projects/Trial/links/search": _json({"term": PATIENT}),
    "POST /v1/projects/Trial/links/delete": _json({"pseudonyms": None}),
    "POST /v1/held/release": _json({"ids": ["{held}"]}),
    "POST /v1/held/reject": _json({"ids": ["{held}"]}),
    "POST /v1/admin/users": _json({"username": "new"}),
    "PATCH /v1/admin/users/everything": _json({"full_name": "Ada"}),
    "PUT /v1/admin/users/everything/password": _json({"password": _PASSWORD}),
    "POST /v1/admin/groups": _json({"name": "New"}),
    "PUT /v1/admin/groups/1/permissions": _json({"permissions": ["query"]}),
    "PUT /v1/admin/groups/1/nodes": _json({"node": "PACS", "as_source": True, "as_destination": True}),
    "POST /v1/admin/nodes/servers": _json(
        {"name": "New", "ae_title": "NEW", "host": "localhost", "port": 104}
    ),
    "POST /v1/admin/nodes/web-servers": _json({"name": "New", "base_url": "http://127.0.0.1:1/new"}),
    "POST /v1/admin/nodes/folders": _json({"name": "New", "path": "/export/new"}),
    "PATCH /v1/admin/nodes/servers/PACS": _json({"query_root": "PATIENT"}),
    "PATCH /v1/admin/nodes/web-servers/Web": _json({"connection_profile": "Slow"}),
    "PATCH /v1/admin/nodes/folders/Export": _json({"path": "/export/moved"}),
    "PATCH /v1/admin/policies/PACS": _json({"find_limit": 100}),
    "POST /v1/admin/profiles": _json({"name": "New"}),
    "PUT /v1/admin/profiles/Slow": _json({}),
    "POST /v1/admin/announcements": _json({"message": "Good morning."}),
    "PUT /v1/admin/maintenance": _json({"message": "The archive is moved."}),
}


def request_of(name: str, things: Mapping[str, str], instance: bytes) -> dict[str, Any]:
    """Return the arguments of the request of this name, about these things; `instance` is what is sent."""
    if name == "POST /v1/uploads":
        return {"content": instance, "headers": {"Content-Type": "application/dicom"}}
    if "/stowrs/" in name:
        body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + instance + b"\r\n--b--\r\n"
        return {"content": body, "headers": {"Content-Type": _DICOM_PARTS}}
    body = _BODIES.get(name, {})
    if "json" not in body:
        return dict(body)
    text = json.dumps(body["json"])
    for thing, value in things.items():
        text = text.replace(f'"{{{thing}}}"', json.dumps(int(value) if thing != "upload" else value))
    return {"json": json.loads(text)}
