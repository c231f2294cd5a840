"""What the client does when the server is busy, or an answer is lost; and what it makes of rows."""

import json
import subprocess
import sys
from datetime import date
from typing import Any

import pandas as pd
import pytest

from adit_core.client import (
    AditClient,
    ConnectionFailed,
    JobFailed,
    NotPossible,
    Picked,
    Study,
    TooManyRequests,
    Unavailable,
)
from adit_core.client.rows import picked_studies, query_rows, transfer_rows
from tests.fakes.web_peer import Exchange, FakeWebPeer

JOB = {
    "id": 7,
    "kind": "batch transfer",
    "name": "",
    "owner": "ada",
    "status": "PENDING",
    "message": "",
    "created_at": "2026-01-01T00:00:00Z",
    "progress": {"share": 0.0, "tasks": {}, "counts": {"delivered": 0}},
    "actions": [],
    "something_new": 1,
}
WAY: Any = {"source": "PACS", "destination": "Export"}
ROWS = [{"PatientID": "1", "StudyInstanceUID": "1.2"}]
NOT_IN_THE_BASE_INSTALL = frozenset({"fastapi", "pandas", "prefect", "pydantic", "sqlalchemy", "streamlit"})


def _job(**changes: Any):
    return lambda exchange: exchange.answer_json({**JOB, **changes}, 201)


def _lost(exchange: Exchange) -> None:
    assert exchange.body
    exchange.reset()


def _busy(status: int):
    return lambda exchange: exchange.answer(status, b"{}", {"Retry-After": "1"})


def _client(peer: FakeWebPeer) -> AditClient:
    return AditClient(peer.url, "secret")


def test_every_request_bears_the_token():
    with FakeWebPeer(lambda exchange: exchange.answer_json([])) as peer, _client(peer) as adit:
        adit.nodes()

    assert peer.exchanges[0].headers["authorization"] == "Bearer secret"
    assert peer.targets == ["/api/v1/nodes"]
    assert "secret" not in repr(adit)


def test_a_job_is_submitted_again_under_the_same_key_if_the_answer_is_lost():
    with FakeWebPeer(_lost, _busy(503), _job()) as peer, _client(peer) as adit:
        job = adit.transfer(ROWS, **WAY)

    assert job.id == 7
    first, second, third = peer.exchanges
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body == third.body


def test_what_is_still_being_done_is_asked_for_again_until_it_is_there():
    def being_done(exchange: Exchange) -> None:
        exchange.answer(409, b'{"detail": "It is being done."}', {"Retry-After": "0"})

    with FakeWebPeer(_lost, being_done, _project) as peer, _client(peer) as adit:
        project = adit.add_project("Trial")

    assert project.name == "Trial"
    assert len({exchange.headers["idempotency-key"] for exchange in peer.exchanges}) == 1


def _project(exchange: Exchange) -> None:
    exchange.answer_json({"name": "Trial", "pseudonyms": "keyed"}, 201)


def test_two_jobs_have_keys_of_their_own():
    with FakeWebPeer(_job()) as peer, _client(peer) as adit:
        adit.transfer(ROWS, **WAY)
        adit.transfer(ROWS, **WAY)

    assert len({exchange.headers["idempotency-key"] for exchange in peer.exchanges}) == 2


def test_what_has_no_key_is_not_repeated_if_its_answer_is_lost():
    with FakeWebPeer(_job(), _lost) as peer, _client(peer) as adit:
        job = adit.transfer(ROWS, **WAY)
        with pytest.raises(ConnectionFailed):
            job.verify([1])

    assert len(peer.exchanges) == 2


def test_too_many_requests_are_waited_for():
    with FakeWebPeer(_job(), _busy(429), _job(status="CANCELED")) as peer, _client(peer) as adit:
        assert adit.transfer(ROWS, **WAY).cancel().status == "CANCELED"


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    with FakeWebPeer(_busy(429)) as peer, _client(peer) as adit:
        with pytest.raises(TooManyRequests):
            adit.nodes()
        assert len(peer.exchanges) == 4
    with FakeWebPeer(_busy(503)) as peer, _client(peer) as adit, pytest.raises(Unavailable, match="503"):
        adit.nodes()


UPLOAD = {"id": "0" * 32, "studies": [], "refused": [], "problems": [], "series": 0, "instances": 0}


def test_an_upload_is_sent_again_under_the_same_key_if_the_answer_is_lost(tmp_path):
    (tmp_path / "1.dcm").write_bytes(b"x" * 100)

    def received(exchange: Exchange) -> None:
        exchange.answer_json(UPLOAD, 201)

    with FakeWebPeer(_lost, _busy(503), received) as peer, _client(peer) as adit:
        assert adit.upload(tmp_path).id == "0" * 32

    assert [exchange.parts for exchange in peer.exchanges] == [[b"x" * 100]] * 3
    assert len({exchange.headers["idempotency-key"] for exchange in peer.exchanges}) == 1


