"""The hand-over over HTTP: the receiver's other door, for workers. See `adit_core.dicom.handover`.

Whoever has the shared token may take everything. There are no further rights, for only workers have it.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from typing import BinaryIO

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from adit_core.dicom.handover import HandOver, StudySubscription
from adit_core.dicom.handover_stream import (
    ACKNOWLEDGE_PATH,
    IDLE_FRAME,
    IDLE_INTERVAL,
    STREAM_PATH,
    encode_greeting,
    encode_instance,
)
from adit_core.dicom.spool import SpooledInstance

_PIECE = 1 << 20
_LONGEST_BODY = 1 << 20


def create_hand_over_app(hand_over: HandOver, token: str) -> Starlette:
    """Return the application that hands over what is in `hand_over` to those who know `token`."""
    door = _Door(hand_over, token)
    return Starlette(
        routes=[
            Route(STREAM_PATH, door.stream),
            Route(ACKNOWLEDGE_PATH, door.acknowledge, methods=["POST"]),
            Route("/health", door.health),
        ]
    )


class _Door:
    """The routes, and the subscriptions that last."""

    def __init__(self, hand_over: HandOver, token: str) -> None:
        self._hand_over = hand_over
        self._authorization = f"Bearer {token}".encode()
        self._subscriptions: dict[str, StudySubscription] = {}

    async def health(self, _request: Request) -> Response:
        """Tell how much waits; for those who watch over the receiver."""
        counts = await run_in_threadpool(self._hand_over.counts)
        return JSONResponse({"status": "ready", **asdict(counts)})

    async def stream(self, request: Request) -> Response:
        """Begin a subscription, which ends with the connection."""
        if not self._is_allowed(request):
            return _refusal()
        stream = self._frames(request.path_params["study_instance_uid"])
        return StreamingResponse(stream, media_type="application/octet-stream")

    async def acknowledge(self, request: Request) -> Response:
        """Take the SOP Instance UIDs that a worker needs no more."""
        if not self._is_allowed(request):
            return _refusal()
        subscription = self._subscriptions.get(request.path_params["subscription_id"])
        if subscription is None:
            return PlainTextResponse("There is no such subscription.", status_code=404)
        uids = _uids(await request.body())
        if uids is None:
            return PlainTextResponse("Send a JSON list of SOP Instance UIDs.", status_code=422)
        await run_in_threadpool(subscription.acknowledge, uids)
        return Response(status_code=204)

    def _is_allowed(self, request: Request) -> bool:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return secrets.compare_digest(given, self._authorization)

    async def _frames(self, study_instance_uid: str) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        offered = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the stream
                loop.call_soon_threadsafe(offered.set)

        subscription = self._hand_over.subscribe(study_instance_uid, wake)
        subscription_id = secrets.token_hex(16)
        self._subscriptions[subscription_id] = subscription
        try:
            yield encode_greeting(subscription_id)
            while True:
                offered.clear()
                while (opened := subscription.open_next()) is not None:
                    instance, file = opened
                    with file:
                        async with contextlib.aclosing(_pieces(instance, file)) as pieces:
                            async for piece in pieces:
                                yield piece
                yield IDLE_FRAME
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(offered.wait(), IDLE_INTERVAL)
        finally:
            del self._subscriptions[subscription_id]
            subscription.end()


async def _pieces(instance: SpooledInstance, file: BinaryIO) -> AsyncGenerator[bytes, None]:
    """Yield the frame of an instance, cut anywhere."""
    file.seek(instance.data_set_offset)
    head, left = encode_instance(instance.header, instance.size), instance.size
    while left:
        piece = await run_in_threadpool(file.read, min(left, _PIECE))
        if not piece:
            raise EOFError(f"A file of the spool is shorter than it was: {instance.path.name}")
        left -= len(piece)
        yield head + piece
        head = b""
    if head:
        yield head


def _uids(body: bytes) -> list[str] | None:
    if len(body) > _LONGEST_BODY:
        return None
    try:
        uids = json.loads(body)
    except ValueError:
        return None
    return uids if isinstance(uids, list) and all(isinstance(uid, str) for uid in uids) else None


def _refusal() -> Response:
    return PlainTextResponse(
        "This needs the token of the receiver.", status_code=401, headers={"WWW-Authenticate": "Bearer"}
    )
