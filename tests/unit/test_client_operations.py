"""Every operation in the OpenAPI document of the API has a method of AditClient.

The methods are called against a peer that answers by the document. What they send and what they make of
the answers is compared with it: paths, parameters, bodies, keys, and the fields of values.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from jsonschema import Draft202012Validator

from adit_core.api.app import create_api
from adit_core.api.wiring import Wiring
from adit_core.client import (
    AditClient,
    HeldInstance,
    Job,
    Picked,
    Series,
    Study,
    Upload,
)
from adit_core.client.reading import made
from adit_core.db.engine import Database
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.fakes.web_peer import Exchange, FakeWebPeer

DOCUMENT: dict[str, Any] = create_api(Wiring(Settings(), Database("sqlite://"), FakeLauncher())).openapi()
UNTOLD = frozenset({"next"})
"""Parameters of no use to callers: lists are followed to their ends."""
UNREAD = frozenset({"csrf_token"})
"""Fields of answers that are for browsers only."""

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WAY: Any = {"source": "PACS", "destination": "Export"}
FOR_ALL: Any = {"name": "n", "urgent": True}
DELIVERY: Any = {
    **FOR_ALL,
    "project": "Trial",
    "excluded_modalities": ["SR"],
    "as_nifti": True,
    "archive_password": "gull harbour 19",
    "trial_protocol_id": "L-2",
    "trial_protocol_name": "Livers again",
}
TRANSFER: Any = {**WAY, **DELIVERY, "direct_move": False}
ROWS = [{"PatientID": "1", "StudyInstanceUID": "1.2"}]
SEARCH = {"first_day": date(2024, 1, 1), "last_day": date(2024, 1, 2)}
PICKED = [Picked("1", "1.2", ("1.2.3",), "ANON")]
STUDY = Study("1", "Doe", None, study_instance_uid="1.2")
PATIENT_KEYS: Any = {
    "patient_id": "1",
    "patient_name": "Doe*",
    "birth_date_from": NOW.date(),
    "birth_date_until": NOW.date(),
    "limit": 5,
}
STUDY_KEYS: Any = {
    **PATIENT_KEYS,
    "study_instance_uid": "1.2",
    "accession_number": "A1",
    "study_date_from": NOW.date(),
    "study_date_until": "2026-01-01",
    "study_description": "*",
    "modalities": ("CT",),
}
SERIES_KEYS: Any = {
    "series_instance_uid": "1.2.3",
    "modality": "CT",
    "series_description": "*",
    "series_number": 1,
    "limit": 5,
}
SETTINGS: Any = {
    "profile": "research",
    "pseudonyms": "keyed",
    "trial_protocol_id": "T",
    "trial_protocol_name": "Trial",
}
USER_SETTINGS: Any = {
    "full_name": "Ada",
    "email": "ada@example.org",
    "is_staff": False,
    "needs_approval": True,
    "notify_by_email": True,
}
SERVER: Any = {
    "ae_title": "PACS",
    "host": "pacs.example.org",
    "port": 104,
    "calling_ae_title": "ADIT",
    "services": ("C-FIND", "C-MOVE"),
    "query_root": "PATIENT",
    "max_associations": 3,
    "allows_direct_move": False,
    "connection_profile": "TLS",
}
WEB_SERVER: Any = {
    "base_url": "https://pacs.example.org",
    "prefixes": {"QIDO-RS": "qido"},
    "services": ("QIDO-RS",),
    "max_associations": 3,
    "connection_profile": "TLS",
}
FOLDER: Any = {
    "path": "/export",
    "storage": {"form": "7z", "archive": None, "password": "secret"},
    "max_associations": 1,
}
POLICY: Any = {
    "instances_per_second": 0.5,
    "windows": ("Mon-Fri 20:00-06:00",),
    "time_zone": "Europe/Berlin",
    "outside": "stop",
    "find_limit": 100,
    "min_free_bytes": 1,
    "quota_bytes": 1,
}
PROFILE: Any = {
    "connect_timeout": 1,
    "silence_timeout": 1,
    "max_pdu_length": 16384,
    "verify_attempts": 1,
    "verify_delay": 1,
    "busy_timeout": 1,
    "parallel_uploads": 1,
    "tls": {"ca": "PEM"},
    "credentials": {"kind": "basic", "username": "ada", "password": "secret"},
    "proxy": "http://proxy",
}
UPLOAD = made(Upload, {"id": "0" * 32, "studies": []})
HELD = HeldInstance(1, 1, 1, "Trial", "ANON", "1.2", "text", "HELD")


def job(adit: AditClient) -> Job:
    """Return a job to act on."""
    return adit.job(7)


def sheet(folder: Path) -> Path:
    """Return a spreadsheet."""
    path = folder / "rows.csv"
    path.write_text("PatientID\n1\n")
    return path


Call = Callable[[AditClient, Path], Any]
CALLS: Mapping[str, Call] = {
    "me": lambda adit, _: adit.me(),
    "choose_group": lambda adit, _: adit.choose_group("Neuro"),
    "nodes": lambda adit, _: adit.nodes(),
    "check_node": lambda adit, _: adit.check_node("PACS", move_destination="ADIT", web_url="https://x"),
    "tokens": lambda adit, _: adit.tokens(all_users=True),
    "create_token": lambda adit, _: adit.create_token("n", ["read"], days=1),
    "revoke_token": lambda adit, _: adit.revoke_token(1),
    "announcements": lambda adit, _: adit.announcements(),
    "maintenance": lambda adit, _: adit.maintenance(),
    "audit": lambda adit, _: adit.audit(
        actor="a", action="SIGNED_IN", object_kind="job", object_id="1", since=NOW, until=NOW, limit=5
    ),
    "find_patients": lambda adit, _: adit.find_patients("PACS", **PATIENT_KEYS),
    "find_patients, remembered": lambda adit, _: adit.find_patients("PACS", **PATIENT_KEYS, max_age=60),
    "find_studies": lambda adit, _: adit.find_studies("PACS", **STUDY_KEYS),
    "find_studies, remembered": lambda adit, _: adit.find_studies("PACS", **STUDY_KEYS, max_age=60),
    "find_series": lambda adit, _: adit.find_series("PACS", STUDY, **SERIES_KEYS),
    "find_series, remembered": lambda adit, _: adit.find_series("PACS", STUDY, **SERIES_KEYS, max_age=60),
    "find_instances": lambda adit, _: adit.find_instances("PACS", Series("1.2", "1.2.3"), patient_id="1"),
    "transfer": lambda adit, _: adit.transfer(ROWS, **TRANSFER),
    "validate_transfer": lambda adit, _: adit.validate_transfer(ROWS, **TRANSFER),
    "preview_transfer": lambda adit, _: adit.preview_transfer(ROWS, **TRANSFER, most=3),
    "transfer, sheet": lambda adit, folder: adit.transfer(sheet(folder), **TRANSFER),
    "validate_transfer, sheet": lambda adit, folder: adit.validate_transfer(sheet(folder), **TRANSFER),
    "preview_transfer, sheet": lambda adit, folder: adit.preview_transfer(sheet(folder), **TRANSFER, most=3),
    "selective_transfer": lambda adit, _: adit.selective_transfer(PICKED, **TRANSFER),
    "validate_selective_transfer": lambda adit, _: adit.validate_selective_transfer(PICKED, **TRANSFER),
    "preview_selective_transfer": lambda adit, _: adit.preview_selective_transfer(PICKED, **TRANSFER, most=3),
    "mass_transfer": lambda adit, _: adit.mass_transfer(SEARCH, **TRANSFER),
    "validate_mass_transfer": lambda adit, _: adit.validate_mass_transfer(SEARCH, **TRANSFER),
    "preview_mass_transfer": lambda adit, _: adit.preview_mass_transfer(
        SEARCH, **TRANSFER, day=NOW.date(), most=3
    ),
    "upload": lambda adit, folder: adit.upload(sheet(folder)),
    "discard_upload": lambda adit, _: adit.discard_upload(UPLOAD),
    "transfer_upload": lambda adit, _: adit.transfer_upload(UPLOAD, destination="Export", **DELIVERY),
    "validate_upload": lambda adit, _: adit.validate_upload(UPLOAD, destination="Export", **DELIVERY),
    "preview_upload": lambda adit, _: adit.preview_upload(UPLOAD, destination="Export", **DELIVERY, most=3),
    "query": lambda adit, _: adit.query(ROWS, source="PACS", **FOR_ALL),
    "validate_query": lambda adit, _: adit.validate_query(ROWS, source="PACS", **FOR_ALL),
    "preview_query": lambda adit, _: adit.preview_query(ROWS, source="PACS", **FOR_ALL, most=3),
    "preview_query, sheet": lambda adit, folder: adit.preview_query(
        sheet(folder), source="PACS", **FOR_ALL, most=3
    ),
    "query, sheet": lambda adit, folder: adit.query(sheet(folder), source="PACS", **FOR_ALL),
    "validate_query, sheet": lambda adit, folder: adit.validate_query(
        sheet(folder), source="PACS", **FOR_ALL
    ),
    "jobs": lambda adit, _: adit.jobs(
        status=["FAILURE"], kind=["batch query"], owner="ada", text="x", all_users=True, limit=5
    ),
    "job": lambda adit, _: adit.job(7),
    "Job.refresh": lambda adit, _: job(adit).refresh(),
    "Job.wait": lambda adit, _: job(adit).wait(timeout=10),
    "Job.tasks": lambda adit, _: job(adit).tasks(status="FAILURE"),
    "Job.series": lambda adit, _: job(adit).series(status="FAILURE"),
    "Job.export_tasks": lambda adit, folder: job(adit).export_tasks(folder / "tasks.csv"),
    "Job.export_series": lambda adit, folder: job(adit).export_series(folder / "series.xlsx"),
    "Job.history": lambda adit, _: job(adit).history(task=1),
    "Job.results": lambda adit, _: job(adit).results(status="FOUND"),
    "Job.export": lambda adit, folder: job(adit).export(folder / "results.csv"),
    "Job.cancel": lambda adit, _: job(adit).cancel(),
    "Job.resume": lambda adit, _: job(adit).resume(),
    "Job.retry": lambda adit, _: job(adit).retry(),
    "Job.restart": lambda adit, _: job(adit).restart(),
    "Job.search_again": lambda adit, _: job(adit).search_again(),
    "Job.make_urgent": lambda adit, _: job(adit).make_urgent(),
    "Job.preview": lambda adit, _: job(adit).preview([1]),
    "Job.verify": lambda adit, _: job(adit).verify([1]),
    "Job.delete": lambda adit, _: job(adit).delete(),
    "task": lambda adit, _: adit.task(1),
    "series_of_task": lambda adit, _: adit.series_of_task(1),
    "reset_task": lambda adit, _: adit.reset_task(1),
    "kill_task": lambda adit, _: adit.kill_task(1),
    "delete_task": lambda adit, _: adit.delete_task(1),
    "projects": lambda adit, _: adit.projects(),
    "add_project": lambda adit, _: adit.add_project("Trial", **SETTINGS),
    "change_project": lambda adit, _: adit.change_project("Trial", **SETTINGS),
    "remove_project": lambda adit, _: adit.remove_project("Trial"),
    "allow_project": lambda adit, _: adit.allow_project("Trial", "Neuro"),
    "forbid_project": lambda adit, _: adit.forbid_project("Trial", "Neuro"),
    "dry_run": lambda adit, _: adit.dry_run("Trial", STUDY, source="PACS"),
    "find_links": lambda adit, _: adit.find_links("Trial", "ANON"),
    "export_links": lambda adit, folder: adit.export_links("Trial", folder / "links.csv"),
    "delete_links": lambda adit, _: adit.delete_links("Trial", ["ANON"]),
    "delete_all_links": lambda adit, _: adit.delete_all_links("Trial"),
    "held": lambda adit, _: adit.held(job_id=1, status="HELD"),
    "picture_of_held": lambda adit, _: adit.picture_of_held(HELD, frame=2),
    "release_held": lambda adit, _: adit.release_held(HELD, blank=[(0, 0, 1, 1)]),
    "reject_held": lambda adit, _: adit.reject_held(HELD),
    "sign_in": lambda adit, _: AditClient.sign_in(adit.url, "ada", "secret").close(),
    "all_announcements": lambda adit, _: adit.all_announcements(),
    "announce": lambda adit, _: adit.announce("m", importance="warning", starts_at=NOW, ends_at=NOW),
    "remove_announcement": lambda adit, _: adit.remove_announcement(1),
    "begin_maintenance": lambda adit, _: adit.begin_maintenance("m"),
    "end_maintenance": lambda adit, _: adit.end_maintenance(),
    "users": lambda adit, _: adit.users(),
    "user": lambda adit, _: adit.user("ada"),
    "add_user": lambda adit, _: adit.add_user(
        "ada", password="secret", must_change_password=True, **USER_SETTINGS
    ),
    "change_user": lambda adit, _: adit.change_user("ada", is_active=False, **USER_SETTINGS),
    "set_password": lambda adit, _: adit.set_password("ada", "secret", must_change=True),
    "groups": lambda adit, _: adit.groups(),
    "group": lambda adit, _: adit.group(1),
    "add_group": lambda adit, _: adit.add_group("Neuro", ["query"]),
    "remove_group": lambda adit, _: adit.remove_group(1),
    "set_permissions": lambda adit, _: adit.set_permissions(1, ["transfer batches"]),
    "add_member": lambda adit, _: adit.add_member(1, "ada"),
    "remove_member": lambda adit, _: adit.remove_member(1, "ada"),
    "set_node_access": lambda adit, _: adit.set_node_access(1, "PACS", as_source=True, as_destination=False),
    "all_nodes": lambda adit, _: adit.all_nodes(),
    "add_server": lambda adit, _: adit.add_server("PACS", **SERVER),
    "add_web_server": lambda adit, _: adit.add_web_server("Web", **WEB_SERVER),
    "add_folder": lambda adit, _: adit.add_folder("Export", **FOLDER),
    "change_server": lambda adit, _: adit.change_server("PACS/2", **SERVER),
    "change_web_server": lambda adit, _: adit.change_web_server("Web", **WEB_SERVER),
    "change_folder": lambda adit, _: adit.change_folder("Export", **FOLDER),
    "remove_node": lambda adit, _: adit.remove_node("PACS"),
    "retired_nodes": lambda adit, _: adit.retired_nodes(),
    "restore_node": lambda adit, _: adit.restore_node("PACS"),
    "resume_node": lambda adit, _: adit.resume_node("PACS"),
    "policy": lambda adit, _: adit.policy("PACS"),
    "change_policy": lambda adit, _: adit.change_policy("PACS", **POLICY),
    "connection_profiles": lambda adit, _: adit.connection_profiles(),
    "connection_profile": lambda adit, _: adit.connection_profile("TLS"),
    "add_connection_profile": lambda adit, _: adit.add_connection_profile("TLS", **PROFILE),
    "replace_connection_profile": lambda adit, _: adit.replace_connection_profile("TLS", **PROFILE),
    "remove_connection_profile": lambda adit, _: adit.remove_connection_profile("TLS"),
}
NO_OPERATIONS = frozenset({"archive", "close", "from_environment", "health", "request"})
"""Methods that are about the proxy, the client itself, or any path."""


@dataclass(frozen=True)
class Operation:
    """An operation as the document describes it."""

    method: str
    path: str
    told: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def query(self) -> set[str]:
        return {each["name"] for each in self.told.get("parameters", ()) if each["in"] == "query"}

    @property
    def takes_key(self) -> bool:
        return "idempotency-key" in {each["name"].lower() for each in self.told.get("parameters", ())}

    @property
    def body(self) -> dict[str, Any]:
        """The schema of the body, by its first media type; empty if there is none."""
        content = self.told.get("requestBody", {}).get("content", {})
        return resolved(_said(next(iter(content.values()))["schema"])) if content else {}

    @property
    def answer(self) -> tuple[int, dict[str, Any]]:
        """The best status, and the schema of its JSON; empty if it is none."""
        status = max(int(each) for each in self.told["responses"] if each.startswith("2"))
        content = self.told["responses"][str(status)].get("content", {})
        return status, content.get("application/json", {}).get("schema", {})

    def fits(self, exchange: Exchange) -> bool:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.path))
        return self.method == exchange.method and bool(
            re.fullmatch(pattern, exchange.url.path.removeprefix("/api"))
        )


OPERATIONS = {
    operation.name: operation
    for path, told in DOCUMENT["paths"].items()
    for method in told
    if (operation := Operation(method.upper(), path, told[method])).path.startswith("/v1/")
}


@dataclass
class Recorded:
    """What a call has sent for an operation, and what was answered."""

    operation: Operation
    exchange: Exchange
    answer: Any

    @property
    def sent(self) -> Any:
        """The JSON of the body; None if it is something else."""
        is_json = self.exchange.headers.get("content-type") == "application/json"
        return json.loads(self.exchange.body) if is_json else None

    @property
    def fields(self) -> set[str]:
        """The names of what the body has."""
        if self.sent is not None:
            return set(self.sent)
        return set(re.findall(r'form-data; name="(\w+)"', self.exchange.body.decode("latin-1")))


class Peer:
    """Answers by the document, with one element in each list and something in each field."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []

    def __call__(self, exchange: Exchange) -> None:
        fitting = [operation for operation in OPERATIONS.values() if operation.fits(exchange)]
        assert fitting, f"The document has no {exchange.method} {exchange.target}"
        operation = min(fitting, key=lambda each: each.path.count("{"))
        status, schema = operation.answer
        answer = example(schema) if schema else None
        assert exchange.body is not None
        self.recorded.append(Recorded(operation, exchange, answer))
        if operation.path.endswith("/progress"):
            ended = json.dumps(example({"$ref": "#/components/schemas/Job"}))
            exchange.send_head(200, {"Content-Type": "text/event-stream", "Connection": "close"})
            exchange.send(f"event: end\ndata: {ended}\n\n".encode())
            exchange.close()
        elif schema:
            exchange.answer_json(answer, status)
        else:
            exchange.answer(status, b"" if status == 204 else b"content")


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def example(schema: dict[str, Any]) -> Any:
    """Return a value of a schema in which nothing is left out, but for the cursor of a list."""
    schema = resolved(schema)
    if (said := _said(schema)) is not schema:
        return example(said)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    return _MAKERS[schema["type"]](schema) if "type" in schema else None


