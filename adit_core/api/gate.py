"""The gate in front of the dashboard: without a session nothing of it is reached.

That is the page itself, its scripts, media and uploads, and the websocket over which everything
else travels. Streamlit learns who somebody is from one header that is set here and nowhere else.
"""

from urllib.parse import quote

from anyio import to_thread
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adit_core.api.cookies import session_cookie
from adit_core.api.origin import is_same_origin
from adit_core.api.paths import SIGN_IN_PATH
from adit_core.api.wiring import Wiring
from adit_core.services.sessions import Principal, SessionLimits, find_principal, session_id_of

SESSION_HEADER = "x-adit-session"
"""Carries the id of the session to Streamlit; whatever a client sends by this name is dropped."""
_POLICY_VIOLATION = 1008


class SessionGate:
    """ASGI application that lets requests pass to another one if they belong to a live session."""

    def __init__(self, app: ASGIApp, wiring: Wiring) -> None:
        self._app = app
        self._database = wiring.database
        self._limits = SessionLimits.of(wiring.settings)
        self._cookie = session_cookie(wiring.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        request = HTTPConnection(scope)
        principal = await self._principal_of(request)
        if scope["type"] == "websocket" and (principal is None or not is_same_origin(request)):
            # Streamlit would ask a host on the internet for its own address to judge a foreign origin.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        elif principal is None:
            await _refusal(request)(scope, receive, send)
        else:
            await self._app(_identified(scope, principal), receive, send)

    async def _principal_of(self, request: HTTPConnection) -> Principal | None:
        token = request.cookies.get(self._cookie.name)
        if not token:
            return None
        return await to_thread.run_sync(find_principal, self._database, session_id_of(token), self._limits)


def _identified(scope: Scope, principal: Principal) -> Scope:
    name = SESSION_HEADER.encode()
    headers = [(key, value) for key, value in scope["headers"] if key.lower() != name]
    return {**scope, "headers": [*headers, (name, principal.session_id.encode())]}


def _refusal(request: HTTPConnection) -> Response:
    """Send people who open a page to the sign-in form, and tell everything else that it is closed."""
    wants_page = request.scope["method"] == "GET" and "text/html" in request.headers.get("accept", "")
    if not wants_page:
        return PlainTextResponse("Sign in first.", status_code=401, headers={"Cache-Control": "no-store"})
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"{SIGN_IN_PATH}?next={quote(wanted, safe='')}", status_code=303)
