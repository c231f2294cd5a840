"""The web application: FastAPI at the root, the dashboard behind its gate for all other paths."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from adit_core.api import provider_sign_in, sign_in
from adit_core.api.gate import SessionGate
from adit_core.api.metrics import MetricsAtRoot
from adit_core.api.problems import tell_of_http_error
from adit_core.api.rest import create_api
from adit_core.api.security_headers import SecurityHeaders
from adit_core.api.wiring import Wiring
from adit_core.errors import DatabaseUnavailable

_TLS_FOR_A_YEAR = "max-age=31536000"
"""Of this host only: what others of its domain speak is not ours to say."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """An application that is mounted behind the gate."""

    app: ASGIApp
    running: Callable[[FastAPI], AbstractAsyncContextManager[None]]
    """The context in which it answers."""
    script_sources: tuple[str, ...] = ()
    """What its pages may run beside scripts of this server, as in a Content-Security-Policy."""


def create_app(wiring: Wiring, dashboard: Dashboard) -> FastAPI:
    """Return the application, in which every path but sign-in and health asks for a session.

    FastAPI has to be the root, or Streamlit's own middleware would wrap the API.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with dashboard.running(app):
            yield
        wiring.database.dispose()

    app = FastAPI(title="ADIT", lifespan=lifespan, openapi_url=None)
    app.state.wiring = wiring
    app.add_middleware(
        SecurityHeaders,
        script_sources=dashboard.script_sources,
        transport=_TLS_FOR_A_YEAR if wiring.settings.secure_cookies else "",
    )
    app.add_exception_handler(DatabaseUnavailable, _say_unavailable)
    # Paths with line breaks in them lead to no application that is mounted.
    app.add_exception_handler(HTTPException, tell_of_http_error)
    app.include_router(sign_in.router)
    app.include_router(provider_sign_in.router)
    api = create_api(wiring)
    app.mount("/api", api)
    app.router.routes.append(Route("/metrics", MetricsAtRoot(api)))
    app.mount("/", SessionGate(dashboard.app, wiring))
    return app


def _say_unavailable(_request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"{error} Please try again in a moment.", status_code=503)
