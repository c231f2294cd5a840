"""A day on which everything is done to patients that are easily found again, and most of it goes wrong."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydicom import dcmread
from sqlmodel import select

from adit_core.db import DicomNode, Job, JobKind, Permission, TokenScope, User
from adit_core.dicom.node import Service
from adit_core.services.groups import UsableBy, set_node_access
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.tokens import create_token
from adit_core.services.users import create_user
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from deployments.demo.studies import write_study
from deployments.stack import free_port
from tests.factories import study
from tests.fakes.faulty import faulty_archive
from tests.fakes.mail_server import FakeMailServer
from tests.fakes.web_peer import Exchange, FakeWebPeer
from tests.markers import HELD, TYPED, Person, identify
from tests.projects import make_project
from tests.queries import sheet_of
from tests.rows import TRANSFERS, make_group
from tests.servers import OrthancServer
from tests.stack import RunningStack

_PATIENCE = 180.0
_MR_IMAGES = "1.2.840.10008.5.1.4.1.1.4"
_FILE = "application/dicom"
_INTEGERS = {b"1234567890": HELD.patient_id.encode(), b"1987654321": HELD.accession_number.encode() + b" "}
"""What stands in files for numbers, and what is put in its place: pydicom would not write that."""


def _spec(key: str, *series: SeriesSpec, person: Person = HELD) -> StudySpec:
    parts = series or (SeriesSpec(Form.CT, 2, person.series_description, 16, 16),)
    return study(
        *parts,
        key=f"marked {key}",
        patient_id=person.patient_id,
        patient_name=person.patient_name,
        patient_birth_date=f"{person.birth_date:%Y%m%d}",
        accession_number=person.accession_number,
        description=person.study_description,
        character_set="ISO_IR 100",
    )


USUAL = _spec("usual")
STRANGERS = _spec("stranger's")
"""Is asked for as one of another patient."""
CAPTURES = _spec("captures", SeriesSpec(Form.SECONDARY_CAPTURE, 2, HELD.series_description, 32, 48))
"""Are held back when they are to be pseudonymized."""
ODD = _spec("odd")
"""Has texts where dates, numbers and names of character sets belong."""
BREAKING = _spec("breaking")
"""What is written of it makes the database raise an error that quotes the patient."""


@dataclass
class Day:
    """What was done, and what came of it."""

    adit: RunningStack
    folder: Path
    mail: FakeMailServer
    hook: FakeWebPeer
    staff: User
    token: str
    jobs: list[int] = field(default_factory=list)
    problems: list[bytes] = field(default_factory=list)
    """Answers that tell of errors, with their headers."""
    heads: list[bytes] = field(default_factory=list)
    """The headers of all answers, and the addresses that were asked."""
    complaints: list[bytes] = field(default_factory=list)
    """What commands wrote to standard error."""
    exports: list[bytes] = field(default_factory=list)
    addresses: list[bytes] = field(default_factory=list)
    """What browsers asked for."""

    def client(self, token: str | None = None) -> httpx.Client:
        """Return a program that calls the API of the web process, and keeps what it is told."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        hooks: dict[str, Any] = {"response": [self.keep]}
        return httpx.Client(
            base_url=f"{self.adit.stack.web_url}/api", headers=headers, timeout=60, event_hooks=hooks
        )

    def submit(self, client: httpx.Client, kind: str, **order: Any) -> int:
        """Order a job, which has to be accepted."""
        answer = client.post(f"/v1/jobs/{kind}", **order)
        assert answer.status_code == 201, answer.text
        self.jobs.append(answer.json()["id"])
        return self.jobs[-1]

    def command(self, *arguments: object) -> "subprocess.Popen[bytes]":
        """Start a command."""
        environment = {**os.environ, **self.adit.stack.environment()}
        command = [Path(sys.executable).with_name("adit"), "--user", self.staff.username, *arguments]
        return subprocess.Popen(
            list(map(str, command)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def keep(self, answer: httpx.Response) -> None:
        """Keep the headers of an answer, and all of one that tells of an error."""
        head = repr(answer.headers.multi_items()).encode()
        self.heads.append(head)
        if answer.is_error:
            self.problems.append(head + b"\n" + answer.read())


@contextmanager
def marked_day(adit: RunningStack, source: OrthancServer, folder: Path) -> Iterator[Day]:
    """Start what is missing of the processes, fill archives and folders, and add nodes for them."""
    with ExitStack() as ending:
        mail = ending.enter_context(FakeMailServer())
        hook = ending.enter_context(FakeWebPeer(Exchange.answer))
        _start_processes(adit, mail, hook, ending)
        refusing = ending.enter_context(faulty_archive(storage_classes=[_MR_IMAGES]))
        _fill(source, folder)
        source.know("ADIT", adit.stack.receiver_port)
        _add_nodes(adit, source, refusing.port, folder)
        make_project(adit.db, "Marked trial")
        staff = _told_by_mail(adit)
        made = create_token(adit.db, staff, name="marked day", scopes=frozenset(TokenScope))
        yield Day(adit, folder, mail, hook, staff, made.token)


def _start_processes(adit: RunningStack, mail: FakeMailServer, hook: FakeWebPeer, ending: ExitStack) -> None:
    notifying = {
        "ADIT_SMTP_HOST": "127.0.0.1",
        "ADIT_SMTP_PORT": str(mail.port),
        "ADIT_SMTP_SENDER": "adit@hospital.example",
        "ADIT_SMTP_SECURITY": "none",
        "ADIT_WEBHOOK_URL": f"{hook.url}/hook",
        "ADIT_WEBHOOK_SECRET": "shared",
    }
    adit.stop("reconciler")
    ending.callback(adit.start, "reconciler")
    ending.callback(adit.stop, "reconciler")
    adit.start("reconciler", environment=notifying)
    for process in ("web", "receiver"):
        adit.start(process)
        ending.callback(adit.stop, process)
    until(lambda: _answers(f"{adit.stack.web_url}/api/health/live"))


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def _fill(source: OrthancServer, folder: Path) -> None:
    for spec in (USUAL, STRANGERS, CAPTURES, ODD, BREAKING):
        files = write_study(spec, folder / "studies" / spec.key)
        for path in files:
            _mark(path, is_odd=spec is ODD)
        if spec is not ODD:  # Orthanc does not take it
            source.archive.load(files)
    (folder / "arrivals").mkdir()


def _mark(path: Path, *, is_odd: bool) -> None:
    instance = dcmread(path)
    identify(instance, HELD)
    if is_odd:
        instance.SeriesNumber, instance.InstanceNumber = 1234567890, 1987654321
    instance.save_as(path)
    if is_odd:
        content = path.read_bytes().replace(b"ISO_IR 100", HELD.given_name[:10].encode())
        content = content.replace(b"20240102", HELD.physician[:8].encode())
        for number, text in _INTEGERS.items():
            content = content.replace(number, text)
        path.write_bytes(content)


def _add_nodes(adit: RunningStack, source: OrthancServer, refusing_port: int, folder: Path) -> None:
    node = source.archive.node
    at_source = {"ae_title": node.ae_title, "host": node.host, "port": node.port, "max_associations": 8}
    here = {"host": "127.0.0.1", "services": (Service.FIND, Service.GET, Service.STORE)}
    add_server(adit.db, "Marked", **at_source, services=(Service.FIND, Service.GET))
    add_server(adit.db, "Marked by move", **at_source, services=(Service.FIND, Service.MOVE))
    add_server(adit.db, "Marked and gone", ae_title="GONE", port=free_port(), **here)
    add_server(adit.db, "Marked and refusing", ae_title="FAULTY_1", port=refusing_port, **here)
    add_folder(adit.db, "Marked folder", path=str(folder / "studies"))
    add_folder(adit.db, "Marked arrivals", path=str(folder / "arrivals"))


def _told_by_mail(adit: RunningStack) -> User:
    with adit.db.session() as session:
        user = session.get_one(User, adit.user.id)
        user.email, user.notify_by_email = "operator@hospital.example", True
        session.commit()
    return user


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "this does not come about"
        time.sleep(0.2)


def order_jobs(day: Day, client: httpx.Client) -> None:
    """Have transfers and queries done of which something fails in every way, and wait for their ends."""
    way = {"source": "Marked", "destination": "Marked arrivals"}
    named = {"name": f"{TYPED.patient_name} {TYPED.birth_date}"}
    trial = sheet_of(
        *(row_of(spec) for spec in (USUAL, CAPTURES, ODD)),
        row_of(STRANGERS) | {"PatientID": TYPED.patient_id},
    )
    asked = sheet_of(
        {"PatientID": HELD.patient_id, "PatientName": ""},
        {"PatientID": "", "PatientName": f"{TYPED.family_name}*"},
    )
    picked = {"patient_id": HELD.patient_id, "study_instance_uid": USUAL.study_instance_uid}
    day.submit(
        client, "batch/spreadsheet", data={**way, **named, "project": "Marked trial"}, files=_sheet(trial)
    )
    moved = {"source": "Marked by move", "destination": "Marked and refusing"}
    day.submit(client, "selective", json={**moved, **named, "studies": [picked], "urgent": True})
    gone = {"source": "Marked and gone", "destination": "Marked arrivals"}
    waiting = day.submit(client, "batch", json={**gone, **named, "rows": [row_of(USUAL)]})
    day.submit(client, "batch", json={**way, **named, "rows": [row_of(BREAKING)]})
    queried = day.submit(client, "query/spreadsheet", data={"source": "Marked", **named}, files=_sheet(asked))
    sought = {"first_day": "2024-01-02", "last_day": "2024-01-02"}
    sought |= {"include": {"study_descriptions": [f"{HELD.study_description}*", TYPED.study_description]}}
    day.submit(client, "mass", json={**moved, **named, "search": sought})
    upload = client.post("/v1/uploads", files=uploaded_files(day)).json()["id"]
    day.submit(client, "upload", json={"upload": upload, "destination": "Marked arrivals", **named})
    until(lambda: "failures in a row" in client.get(f"/v1/jobs/{waiting}").json()["message"])
    assert client.post(f"/v1/jobs/{waiting}/actions/cancel").is_success
    for job_id in day.jobs:
        day.adit.finished(job_id)
    for form in ("csv", "xlsx"):
        path = f"/v1/jobs/{queried}/results/spreadsheet"
        day.exports.append(client.get(path, params={"format": form}).content)


def order_for_approval(day: Day) -> int:
    """Have somebody order a job whose jobs need approval, in part of another patient than it says."""
    trainee = create_user(day.adit.db, username="trainee", password=None, needs_approval=True)
    group = make_group(
        day.adit.db,
        trainee,
        permissions=(*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED, Permission.USE_API),
    )
    for node in ("Marked", "Marked arrivals"):
        access = UsableBy(node, as_source=True, as_destination=True)
        set_node_access(day.adit.db, group.id, access)
    made = create_token(day.adit.db, trainee, name="marked day", scopes=[TokenScope.JOBS])
    wrong = sheet_of(row_of(USUAL), row_of(STRANGERS) | {"PatientID": TYPED.patient_id})
    way = {"source": "Marked", "destination": "Marked arrivals", "name": TYPED.patient_name}
    with day.client(made.token) as client:
        answer = client.post("/v1/jobs/batch/spreadsheet", data=way, files=_sheet(wrong))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def row_of(spec: StudySpec) -> dict[str, str]:
    """Return a study as a row of a spreadsheet."""
    return {"PatientID": spec.patient_id, "StudyInstanceUID": spec.study_instance_uid}


def _sheet(content: bytes) -> dict[str, Any]:
    return {"file": (f"{TYPED.family_name}.csv", content, "text/csv")}


def uploaded_files(day: Day) -> list[tuple[str, Any]]:
    """Return what is uploaded: instances, and what is none."""
    files = [path for key in (USUAL.key, ODD.key) for path in (day.folder / "studies" / key).iterdir()]
    contents = [path.read_bytes() for path in files]
    wrong = [contents[0][:600], HELD.patient_name.encode(), b""]
    return [
        ("files", (f"{TYPED.family_name}/{number}.dcm", content, _FILE))
        for number, content in enumerate([*contents, *wrong])
    ]


@contextmanager
def broken_database(adit: RunningStack) -> Iterator[None]:
    """Have the database quote the patient in its errors when it is told of one of the studies."""
    quoting = f"{HELD.patient_name} {HELD.patient_id}"
    series = BREAKING.series_instance_uid(0)
    made = (
        "CREATE TRIGGER marked BEFORE INSERT ON series_progress"
        f" WHEN NEW.series_instance_uid = '{series}' BEGIN SELECT RAISE(ABORT, '{quoting}'); END"
    )
    _execute(adit, made)
    try:
        yield
    finally:
        _execute(adit, "DROP TRIGGER marked")


def _execute(adit: RunningStack, statement: str, *values: object) -> None:
    path = adit.stack.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(statement, values)


@contextmanager
def unreadable_job(adit: RunningStack) -> Iterator[int]:
    """Add a job that nobody can read: the error about it quotes the patient."""
    with adit.db.session() as session:
        node = session.exec(select(DicomNode).where(DicomNode.name == "Marked arrivals")).one()
        job = Job(
            kind=JobKind.BATCH_TRANSFER,
            owner_id=adit.user.id,
            source_id=node.id,
            destination_id=node.id,
            run_number=1,
        )
        session.add(job)
        session.commit()
    options = json.dumps({"excluded_modalities": HELD.patient_name, HELD.patient_id: 1}, ensure_ascii=False)
    _execute(adit, "UPDATE job SET options = ? WHERE id = ?", options, job.id)
    try:
        yield job.id
    finally:
        _execute(adit, "DELETE FROM job WHERE id = ?", job.id)


def log_of(adit: RunningStack, process: str) -> bytes:
    """Return what a process has logged."""
    return (adit.stack.data_dir / f"{process}.log").read_bytes()


def logs_of(adit: RunningStack) -> Mapping[str, Path]:
    """Return the logs of all processes by their names."""
    return {path.stem: path for path in sorted(adit.stack.data_dir.glob("*.log"))}
