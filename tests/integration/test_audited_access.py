"""Whoever is told of a patient is in the audit trail, whatever service, route or address told it.

Here the archive of `rights_world` answers, since it is a folder with one instance of a patient. Everything is
asked for by those who may have it; where the answer names the patient or shows an image, somebody has to have
been written down.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import UID
from sqlmodel import col, func, select, update

from adit_core.db import AuditEvent, DicomNode, Job, NodeKind, Task
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import AditError
from adit_core.services.looks import TOLD_AGAIN_AFTER, record_look
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.studies import write_study
from tests import rights_table
from tests.factories import ct_study
from tests.fakes.launcher import FakeLauncher
from tests.integration.rights_bodies import PATIENT, request_of
from tests.integration.rights_world import Caller, World, account, make_world
from tests.integration.services_calls import CALLS, Asking
from tests.rights_table import OPEN, Line
from tests.rows import make_job, make_user

OWNER, STAFF = "owner, everything", "staff"
_FACES = ("ui", "adit_core/api", "adit_core/cli", "adit_core/console.py", "flows/notebook.py")
_PNG = b"\x89PNG"
_LINES = {line.name: line for line in rights_table.lines()}
_INDIRECT: Mapping[str, str] = {
    "jobs.tasks_of_job": "is the beginning of services that tell the audit trail what it is for",
    "query_results.all_rows": "is the beginning of services that tell the audit trail what it is for",
    "uploads.describe_upload": "tells those who uploaded it, which was written down then",
}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The only file of the archive."""
    folder = tmp_path_factory.mktemp("archive")
    (path,) = write_study(ct_study(rows=16, patient_id=PATIENT), folder)
    dataset = dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = "1.2", "1.3", "1.4"
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.4")
    dataset.save_as(path)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, instance: Path) -> Iterator[World]:
    """The hospital, with an archive that answers, and a project that knows the patient."""
    world = make_world(tmp_path_factory.mktemp("audited"))
    db = world.api.db
    held = int(world.things["everything"]["held_task"])
    with db.session() as session:
        archive = col(DicomNode.name) == "PACS"
        session.exec(update(DicomNode).where(archive).values(kind=NodeKind.FOLDER, path=str(instance.parent)))
        session.exec(update(Task).where(col(Task.id) == held).values(study_instance_uid="1.2"))
        session.commit()
    owner = account(db, "everything")
    order = TransferRequest(owner_id=owner.id, source="PACS", destination="Export", project="Trial")
    submit_selective_transfer(db, FakeLauncher(), order, [PickedStudy(PATIENT, "1.2")])
    world.keep()
    yield world
    db.dispose()


def test_every_service_that_tells_of_a_patient_writes_down_whom(world: World, instance: Path) -> None:
    telling, silent = set(), set()
    for name, call in CALLS.items():
        for caller in _callers(world):
            db = world.api.db
            user = account(db, caller.username)
            things = world.things["everything"]
            asking = Asking(db, user, things, instance.read_bytes(), world.api.settings, FakeLauncher())
            before = _events_of(db, user.id)
            try:
                tells = _tells(call(asking))
            except AditError:
                tells = False
            if tells:
                telling.add(name)
                silent |= {name} if _events_of(db, user.id) == before else set()
            world.restore()
    assert silent == _INDIRECT.keys()
    assert {
        *("search.find_patients", "search.find_studies", "view_instance.view_instance"),
        *("jobs.list_tasks", "jobs.show_task", "job_export.export_tasks", "query_export.export_results"),
        *("query_results.list_rows", "query_export.result_lines", "query_export.results_sheet"),
        *("links.find_links", "links.export_links", "held.look_at_held", "held.foresee_release"),
    } <= telling


def _callers(world: World) -> list[Caller]:
    return [caller for caller in world.callers if caller.name in (OWNER, STAFF)]


def _tells(answer: Any) -> bool:
    """Tell whether an answer names the patient or shows an image."""
    if isinstance(answer, bytes):
        return PATIENT.encode() in answer or answer.startswith(_PNG)
    text = repr(answer)
    return PATIENT in text or repr(_PNG)[2:-1] in text or "ViewedInstance" in text


def _events_of(db: Database, user_id: int) -> int:
    with db.reading() as session:
        mine = col(AuditEvent.actor_id) == user_id
        return session.exec(select(func.count()).select_from(AuditEvent).where(mine)).one()


def test_every_route_that_tells_of_a_patient_writes_down_whom(world: World, instance: Path) -> None:
    telling, silent = set(), set()
    for name, line in _LINES.items():
        for caller in _callers(world) if line.scope != OPEN else ():
            user = account(world.api.db, caller.username)
            before = _events_of(world.api.db, user.id)
            answer = anyio.run(_ask, world, caller, line, instance.read_bytes())
            if answer.is_success and _shows(answer):
                telling.add(name)
                silent |= {name} if _events_of(world.api.db, user.id) == before else set()
            world.restore()
    assert silent == set()
    assert {
        "POST /v1/search/studies",
        "GET /v1/jobs/{waiting}/tasks",
        "GET /v1/tasks/{waiting_task}",
        "GET /v1/jobs/{answered}/results",
        "GET /v1/held/{held}/picture",
        "GET /dicom-web/PACS/qidors/studies",
        "GET /dicom-web/PACS/wadors/studies/1.2",
        "GET /dicom-web/PACS/wadors/studies/1.2/metadata",
        "GET /dicom-web/PACS/wadors/studies/1.2/rendered",
    } <= telling


async def _ask(world: World, caller: Caller, line: Line, instance: bytes) -> httpx.Response:
    things = world.things["everything"]
    request: dict[str, Any] = request_of(line.name, things, instance)
    headers = {**request.pop("headers", {}), **caller.headers}
    transport = httpx.ASGITransport(world.api.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://adit/api", timeout=60) as client:
        return await client.request(line.method, line.path.format(**things), headers=headers, **request)


def _shows(answer: httpx.Response) -> bool:
    """Tell whether an answer names the patient, or has pixels in it."""
    kind = answer.headers.get("Content-Type", "")
    has_pixels = kind.startswith(("image/", "multipart/", "application/octet-stream", "application/gzip"))
    return has_pixels or PATIENT.encode() in answer.content


@pytest.mark.parametrize("face", _FACES)
def test_faces_are_told_of_patients_by_services_only(face: str) -> None:
    """Pages, routes, commands and notebooks never look into the database by themselves."""
    place = Path(__file__).parents[2] / face
    looking = [
        path.name
        for path in ([place] if place.is_file() else place.rglob("*.py"))
        if re.search(
            r"\.(reading|session)\(|import (sqlmodel|sqlalchemy)|from sqlmodel", path.read_text("utf-8")
        )
    ]
    assert looking == []


def test_a_page_that_renews_itself_is_one_look_an_hour(world: World) -> None:
    db = world.api.db
    watcher = make_user(db, "watcher", staff=True)
    job = make_job(db, owner=watcher)
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        record_look(db, watcher, job.id, address=address)
    assert _looks(db, job) == ["10.0.0.1", "10.0.0.2"]
    assert TOLD_AGAIN_AFTER.total_seconds() == 3600
    world.restore()


def _looks(db: Database, job: Job) -> list[str]:
    looks = select(AuditEvent.address).where(AuditEvent.action == AuditAction.JOB_VIEWED)
    with db.reading() as session:
        return list(
            session.exec(looks.where(AuditEvent.object_id == str(job.id)).order_by(col(AuditEvent.id)))
        )
