"""The API in a process of its own: what only shows over a real connection."""

import struct
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import psutil
import pytest
from pydicom.filewriter import dcmwrite

from adit_core.db import JobStatus, TokenScope, User
from adit_core.services.job_actions import cancel_job
from adit_core.services.tokens import create_token, revoke_token
from deployments.demo.objects import build_instance
from deployments.demo.processes import HOST
from tests.factories import ct_study
from tests.fakes.launcher import FakeLauncher
from tests.rows import TRANSFERS, let_use_api, make_group, make_job
from tests.web_process import WebProcess, web_process

_MEGABYTES = 300


@pytest.fixture
def ada(web: WebProcess) -> User:
    user = web.add_user()
    let_use_api(web.db, user)
    return user


@pytest.fixture
def program(web: WebProcess, ada: User) -> Iterator[httpx.Client]:
    """A program of Ada."""
    token = create_token(web.db, ada, name="test", scopes=frozenset(TokenScope) - {TokenScope.ADMIN}).token
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{web.url}/api", headers=headers, timeout=60) as client:
        yield client


def _beginning_of_image(length: int) -> bytes:
    """Return the file that `length` bytes of pixels have to follow."""
    instance = build_instance(ct_study(rows=16, key="large upload"), 0, 0)
    del instance.PixelData
    file = BytesIO()
    dcmwrite(file, instance, enforce_file_format=True)
    return file.getvalue() + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, length)


def _process(web: WebProcess) -> psutil.Process:
    (connection,) = [
        each
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr == (HOST, web.server.port)
    ]
    return psutil.Process(connection.pid)


def test_it_begins_without_what_only_tables_of_spreadsheets_need(tmp_path: Path):
    with web_process(tmp_path) as web:
        loaded = [each.path for each in _process(web).memory_maps()]

    assert any("pydantic_core" in path for path in loaded)
    assert not [path for path in loaded if "/pandas/" in path or "/pyarrow/" in path]


def test_a_large_upload_goes_to_disk_and_not_to_memory(web: WebProcess, ada: User, program: httpx.Client):
    make_group(web.db, ada, permissions=(*TRANSFERS,))
    process = _process(web)
    before, most = process.memory_info().rss, 0

    def body() -> Iterator[bytes]:
        nonlocal most
        yield _beginning_of_image(_MEGABYTES << 20)
        for _ in range(_MEGABYTES):
            yield bytes(1 << 20)
            most = max(most, process.memory_info().rss)

    answer = program.post("/v1/uploads", content=body(), headers={"Content-Type": "application/dicom"})

    assert answer.json()["instances"] == 1, answer.text
    assert most - before < 60 << 20
    assert program.delete(f"/v1/uploads/{answer.json()['id']}").status_code == 204


def test_an_upload_whose_client_goes_away_leaves_nothing(web: WebProcess, ada: User, program: httpx.Client):
    make_group(web.db, ada, permissions=(*TRANSFERS,))
    uploads = Path(web.server.log).parent / "uploads"

    def body() -> Iterator[bytes]:
        yield _beginning_of_image(1 << 30)
        yield bytes(1 << 20)
        while not any(path.is_file() for path in uploads.glob("*/*")):
            time.sleep(0.05)
            yield bytes(1 << 16)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        program.post("/v1/uploads", content=body(), headers={"Content-Type": "application/dicom"})

    deadline = time.monotonic() + 10
    while any(uploads.glob("*")):
        assert time.monotonic() < deadline, "what was uploaded in part stays"
        time.sleep(0.1)


def test_progress_comes_as_it_happens_and_ends_with_the_job(
    web: WebProcess, ada: User, program: httpx.Client
):
    job = make_job(web.db, studies=2, owner=ada)

    with program.stream("GET", f"/v1/jobs/{job.id}/progress") as answer:
        lines = answer.iter_lines()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(lines) == "event: progress"
        cancel_job(web.db, FakeLauncher(), ada, job.id)
        rest = list(lines)

    assert "event: end" in rest
    assert JobStatus.CANCELED.value in rest[-2]


def test_progress_ends_with_the_token(web: WebProcess, ada: User):
    job = make_job(web.db, owner=ada)
    made = create_token(web.db, ada, name="test", scopes={TokenScope.READ})
    headers = {"Authorization": f"Bearer {made.token}"}

    with httpx.stream(
        "GET", f"{web.url}/api/v1/jobs/{job.id}/progress", headers=headers, timeout=30
    ) as answer:
        lines = answer.iter_lines()
        next(lines)
        revoke_token(web.db, ada, made.view.id)
        rest = list(lines)

    assert "event: problem" in rest
    assert "revoked" in rest[-2]


def test_neither_tokens_nor_searches_are_in_the_log(web: WebProcess, ada: User, program: httpx.Client):
    program.post("/v1/search/patients", json={"node": "NOWHERE", "patient_name": "Doe^Secret"})
    program.get("/v1/jobs?limit=31")
    program.get("/v1/nothing/Doe")

    log = web.log
    assert "Doe" not in log
    assert "limit=31" not in log
    assert program.headers["authorization"].split()[1] not in log
