"""The API in this process, on a database of its own and with a scheduler in memory."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
from fastapi import FastAPI

from adit_core.api.app import Dashboard, create_app
from adit_core.api.wiring import Wiring
from adit_core.db import TokenScope, User
from adit_core.db.engine import Database
from adit_core.services.sessions import SessionLimits, open_session
from adit_core.services.tokens import create_token
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.quick_python import share_routes
from tests.rows import let_use_api
from tests.web_process import COOKIE

PROBLEM = "application/problem+json"


@dataclass
class Api:
    """Sends requests to the application as it is served, without a network in between."""

    db: Database
    settings: Settings
    launcher: FakeLauncher = field(default_factory=FakeLauncher)

    def __post_init__(self) -> None:
        self.app = create_app(Wiring(self.settings, self.db, self.launcher), Dashboard(_nowhere, _running))
        share_routes(self.app)

    def caller(self, user: User, *scopes: TokenScope) -> "ApiCaller":
        """Return a program with a token of `user`, who may have one, with all scopes if none is named."""
        possible = frozenset(TokenScope) - (frozenset() if user.is_staff else {TokenScope.ADMIN})
        let_use_api(self.db, user)
        token = create_token(self.db, user, name="test", scopes=scopes or possible).token
        return ApiCaller(self, {"Authorization": f"Bearer {token}"})

    def session(self, user: User, **headers: str) -> "ApiCaller":
        """Return a page of the dashboard in a session of `user`."""
        token = open_session(self.db, user, SessionLimits.of(self.settings), address="")
        return ApiCaller(self, {"Cookie": f"{COOKIE}={token}", **headers})

    def stranger(self, **headers: str) -> "ApiCaller":
        """Return somebody who is not signed in."""
        return ApiCaller(self, headers)


@dataclass
class ApiCaller:
    """Somebody who calls the API."""

    api: Api
    headers: dict[str, str]

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request and return what is answered."""
        headers = {**self.headers, **request.pop("headers", {})}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.api.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://adit", timeout=60) as client:
                return await client.request(method, f"/api{path}", headers=headers, **request)

        return anyio.run(send)

    def get(self, path: str, **request: Any) -> httpx.Response:
        return self.send("GET", path, **request)

    def post(self, path: str, json: Any = None, **request: Any) -> httpx.Response:
        return self.send("POST", path, **({} if json is None else {"json": json}), **request)

    def json(self, method: str, path: str, **request: Any) -> Any:
        """Send a request that has to succeed and return what is answered."""
        answer = self.send(method, path, **request)
        assert answer.is_success, answer.text
        return answer.json()

    def problem(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Send a request that has to fail and return what is said of it."""
        answer = self.send(method, path, **request)
        assert answer.headers["content-type"] == PROBLEM, (answer.status_code, answer.text)
        problem = answer.json()
        assert problem["status"] == answer.status_code
        return problem


def make_api(db: Database, folder: Path, **settings: Any) -> Api:
    """Return the API; what is uploaded goes to `folder`."""
    return Api(db, Settings(uploads=folder / "uploads", **settings))


def form_of(files: Iterable[tuple[str, bytes]]) -> dict[str, Any]:
    """Return the arguments of a request that sends these files in a form."""
    return {"files": [("files", (name, content, "application/dicom")) for name, content in files]}


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the dashboard is not asked for")


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    yield