def _said(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the first alternative of a schema that is not null, or the schema if it has no alternatives."""
    alternatives = schema.get("anyOf") or schema.get("oneOf") or [schema]
    return next(each for each in alternatives if each.get("type") != "null")


def _example_object(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: None if name == "next" else example(each) for name, each in properties.items()}


def _example_text(schema: dict[str, Any]) -> str:
    moments = {"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01"}
    return moments.get(schema.get("format", ""), "text")


_MAKERS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "object": _example_object,
    "array": lambda schema: [example(schema.get("items", {}))],
    "string": _example_text,
    "integer": lambda _: 1,
    "number": lambda _: 1,
    "boolean": lambda _: True,
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[Recorded], Any]]:
    """What each call has sent, and what it returned."""
    folder = tmp_path_factory.mktemp("client")
    found: dict[str, tuple[list[Recorded], Any]] = {}
    peer = Peer()
    with FakeWebPeer(peer) as fake, AditClient(fake.url, "secret") as adit:
        for name, call in CALLS.items():
            peer.recorded = []
            returned = call(adit, folder)
            found[name] = (peer.recorded, list(returned) if isinstance(returned, Iterator) else returned)
    return found


def by_operation(recorded: dict[str, tuple[list[Recorded], Any]]) -> dict[str, list[Recorded]]:
    found: dict[str, list[Recorded]] = {}
    for sent, _ in recorded.values():
        for each in sent:
            found.setdefault(each.operation.name, []).append(each)
    return found


def test_every_operation_has_a_method(recorded):
    assert OPERATIONS.keys() - by_operation(recorded).keys() == set()


def test_every_method_is_called_here():
    called = {name.partition(",")[0] for name in CALLS}
    methods = {name for name in dir(AditClient) if not name.startswith("_")} - NO_OPERATIONS
    of_jobs = {
        f"Job.{name}"
        for name, value in vars(Job).items()
        if callable(value) and not name.startswith("_") and name != "as_dict"
    }
    assert called == methods | of_jobs


def test_every_parameter_can_be_given(recorded):
    for name, sent in by_operation(recorded).items():
        given = {key for each in sent for key in parse_qs(each.exchange.url.query)}
        assert OPERATIONS[name].query - UNTOLD == given, name


def test_every_field_of_a_body_can_be_given_and_is_right(recorded):
    for name, sent in by_operation(recorded).items():
        body = OPERATIONS[name].body
        given = {field for each in sent for field in each.fields}
        assert set(body.get("properties", ())) == given, name
        validator = Draft202012Validator({**body, "components": DOCUMENT["components"]})
        for each in sent:
            if each.sent is not None:
                validator.validate(each.sent)


def test_every_creation_has_a_key(recorded):
    for name, sent in by_operation(recorded).items():
        for each in sent:
            assert ("idempotency-key" in each.exchange.headers) == OPERATIONS[name].takes_key, name


def test_values_have_every_field_of_the_answers(recorded):
    for name, (sent, returned) in recorded.items():
        answer = sent[-1].answer
        told = answer["items"] if isinstance(answer, dict) and "items" in answer else answer
        assert set(_lost(told, returned)) <= UNREAD, name


def _lost(told: Any, value: Any) -> Iterator[str]:
    """Yield the names of what was told and is not in a value."""
    if isinstance(told, dict) and is_dataclass(value):
        for name, each in told.items():
            if hasattr(value, name):
                yield from _lost(each, getattr(value, name))
            else:
                yield name
    elif isinstance(told, list) and isinstance(value, list | tuple):
        assert len(told) == len(value)
        for one, other in zip(told, value, strict=True):
            yield from _lost(one, other)
