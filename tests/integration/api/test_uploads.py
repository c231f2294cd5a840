"""Uploading through the API: what is kept, what is refused, and that nothing stays half."""

from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from adit_core.db import Permission, Upload, User
from deployments.demo.studies import write_study
from tests.api import Api, ApiCaller, form_of, make_api
from tests.factories import ct_study, hashes
from tests.rows import TRANSFERS, allow, load, make_folder, make_group

HEAD = ct_study(3, rows=16, key="uploaded head")
TRICKS = (
    "../../../etc/passwd",
    "..\\..\\windows.dcm",
    "/etc/shadow",
    "a/../../b.dcm",
    "nul\x00.dcm",
    "",
    "ä.dcm",
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The files of a study."""
    return sorted(write_study(HEAD, tmp_path / "studies"))


@pytest.fixture
def caller(api: Api, ada: User) -> ApiCaller:
    """A program of Ada, who may transfer to a folder."""
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    allow(api.db, make_group(api.db, ada, permissions=granted), make_folder(api.db), as_destination=True)
    return api.caller(ada)


def _kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]


def _uploads(api: Api) -> list[Upload]:
    with api.db.reading() as session:
        return [each for each in session.exec(select(Upload)) if each.removed_at is None]


def _form(files: list[Path]) -> dict[str, Any]:
    return form_of((path.name, path.read_bytes()) for path in files)


def test_files_are_kept_as_they_are_and_transferred(
    api: Api, caller: ApiCaller, files: list[Path], tmp_path: Path
):
    upload = caller.json("POST", "/v1/uploads", **_form(files))

    assert (upload["instances"], upload["refused"], upload["problems"]) == (3, [], [])
    assert upload["studies"][0]["study_instance_uid"] == HEAD.study_instance_uid
    assert hashes(_kept(tmp_path)) == hashes(files)
    job = caller.json("POST", "/v1/jobs/upload", json={"upload": upload["id"], "destination": "Export"})
    assert (job["kind"], job["source"], job["progress"]["tasks"]) == ("upload", None, {"PENDING": 1})
    again = {"upload": upload["id"], "destination": "Export"}
    assert caller.problem("POST", "/v1/jobs/upload", json=again)["status"] == 404


def test_one_bare_file_is_kept(caller: ApiCaller, files: list[Path], tmp_path: Path):
    content, headers = files[0].read_bytes(), {"Content-Type": "application/dicom"}

    upload = caller.json("POST", "/v1/uploads", content=content, headers=headers)

    assert upload["instances"] == 1
    assert [path.read_bytes() for path in _kept(tmp_path)] == [content]


def test_an_upload_is_asked_for_once_under_one_key(caller: ApiCaller, files: list[Path]):
    upload = caller.json("POST", "/v1/uploads", **_form(files))
    order = {"upload": upload["id"], "destination": "Export"}
    key = {"headers": {"Idempotency-Key": "k"}}

    first = caller.post("/v1/jobs/upload", order, **key)
    second = caller.post("/v1/jobs/upload", order, **key)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


@pytest.mark.parametrize("name", TRICKS)
def test_names_lead_nowhere(caller: ApiCaller, files: list[Path], tmp_path: Path, name: str):
    before = set(tmp_path.rglob("*"))

    upload = caller.json("POST", "/v1/uploads", **form_of([(name or "x", files[0].read_bytes())]))

    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert new == {tmp_path / "uploads" / upload["id"] / "1.dcm"}


def test_what_is_no_instance_is_named_and_left_out(caller: ApiCaller, files: list[Path], tmp_path: Path):
    sent = [("notes.txt", b"no DICOM"), ("empty.dcm", b""), (files[0].name, files[0].read_bytes())]

    upload = caller.json("POST", "/v1/uploads", **form_of(sent))

    assert [refused["name"] for refused in upload["refused"]] == ["notes.txt", "empty.dcm"]
    assert len(_kept(tmp_path)) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"x", 415),
        ("", b"x", 415),
        ("multipart/form-data; boundary=b", b"", 422),
        ("multipart/form-data; boundary=b", b"nothing of that kind", 422),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 422),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--',
            422,
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 10_000, 422),
        ("application/dicom", b"", 422),
        ("application/dicom", b"no DICOM", 422),
    ],
)
def test_bodies_that_bring_nothing_are_refused(
    *, api: Api, caller: ApiCaller, tmp_path: Path, content_type: str, body: bytes, status: int
):
    headers = {"Content-Type": content_type}

    assert caller.problem("POST", "/v1/uploads", content=body, headers=headers)["status"] == status
    assert (_uploads(api), _kept(tmp_path)) == ([], [])


@pytest.mark.parametrize("lost", [1, 10, 200, 2000])
def test_of_a_body_that_was_cut_off_nothing_is_kept(
    *, api: Api, caller: ApiCaller, files: list[Path], tmp_path: Path, lost: int
):
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="1.dcm"\r\n\r\n'
    whole = b"".join(head + path.read_bytes() + b"\r\n" for path in files) + b"--b--"
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    problem = caller.problem("POST", "/v1/uploads", content=whole[:-lost], headers=headers)

    assert (problem["status"], "cut off" in problem["detail"]) == (422, True)
    assert (_uploads(api), _kept(tmp_path)) == ([], [])
    assert caller.json("POST", "/v1/uploads", content=whole, headers=headers)["instances"] == 3


def test_more_than_the_limit_is_not_kept(api: Api, ada: User, files: list[Path], tmp_path: Path):
    granted = (*TRANSFERS,)
    make_group(api.db, ada, permissions=granted)
    small = make_api(api.db, tmp_path, upload_max_bytes=files[0].stat().st_size + 10)

    problem = small.caller(ada).problem("POST", "/v1/uploads", **_form(files))

    assert (problem["status"], "the most that may be uploaded" in problem["detail"]) == (422, True)
    assert (_uploads(api), _kept(tmp_path)) == ([], [])


def test_who_may_not_transfer_uploads_nothing(api: Api, ada: User, files: list[Path], tmp_path: Path):
    assert api.caller(ada).problem("POST", "/v1/uploads", **_form(files))["status"] == 403
    assert _kept(tmp_path) == []


def test_an_upload_is_discarded_by_its_owner(
    api: Api, caller: ApiCaller, staff: User, files: list[Path], tmp_path: Path
):
    upload = caller.json("POST", "/v1/uploads", **_form(files))
    path = f"/v1/uploads/{upload['id']}"

    assert api.caller(staff).problem("DELETE", path)["status"] == 404
    assert caller.send("DELETE", path).status_code == 204
    assert load(api.db, Upload, upload["id"]).removed_at is not None
    assert _kept(tmp_path) == []
    assert caller.problem("DELETE", path)["status"] == 404
    assert caller.problem("DELETE", "/v1/uploads/..%2F..%2Fetc")["status"] in (404, 422)
