"""Who may do what: every caller sends every request of the API and the proxy (`tests/rights_table.txt`)."""

import re
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from deployments.demo.studies import write_study
from tests import rights_table
from tests.factories import ct_study
from tests.integration.rights_bodies import request_of
from tests.integration.rights_world import Caller, World, make_world
from tests.rights_table import EVERYBODY, OPEN, OWNER, REVIEWER, SIGNED_IN, UPLOADER, Line

_LINES = {line.name: line for line in rights_table.lines()}
_SAFE = frozenset({"GET"})
_HIDING = frozenset({REVIEWER, UPLOADER})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hospital."""
    world = make_world(tmp_path_factory.mktemp("rights"))
    yield world
    world.api.db.dispose()


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A DICOM file."""
    (path,) = write_study(ct_study(rows=16), tmp_path_factory.mktemp("instance"))
    return path.read_bytes()


def expected(line: Line, caller: Caller) -> int:
    """Return with which status a caller is answered, by the table."""
    if line.scope == OPEN:
        return line.answer
    if caller.refused and not (caller.only_reads and line.method in _SAFE):
        return caller.refused
    if line.needs_scope is not None and line.needs_scope not in caller.scopes:
        return 403
    lacking = line.who - caller.has - {EVERYBODY, SIGNED_IN}
    if not lacking:
        return line.answer
    return 404 if OWNER in lacking or lacking <= _HIDING else 403


@pytest.mark.parametrize("name", _LINES)
def test_nobody_can_do_more_or_less_than_the_table_says(world: World, instance: bytes, name: str) -> None:
    line = _LINES[name]
    callers = world.callers_of(list(_LINES).index(name))
    answers = anyio.run(_ask_as, callers, world, line, instance)
    wrong = {
        caller.name: f"{answers[caller.name].status_code}, not {status}: {answers[caller.name].text[:300]}"
        for caller in callers
        if answers[caller.name].status_code != (status := expected(line, caller))
    }
    assert wrong == {}


async def _ask_as(
    callers: list[Caller], world: World, line: Line, instance: bytes
) -> dict[str, httpx.Response]:
    answers = {}
    transport = httpx.ASGITransport(world.api.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://adit/api", timeout=60) as client:
        for caller in callers:
            things = world.things[caller.owns]
            request: dict[str, Any] = request_of(line.name, things, instance)
            headers = {**request.pop("headers", {}), **caller.headers}
            path = line.path.format(**things)
            answer = await client.request(line.method, path, headers=headers, **request)
            answers[caller.name] = answer
            if answer.status_code not in (401, 403, 404):
                world.restore()
    return answers


def test_every_route_is_in_the_table(world: World) -> None:
    api = _api_of(world)
    routes = [
        (method.upper(), path) for path, operations in api.openapi()["paths"].items() for method in operations
    ]
    not_denied = {f"{method} {path}" for method, path in routes} - {
        _route_of(line, routes) for line in _LINES.values()
    }
    assert not_denied == set(), "who may do this? Say so in tests/rights_table.txt"


def _api_of(world: World) -> FastAPI:
    (mounted,) = (each for each in world.api.app.routes if isinstance(each, Mount) and each.path == "/api")
    assert isinstance(mounted.app, FastAPI)
    return mounted.app


def _route_of(line: Line, routes: list[tuple[str, str]]) -> str:
    """Return the route that serves a line: of several the one with the fewest parameters."""
    path = line.path.partition("?")[0]
    matching = [
        template
        for method, template in routes
        if method == line.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    assert matching, f"nothing serves {line.name}"
    return f"{line.method} {min(matching, key=lambda template: template.count('{'))}"


def test_no_route_is_left_out_of_the_document(world: World) -> None:
    """What is not in the OpenAPI document is not in the table either."""
    answers = [
        anyio.run(_ask, world, path) for path in ("/docs", "/redoc", "/v1", "/v2/jobs", "/v1/jobs/1/secret")
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert _api_of(world).docs_url is None


async def _ask(world: World, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(world.api.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://adit/api") as client:
        return await client.get(path)


def test_the_page_about_rights_is_that_of_the_table() -> None:
    page = rights_table.PAGE.read_text(encoding="utf-8")
    assert page == rights_table.page_with(rights_table.rendered()), "run python -m tests.rights_table"
