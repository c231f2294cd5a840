"""Whatever is sent to the API, it never breaks, and answers as its OpenAPI document says (schemathesis)."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from adit_core.api.rest import create_api
from adit_core.api.wiring import Wiring
from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key
from adit_core.services.sessions import SessionLimits, find_principal, open_session, session_id_of
from adit_core.settings import Settings
from deployments.demo.studies import write_study
from tests.api import Api, ApiCaller, make_api
from tests.databases import new_database
from tests.factories import ct_study
from tests.fakes.faulty import faulty_archive
from tests.fakes.launcher import FakeLauncher
from tests.rows import make_folder, make_server, make_user
from tests.web_process import COOKIE

schemathesis = pytest.importorskip("schemathesis")

_EXAMPLES = int(os.environ.get("ADIT_FUZZ_EXAMPLES", "4"))
"""What is made up for each operation, rightly and wrongly: more of it by `make fuzz`."""
pytestmark = pytest.mark.timeout(75 * _EXAMPLES)
_API = create_api(Wiring(Settings(), Database("sqlite://"), FakeLauncher()))
_SCHEMA = schemathesis.openapi.from_dict(_API.openapi())
_ENDLESS = "GET /v1/jobs/{job_id}/progress"
"""Streams until the job has ended; `test_api_process` is about it."""
_OPERATIONS = {
    each.ok().label: each.ok() for each in _SCHEMA.get_all_operations() if each.ok().label != _ENDLESS
}
_NODES = {"node": "PACS", "source": "PACS", "destination": "Export"}
_STUDY = ct_study(2, key="schema")
_RESOURCE = {
    "ae_title": "Export",
    "study": _STUDY.study_instance_uid,
    "series": _STUDY.series_instance_uid(0),
    "instance": _STUDY.sop_instance_uid(0, 1),
    "frames": "1",
}
_PARTS = "multipart/related"
_CHECKS = [
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.response_headers_conformance,
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with an archive that does not answer, one that takes what comes, and a folder with a study."""
    folder = tmp_path_factory.mktemp("schema")
    db = new_database(folder / "adit.sqlite", Keyring((new_key(),)))
    make_server(db, "PACS", host="127.0.0.1", port=1)
    make_folder(db, path=str(folder / "studies"))
    write_study(_STUDY, folder / "studies")
    with faulty_archive() as archive:
        node = archive.node()
        make_server(db, "Store", ae_title=node.ae_title, host=node.host, port=node.port)
        yield make_api(db, folder, api_calls_per_minute=10**9)
    db.dispose()


@pytest.fixture(scope="module")
def caller(api: Api) -> ApiCaller:
    """A page in a session of staff, since a token could be revoked by what is sent."""
    return _page(api, make_user(api.db, "root", staff=True))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file that can be stored."""
    return write_study(_STUDY, tmp_path_factory.mktemp("instance"))[0].read_bytes()


def _page(api: Api, user: User) -> ApiCaller:
    limits = SessionLimits.of(api.settings)
    token = open_session(api.db, user, limits, address="")
    principal = find_principal(api.db, session_id_of(token), limits)
    assert principal is not None
    return api.stranger(**{"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": principal.csrf_token})


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("label", _OPERATIONS)
def test_nothing_that_is_sent_breaks_it(caller: ApiCaller, instance: bytes, label: str, mode: str):
    strategy = _OPERATIONS[label].as_strategy(generation_mode=schemathesis.GenerationMode[mode])

    @given(strategy)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    def send(case: Any) -> None:
        for body in (case.body, _with_nodes(case.body)):
            case.body = body
            _send(caller, case)
        if "ae_title" in case.path_parameters:
            there_are = {name: value for name, value in _RESOURCE.items() if name in case.path_parameters}
            case.path_parameters = {**case.path_parameters, **there_are}
            _send(caller, case)
            if case.media_type == _PARTS:
                case.path_parameters["ae_title"] = "Store"
                case.body = instance
                _send(caller, case)

    with suppress(Unsatisfiable):  # nothing that could be sent there would be wrong
        send()


@schemathesis.serializer(_PARTS)
def _part(_context: Any, value: Any) -> bytes:
    """Return the body that has some file as its only part."""
    content = value if isinstance(value, bytes) else str(value).encode()
    return b"--b\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b--\r\n"


def _with_nodes(body: Any) -> Any:
    """Return a body that names nodes that there are, where it names any, so that more of it is looked at."""
    if not isinstance(body, dict):
        return body
    return {**body, **{name: node for name, node in _NODES.items() if name in body}}


def _send(caller: ApiCaller, case: Any) -> None:
    request = requests.Request(**case.as_transport_kwargs(base_url="http://adit/api")).prepare()
    path = request.path_url.removeprefix("/api")
    # Who calls is not what this is about, and a made-up token would keep all that follows from being tried.
    headers = {
        name: value for name, value in request.headers.items() if name not in ("Authorization", "Cookie")
    }
    if case.media_type == _PARTS:
        headers["Content-Type"] = f'{_PARTS}; type="application/dicom"; boundary=b'
    answer = caller.send(str(request.method), path, content=request.body, headers=headers)

    assert answer.status_code != 500, answer.text
    case.validate_response(answer, checks=_CHECKS)


def test_the_document_is_complete(tmp_path: Path):
    told = _API.openapi()

    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)
            assert "application/problem+json" in operation["responses"]["default"]["content"]


@pytest.mark.parametrize("label", _OPERATIONS)
def test_it_is_told_what_can_be_sent_with_examples(label: str):
    method, _, path = label.partition(" ")
    operation = _API.openapi()["paths"][path][method.lower()]

    for parameter in operation.get("parameters", ()):
        assert "example" in parameter or _has_example(parameter["schema"]), parameter["name"]
    for media_type, told in operation.get("requestBody", {}).get("content", {}).items():
        assert "example" in told or _has_example(told["schema"]), media_type


def _has_example(schema: dict[str, Any]) -> bool:
    """Tell whether a schema shows what fits it: by an example, or as there are few values, or a usual one."""
    if "examples" not in schema and "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _has_example(_API.openapi()["components"]["schemas"][name])
    if schema.keys() & {"examples", "enum", "const"} or schema.get("default") not in (None, ""):
        return True
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return any(_has_example(each) for each in alternatives if each.get("type") != "null")
    if schema.get("type") == "array":
        return _has_example(schema["items"])
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return all(_has_example(fields[name]) for name in schema.get("required", ()))
    is_file = "contentMediaType" in schema or schema.get("format") == "binary"
    return schema.get("type") == "boolean" or is_file


def test_the_proxy_tells_what_it_answers():
    told = {path: each for path, each in _API.openapi()["paths"].items() if path.startswith("/dicom-web/")}

    for path, operations in told.items():
        for operation in operations.values():
            assert operation["responses"]["200"]["content"], path
            names = {each["name"] for each in operation["parameters"]}
            assert set(re.findall(r"{(\w+)}", path)) | {"accept"} <= names, path
            if "/wadors/" in path:
                assert {"pseudonym", "trial_protocol_id", "trial_protocol_name"} <= names, path
            if "/qidors/" in path:
                assert {"StudyInstanceUID", "includefield", "limit", "offset", "fuzzymatching"} <= names, path
