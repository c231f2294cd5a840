"""Forms, files and spreadsheets are taken or refused by a sentence, whatever is in them.

`HYPOTHESIS_PROFILE=thorough` tries far more than usual.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adit_core.api.paths import SIGN_IN_PATH
from adit_core.db.secrets import Keyring, new_key
from deployments.demo.studies import write_study
from tests.api import PROBLEM, Api, ApiCaller, make_api
from tests.databases import new_database
from tests.factories import ct_study
from tests.rows import make_folder, make_server, make_user

_MANY = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
_FUZZING = settings(
    max_examples=1000 if _MANY else 25,
    deadline=None,
    derandomize=not _MANY,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
_NAMES = st.one_of(
    st.sampled_from(
        ["../../etc/passwd", "..\\..\\x", "/etc/passwd", "C:\\x", "a\0b", "x" * 5000, "", ".", "CON"]
    ),
    st.text(max_size=40),
)
_HEADS = st.sampled_from(
    [
        b'Content-Disposition: form-data; name="files"; filename="%s"\r\n',
        b"Content-Disposition: form-data; name=files; filename*=UTF-8''%s\r\n",
        b'content-disposition: attachment; filename="%s\r\n',
        b"Content-Length: 99999999999\r\nContent-Disposition: form-data; filename=%s\r\n",
        b"%s: %s\r\n",
        b"X: " + b"y" * 70_000 + b"%s\r\n",
        b"",
    ]
)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A DICOM file."""
    (path,) = write_study(ct_study(rows=16), tmp_path_factory.mktemp("instance"))
    return path.read_bytes()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API."""
    folder = tmp_path_factory.mktemp("hostile")
    db = new_database(folder / "adit.sqlite", Keyring((new_key(),)))
    make_server(db, "PACS", port=1)
    make_folder(db, path=str(folder))
    yield make_api(db, folder, api_calls_per_minute=10**9)
    db.dispose()


@pytest.fixture(scope="module")
def caller(api: Api) -> ApiCaller:
    """A program of staff."""
    return api.caller(make_user(api.db, "root", staff=True))


def assert_answered(answer: httpx.Response) -> None:
    """Check that it was taken, or refused by a sentence."""
    assert answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    if answer.is_error:
        assert answer.headers["content-type"] == PROBLEM, answer.text
        assert answer.json()["detail"].rstrip("\n")[-1] in ".:", answer.text


@st.composite
def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Cut a file off, put other bytes into it, or both."""
    cut = draw(st.integers(0, len(content)))
    at = draw(st.integers(0, cut))
    return content[:at] + draw(st.binary(max_size=30)) + content[at : cut if draw(st.booleans()) else None]


@_FUZZING
@given(data=st.data())
def test_files_of_any_kind_are_taken_or_refused(caller: ApiCaller, instance: bytes, data: st.DataObject):
    content = data.draw(st.one_of(st.binary(max_size=400), _damaged(instance)))
    name = data.draw(_NAMES).encode("utf-8", "surrogatepass")
    head = data.draw(_HEADS)
    filled = head.replace(b"%s", name)
    end = data.draw(st.sampled_from([b"\r\n--b--\r\n", b"\r\n--b\r\n", b"--b--", b"", b"\r\n--c--\r\n"]))
    body = b"--b\r\n" + filled + b"\r\n" + content + end
    boundary = data.draw(st.sampled_from(["b", '"b"', "c", "", "b" * 300]))

    assert_answered(_send(caller, "/v1/uploads", body, f"multipart/form-data; boundary={boundary}"))


@_FUZZING
@given(data=st.data())
def test_a_bare_file_is_taken_or_refused(caller: ApiCaller, instance: bytes, data: st.DataObject):
    content = data.draw(st.one_of(st.binary(max_size=400), _damaged(instance)))
    assert_answered(_send(caller, "/v1/uploads", content, "application/dicom"))


def test_nothing_was_written_elsewhere(api: Api, caller: ApiCaller, instance: bytes):
    for name in ("../../outside.dcm", "/tmp/outside.dcm", "..\\outside.dcm"):
        head = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
        answer = _send(
            caller, "/v1/uploads", head + instance + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"
        )
        assert answer.status_code == 201, answer.text
    uploads = api.settings.resolved_uploads()
    assert not [path for path in Path(uploads).parent.rglob("*outside*") if uploads not in path.parents]


@_FUZZING
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)), name=_NAMES)
@pytest.mark.parametrize("kind", ["batch", "query"])
def test_spreadsheets_of_any_kind_are_taken_or_refused(
    caller: ApiCaller, kind: str, content: bytes, name: str
):
    way = {"source": "PACS"} | ({"destination": "Export"} if kind == "batch" else {})
    filename = name.encode("utf-8", "replace").decode()
    form: dict[str, Any] = {"data": way, "files": {"file": (filename or "x", content, "text/csv")}}
    assert_answered(caller.post(f"/v1/jobs/{kind}/spreadsheet/validate", **form))


@_FUZZING
@given(
    fields=st.dictionaries(
        st.one_of(st.sampled_from(["username", "password", "csrf_token", "next"]), st.text(max_size=10)),
        st.text(max_size=50),
        max_size=6,
    ),
    rest=st.binary(max_size=100),
    kind=st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""]),
)
def test_a_sign_in_of_any_kind_is_answered(api: Api, fields: dict[str, str], rest: bytes, kind: str):
    body = urlencode(fields, errors="replace").encode() + rest

    answer = anyio.run(_sign_in, api, body, kind)

    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text
    assert "text/" in answer.headers["content-type"]


async def _sign_in(api: Api, body: bytes, kind: str) -> httpx.Response:
    transport = httpx.ASGITransport(api.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://adit") as client:
        return await client.post(SIGN_IN_PATH, content=body, headers={"Content-Type": kind})


def _send(caller: ApiCaller, path: str, body: bytes, kind: str) -> httpx.Response:
    return caller.post(path, content=body, headers={"Content-Type": kind})