def test_a_token_whose_answer_was_lost_is_told_to_be_there():
    def shown_before(exchange: Exchange) -> None:
        exchange.answer_json({"detail": "This token (id 4) was made and shown."}, 409)

    with (
        FakeWebPeer(_lost, shown_before) as peer,
        _client(peer) as adit,
        pytest.raises(NotPossible, match="id 4"),
    ):
        adit.create_token("x", ["read"])

    assert len({exchange.headers["idempotency-key"] for exchange in peer.exchanges}) == 1


def test_a_server_that_is_not_ready_says_why_at_once():
    told = {"status": "not ready", "reason": "The database is away."}
    with FakeWebPeer(lambda exchange: exchange.answer_json(told, 503)) as peer, _client(peer) as adit:
        assert adit.health().reason == "The database is away."

    assert peer.targets == ["/api/health/ready"]


def _events(*events: tuple[str, dict[str, Any]], cut: bool = False):
    def script(exchange: Exchange) -> None:
        exchange.send_head(200, {"Content-Type": "text/event-stream", "Connection": "close"})
        exchange.send(b": keep-alive\n\n")
        for event, data in events:
            exchange.send(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
        (exchange.reset if cut else exchange.close)()

    return script


def test_following_goes_on_when_the_connection_breaks():
    done = {**JOB, "status": "SUCCESS"}
    scripts = (
        _job(),
        _events(("progress", JOB), cut=True),
        _events(("progress", JOB)),
        _events(("progress", done), ("end", done)),
    )
    with FakeWebPeer(*scripts) as peer, _client(peer) as adit:
        assert adit.transfer(ROWS, **WAY).wait(timeout=30).status == "SUCCESS"

    assert peer.targets[1:] == ["/api/v1/jobs/7/progress"] * 3


def test_a_canceled_job_raises():
    ended = {**JOB, "status": "CANCELED", "message": "Canceled before it started."}
    with FakeWebPeer(_job(), _events(("progress", ended), ("end", ended))) as peer, _client(peer) as adit:
        job = adit.transfer(ROWS, **WAY)
        with pytest.raises(JobFailed, match="Canceled before it started"):
            job.wait()


def test_an_answer_of_something_else_than_adit_is_an_error():
    page = b"<html>Bad gateway</html>"
    with (
        FakeWebPeer(lambda exchange: exchange.answer(500, page)) as peer,
        _client(peer) as adit,
        pytest.raises(Exception, match="answered with 500"),
    ):
        adit.create_token("x", ["read"])


def test_rows_come_from_whatever_there_is():
    study = Study("0001", "Doe^J", None, study_instance_uid="1.2", study_date=date(2024, 1, 2))
    frame = pd.DataFrame(
        {"patient_id": ["0001", None], "Study Instance UID": ["1.2", "1.3"], "images": [1, 2]}
    )

    assert transfer_rows([study]) == [{"patient_id": "0001", "study_instance_uid": "1.2"}]
    assert transfer_rows(frame) == [
        {"patient_id": "0001", "Study Instance UID": "1.2"},
        {"patient_id": "", "Study Instance UID": "1.3"},
    ]
    assert query_rows([{"From": date(2024, 1, 2)}]) == [{"From": "2024-01-02"}]


def test_studies_are_picked_from_whatever_there_is():
    frame = pd.DataFrame({"PatientID": ["1"], "Study Instance UID": ["1.2"], "series_instance_uid": [None]})
    picked = {"patient_id": "1", "study_instance_uid": "1.2", "series_instance_uids": []}

    assert picked_studies(frame) == [picked]
    assert picked_studies([Study("1", "Doe^J", None, study_instance_uid="1.2")]) == [picked]
    assert picked_studies([Picked("1", "1.2", ("1.2.3", "1.2.4"), "ANON")]) == [
        {**picked, "series_instance_uids": ["1.2.3", "1.2.4"], "pseudonym": "ANON"}
    ]
    assert picked_studies([{**picked, "series_instance_uids": "1.2.3"}])[0]["series_instance_uids"] == [
        "1.2.3"
    ]
    with pytest.raises(ValueError, match="patient_id"):
        picked_studies([{**picked, "patient_id": 1}])


@pytest.mark.parametrize("value", [4711, 4711.0, True, ["4711"]])
def test_identifiers_that_are_no_text_are_refused(value: Any):
    with pytest.raises(ValueError, match="Column PatientID"):
        transfer_rows([{"PatientID": value, "StudyInstanceUID": "1.2"}])


def test_the_client_needs_nothing_of_the_server():
    program = "import sys, adit_core.client; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert "adit_core.client.adit" in loaded
    own = {name for name in loaded if name.startswith("adit_core.")}
    assert {name for name in own if not name.startswith("adit_core.client")} == set()
    assert {name.partition(".")[0] for name in loaded} & NOT_IN_THE_BASE_INSTALL == set()
