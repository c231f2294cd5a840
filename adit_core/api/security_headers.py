"""Headers that tell browsers to keep to this server and to refuse what nobody here asks for."""

import base64
import hashlib
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SecurityHeaders:
    """ASGI middleware that adds the headers to every response which does not set them itself.

    `script_sources` are allowed beside the scripts of this server (CSP level 3, source expressions).
    `transport` says how browsers are to remember that this server speaks TLS (RFC 6797); nothing if it may
    not.
    """

    def __init__(self, app: ASGIApp, script_sources: Sequence[str] = (), transport: str = "") -> None:
        self._app = app
        self._headers = {
            **({"Strict-Transport-Security": transport} if transport else {}),
            "Content-Security-Policy": _content_security_policy(script_sources),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, and complete the headers of its response."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def script_hash(script: str) -> str:
    """Return the source expression that allows this script inside of a page, and no other."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _content_security_policy(script_sources: Sequence[str]) -> str:
    """Allow what Streamlit needs, and nothing from, to or inside of another host.

    It styles its elements inline, compiles WebAssembly to read tables, and loads the code of
    components from blobs.
    """
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self' blob: 'wasm-unsafe-eval'", *script_sources)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
