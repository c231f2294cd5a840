"""Who a patient is can be read nowhere but where it belongs, whatever is done and whatever goes wrong.

Marked patients go through every face of the real processes. Then all that these processes leave behind is
searched for them: logs, Prefect's database and files, metrics, notifications, addresses, and answers that
tell of errors. A control word is put into each of these places, and has to be found there.
"""

import base64
import smtplib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from adit_core.db import JobKind
from adit_core.services.nodes import add_folder
from tests.e2e.marked_day import (
    Day,
    broken_database,
    log_of,
    logs_of,
    marked_day,
    order_for_approval,
    order_jobs,
    unreadable_job,
    until,
)
from tests.e2e.marked_faces import (
    ask_for_everything_wrongly,
    look_ahead,
    look_for_patients,
    look_with_a_browser,
    meet_the_unreadable,
    run_commands,
)
from tests.markers import CONTROL, HELD, TYPED, found, found_in
from tests.servers import OrthancServer
from tests.stack import RunningStack

# By itself, and by `make faults`: the day takes minutes.
pytestmark = [pytest.mark.system, pytest.mark.slow_faults, pytest.mark.timeout(900)]

ANYBODY = HELD.words() | TYPED.words()
PROCESSES = ("prefect_server", "worker", "reconciler", "web", "receiver")


@pytest.fixture(scope="module")
def day(
    running_adit: RunningStack,
    running_orthanc_source: OrthancServer,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Day]:
    """The day when all is done."""
    running_orthanc_source.clear()
    folder = tmp_path_factory.mktemp("marked")
    with running_adit.connected(), marked_day(running_adit, running_orthanc_source, folder) as day:
        with broken_database(running_adit), day.client(day.token) as client:
            order_jobs(day, client)
        to_approve = order_for_approval(day)
        look_for_patients(day)
        look_ahead(day)
        ask_for_everything_wrongly(day)
        _let_all_be_told(day)
        with unreadable_job(running_adit) as job_id:
            running_adit.launcher.launch(job_id, JobKind.BATCH_TRANSFER, run_number=1, urgent=True)
            meet_the_unreadable(day, job_id)
            run_commands(day, job_id)
            until(lambda: b"Unexpected ValidationError at " in log_of(running_adit, "worker"))
            _plant(day)
            # No other event loop can run in this thread while Playwright does.
            chromium: Browser = request.getfixturevalue("chromium")
            look_with_a_browser(day, chromium, unreadable=job_id, to_approve=to_approve)
            running_adit.finished(to_approve)
        yield day


@pytest.fixture(scope="module")
def places(day: Day) -> Mapping[str, bytes]:
    """All where no patient may be named, by what it is."""
    prefect = day.adit.stack.data_dir / "prefect"
    files = [path for path in sorted(prefect.rglob("*")) if path.is_file()]
    return {
        **{f"log of {name}": path.read_bytes() for name, path in logs_of(day.adit).items()},
        **{f"Prefect's {path.relative_to(prefect)}": path.read_bytes() for path in files},
        "Prefect's rows": _rows_of(prefect / "prefect.db"),
        "metrics": _metrics(day),
        "e-mails": b"\n".join(each.message.as_bytes() for each in day.mail.inbox),
        "webhooks": b"\n".join(repr(each.headers).encode() + each.body for each in day.hook.exchanges),
        "headers of answers": b"\n".join(day.heads),
        "addresses": b"\n".join(day.addresses),
    }


@pytest.fixture(scope="module")
def answers(day: Day) -> Mapping[str, bytes]:
    """Where nobody may be told what he did not know before."""
    return {
        "answers that tell of errors": b"\n".join(day.problems),
        "errors of commands": b"\n".join(day.complaints),
    }


def test_no_patient_is_named_anywhere(places: Mapping[str, bytes]) -> None:
    assert found_in(ANYBODY, places) == {}


def test_an_error_tells_nobody_who_a_patient_is(answers: Mapping[str, bytes]) -> None:
    assert found_in(HELD.words(), answers) == {}


def test_every_process_was_looked_at(day: Day, places: Mapping[str, bytes]) -> None:
    assert {f"log of {process}" for process in PROCESSES} <= places.keys()
    assert {"Prefect's prefect.db", "Prefect's storage/control"} <= places.keys()
    assert len(day.problems) > 200


def test_what_is_planted_is_found_in_each_place(
    places: Mapping[str, bytes], answers: Mapping[str, bytes]
) -> None:
    everything = {**places, **answers}
    seen = found_in({CONTROL}, everything)
    assert {_kind(name) for name in everything} - {_kind(name) for name in seen} == set()


def test_patients_are_named_where_they_belong(day: Day) -> None:
    files = day.adit.stack.data_dir.glob("adit.sqlite*")
    ours = b"".join(path.read_bytes() for path in files)
    assert {HELD.patient_id, HELD.family_name, TYPED.patient_id} <= found(ANYBODY, ours)
    assert {HELD.patient_id, HELD.accession_number} <= found(ANYBODY, day.exports[0])


def _kind(place: str) -> str:
    """Return what kind of place one is: of Prefect's files one has to do for all."""
    if place.startswith("Prefect's prefect.db"):
        return "Prefect's database, or its log of changes"
    if place.startswith("Prefect's ") and place != "Prefect's rows":
        return "Prefect's files"
    return place


def _plant(day: Day) -> None:
    """Put the control word into every place, as the patients could get there."""
    hidden = base64.b64encode(f"about {CONTROL}".encode())
    for path in logs_of(day.adit).values():
        with path.open("ab") as log:
            log.write(b"planted " + hidden + b"\n")
    with get_client(sync_client=True) as prefect:
        prefect.create_artifact(ArtifactCreate(key="control", data=CONTROL))
    planted = day.adit.stack.data_dir / "prefect" / "storage" / "control"
    planted.parent.mkdir(exist_ok=True)
    planted.write_bytes(hidden)
    message = EmailMessage()
    message["From"] = message["To"] = "adit@hospital.example"
    message.set_content(CONTROL, cte="base64")
    with smtplib.SMTP("127.0.0.1", day.mail.port) as server:
        server.send_message(message)
    httpx.post(day.hook.url, content=hidden)
    add_folder(day.adit.db, CONTROL, path=str(day.folder))  # metrics name nodes
    with day.client(day.token) as client:
        assert client.get(f"/dicom-web/{CONTROL}2/qidors/studies").is_error
    with httpx.Client(event_hooks={"response": [day.keep]}) as browser:
        browser.get(f"{day.adit.stack.web_url}/{CONTROL}", headers={"Accept": "text/html"})
    _, complaint = day.command("nodes", "check", f"{CONTROL}2").communicate(timeout=60)
    day.complaints.append(complaint)


def _rows_of(path: Path) -> bytes:
    """Return everything in a database as text, whatever its pages look like."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        rows = (row for name in names for row in connection.execute(f'SELECT * FROM "{name}"'))
        return "\n".join(map(repr, rows)).encode()


def _metrics(day: Day) -> bytes:
    headers = {"Authorization": f"Bearer {day.token}"}
    return httpx.get(f"{day.adit.stack.web_url}/metrics", headers=headers).raise_for_status().content


def _let_all_be_told(day: Day) -> None:
    until(lambda: len(day.mail.inbox) >= len(day.jobs) <= len(day.hook.exchanges))
