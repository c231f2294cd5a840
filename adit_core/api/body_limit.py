"""How much a request may bring where its body is read into memory."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 32 << 20
"""In bytes: a spreadsheet of a million cells is smaller."""
STREAMED_PATHS = ("/api/v1/uploads", "/api/dicom-web/")
"""Below these, bodies are streams that are limited where they are written."""


class BodyLimit:
    """ASGI middleware that answers with 413 to bodies that are too large, as soon as that is known."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, with a body that ends in an error if it is too large."""
        if scope["type"] != "http" or scope["path"].startswith(STREAMED_PATHS):
            await self._app(scope, receive, send)
            return
        announced = Request(scope).headers.get("content-length", "")
        left = LARGEST_BODY - (int(announced) if announced.isdigit() else 0)
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            if left < 0:
                raise _too_large()
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST_BODY:
                raise _too_large()
            return message

        await self._app(scope, limited, send)


def _too_large() -> HTTPException:
    return HTTPException(
        413, f"The body is larger than {LARGEST_BODY >> 20} MiB, the most that is read here."
    )
