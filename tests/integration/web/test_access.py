"""What can be reached without a session: nothing but the sign-in form and the health of the process."""

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import col, update
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from adit_core.api.app import Dashboard, create_app
from adit_core.api.wiring import Wiring
from adit_core.db import User, WebSession
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.sessions import SessionLimits, open_session, session_id_of
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.rows import make_user
from tests.web_process import COOKIE, WebProcess

OPEN = {"/auth/sign-in", "/auth/sign-out", "/api/health/live", "/api/health/ready"}
UNREACHABLE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "c29tZXRoaW5nIHJhbmRvbQ==",
}


@pytest.mark.parametrize("path", ["/", "/jobs", "/job?id=1", "/nothing/here", "/auth/login", "/docs"])
def test_a_page_without_a_session_leads_to_the_form_and_back(web: WebProcess, path: str):
    with web.browser() as browser:
        answer = browser.get(path)

    assert answer.status_code == 303
    form = httpx.URL(answer.headers["location"])
    assert (form.path, form.params["next"]) == ("/auth/sign-in", path)
    assert "streamlit" not in answer.text.lower()


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/health",
        "/_stcore/host-config",
        "/_stcore/metrics",
        "/_stcore/allowed-message-origins",
        "/_stcore/script-health-check",
        "/_stcore/agent/openapi.json",
        "/_stcore/agent/mcp",
        "/job/_stcore/host-config",
        "/static/js/index.js",
        "/media/0123456789abcdef.png",
        "/component/adit_table/table.js",
        "/app/static/secret.txt",
        "/favicon.png",
        "/manifest.json",
        "/oauth2callback",
        "//_stcore/host-config",
        "/%5fstcore/host-config",
        "/auth/../_stcore/host-config",
        "/api/health/../../_stcore/host-config",
    ],
)
def test_nothing_of_the_dashboard_is_served_without_a_session(web: WebProcess, path: str, accept: str):
    with web.browser() as browser:
        answer = browser.get(path, headers={"Accept": accept})

    assert answer.status_code in (303, 401, 404)
    assert answer.text in ("", "Sign in first.") or answer.status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/_stcore/upload_file/session/file"])
def test_no_other_method_passes_without_a_session(web: WebProcess, method: str, path: str):
    with web.browser() as browser:
        answer = browser.request(
            method, path, content=b"data" if method in ("POST", "PUT", "PATCH") else None
        )

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/_stcore/stream", "/", "/job/_stcore/stream"])
def test_no_websocket_opens_without_a_session(web: WebProcess, path: str):
    with web.browser() as browser:
        assert _handshake(browser, path) == 403


def test_a_session_opens_the_dashboard_and_its_websocket(web: WebProcess):
    with web.browser(web.add_user()) as browser:
        assert '<div id="root">' in browser.get("/job?id=1").text
        assert browser.get("/_stcore/host-config").status_code == 200
        assert _handshake(browser, "/_stcore/stream", origin=web.url) == 101


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1", "http://["]
)
def test_a_page_of_another_host_cannot_open_the_websocket_of_a_session(web: WebProcess, origin: str):
    with web.browser(web.add_user()) as browser:
        assert _handshake(browser, "/_stcore/stream", origin=origin) == 403


def _handshake(browser: httpx.Client, path: str, **headers: str) -> int:
    with browser.stream("GET", path, headers={**HANDSHAKE, **headers}) as answer:
        return answer.status_code


@pytest.mark.parametrize("token", ["", "x", "%00", "a" * 4000])
def test_a_token_that_nobody_was_given_opens_nothing(web: WebProcess, token: str):
    with web.browser() as browser:
        answer = browser.get("/", headers=[("Cookie", f"{COOKIE}={token}")])

    assert answer.status_code == 303


def test_the_id_of_a_session_does_not_open_it(web: WebProcess):
    user = web.add_user()
    session_id = session_id_of(open_session(web.db, user, SessionLimits.of(Settings()), address=""))

    with web.browser() as browser:
        assert browser.get("/", headers={"Cookie": f"{COOKIE}={session_id}"}).status_code == 303
        assert browser.get("/", headers={"X-ADIT-Session": session_id}).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        {"last_seen_at": utc_now() - timedelta(hours=1, seconds=1)},
        {"expires_at": utc_now() - timedelta(seconds=1)},
    ],
    ids=["idle", "too old"],
)
def test_a_session_that_is_over_opens_nothing(web: WebProcess, change: dict[str, Any]):
    user = web.add_user()
    with web.browser(user) as browser:
        assert browser.get("/").status_code == 200

        with web.db.session() as session:
            session.exec(update(WebSession).where(col(WebSession.user_id) == user.id).values(**change))
            session.commit()

        assert browser.get("/").status_code == 303
        assert _handshake(browser, "/_stcore/stream", origin=web.url) == 403


def test_the_session_of_a_closed_account_opens_nothing(web: WebProcess):
    user = web.add_user()
    with web.browser(user) as browser:
        with web.db.session() as session:
            session.exec(update(User).where(col(User.id) == user.id).values(is_active=False))
            session.commit()

        assert browser.get("/").status_code == 303


def test_the_health_of_the_process_is_open(web: WebProcess):
    with web.browser() as browser:
        assert browser.get("/api/health/live").json()["status"] == "alive"
        assert browser.get("/api/health/ready").json() == {"status": "ready", "reason": None}


def test_an_unknown_path_of_the_api_is_not_answered_by_the_dashboard(web: WebProcess):
    with web.browser(web.add_user()) as browser:
        answer = browser.get("/api/nothing/here")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_browsers_are_told_to_keep_to_this_server(web: WebProcess):
    with web.browser(web.add_user()) as browser:
        answers = [browser.get(path) for path in ("/", "/auth/sign-in", "/api/health/live", "/api/nothing")]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy
        assert "'unsafe-eval'" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_the_log_holds_no_addresses_of_pages(web: WebProcess):
    with web.browser(web.add_user()) as browser:
        browser.get("/job?id=31415926")
        browser.get("/auth/sign-in?next=/job?id=31415926")

    assert "31415926" not in web.log


class Echo:
    """An application that answers with the headers by which Streamlit would know the session."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = [value.decode() for name, value in scope["headers"] if name == b"x-adit-session"]
        await JSONResponse(seen)(scope, receive, send)


@asynccontextmanager
async def _running(app: FastAPI):
    yield


def _app(database: Database) -> FastAPI:
    return create_app(Wiring(Settings(), database, FakeLauncher()), Dashboard(Echo(), _running))


def _get(app: FastAPI, path: str, **headers: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://adit") as client:
            return await client.get(path, headers=headers)

    return anyio.run(get)


def test_an_identity_that_a_browser_claims_is_dropped(database: Database):
    ada, bob = (
        open_session(database, make_user(database, name), SessionLimits.of(Settings()), address="")
        for name in ("ada", "bob")
    )

    answer = _get(_app(database), "/", **{"Cookie": f"{COOKIE}={bob}", "X-Adit-Session": session_id_of(ada)})

    assert answer.json() == [session_id_of(bob)]


def test_every_route_but_the_known_ones_asks_for_a_session(database: Database):
    app = _app(database)

    for path in {getattr(route, "path", "") for route in app.routes} - OPEN:
        assert _get(app, path or "/").status_code in (401, 403, 404), path


def test_a_database_without_tables_is_not_ready(database_url: str):
    app = _app(Database(database_url))

    assert _get(app, "/api/health/live").status_code == 200
    answer = _get(app, "/api/health/ready")
    assert answer.status_code == 503
    assert "adit db upgrade" in answer.json()["reason"]


def test_a_database_that_is_away_is_said_to_be_away():
    app = _app(Database(UNREACHABLE))

    for path in ("/api/health/ready", "/"):
        answer = _get(app, path, Cookie=f"{COOKIE}=anything")
        assert answer.status_code == 503
        assert "The database does not answer" in answer.text
