"""Answers that are made by a thread while it is watched whether the client is still there.

Work with archives blocks, in sockets of its own, and must end when nobody waits for it any more. So a
thread makes the answer piece by piece, a few pieces ahead of the event loop, which sends them and listens:
when the client goes away, the work is cancelled, which ends what the thread waits for.

What goes wrong before the first piece is told by a status. What goes wrong later leaves the answer
unfinished, so that no client takes a part for the whole.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Semaphore
from typing import Protocol

from anyio import CapacityLimiter, create_task_group, to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adit_core.api.problems import FieldProblem, problem_response
from adit_core.errors import AditError, DeidentificationFailed, InvalidInput, TaskStopped

_log = logging.getLogger(__name__)

_PIECE = 1 << 19
"""Bytes that are sent at once, about: each step between thread and event loop has its price."""
_FIRST_PIECE = 1 << 13
_AHEAD = 4
"""Pieces that are made before the one that is being sent has gone."""
_MOST_AT_ONCE = 100
THREADS = CapacityLimiter(_MOST_AT_ONCE)
"""Of their own, so that archives that are slow to answer leave those for the rest of the API alone."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent. The body is read in a thread."""

    body: Iterator[bytes]
    media_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Work(Protocol):
    """What makes an answer. All but `cancel` happens in one thread after the other."""

    def begin(self) -> Answer:
        """Return the answer; whatever it raises becomes a status."""
        ...

    def cancel(self) -> None:
        """Have what is under way end soon, by TaskStopped; from any thread, at any time."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class WatchedResponse(Response):
    """The answer of some work, which is cancelled if the client goes away."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the work, and send what it makes."""
        handover = _Handover()
        failure: Exception | None = None
        async with create_task_group() as group:
            group.start_soon(self._watch, receive)
            group.start_soon(self._make_in_thread, handover)
            try:
                await _answer(handover, scope, receive, send)
            except Exception as error:  # noqa: BLE001 - raised again outside of the group
                failure = error
            finally:
                self._work.cancel()
                handover.close()
                group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._work.cancel()

    async def _make_in_thread(self, handover: "_Handover") -> None:
        await to_thread.run_sync(self._make, handover, limiter=THREADS)

    def _make(self, handover: "_Handover") -> None:
        failure: Exception | None = None
        try:
            self._hand_over(handover)
        except Exception as error:  # noqa: BLE001 - the edge of a thread: the event loop raises it again
            failure = error
        handover.end(failure)

    def _hand_over(self, handover: "_Handover") -> None:
        try:
            answer = self._work.begin()
            first = next(answer.body, b"")
            handover.put(answer)
            handover.put(first)
            for piece in answer.body:
                handover.put(piece)
        finally:
            self._work.close()


class _Handover:
    """What a thread makes for the event loop: an answer, and the pieces of its body."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[Answer | bytes | _End] = asyncio.Queue()
        self._room = Semaphore(_AHEAD)
        self._is_closed = False

    def put(self, made: Answer | bytes) -> None:
        """Hand over, from the thread, once there is room; raises TaskStopped if nobody takes any more."""
        self._room.acquire()
        if self._is_closed:
            raise TaskStopped("It was cancelled.")
        self._loop.call_soon_threadsafe(self._made.put_nowait, made)

    def end(self, failure: Exception | None) -> None:
        """Say from the thread that nothing more comes, because of `failure` if there is one."""
        self._loop.call_soon_threadsafe(self._made.put_nowait, _End(failure))

    def close(self) -> None:
        """Say in the event loop that nothing more will be taken."""
        self._is_closed = True
        self._room.release()

    async def answer(self) -> Answer:
        """Return the answer; raises what there is instead of one."""
        made = await self._next()
        assert isinstance(made, Answer)
        return made

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the pieces of the body; raises what broke it off."""
        while (piece := await self._next()) is not None:
            assert isinstance(piece, bytes)
            yield piece

    async def _next(self) -> Answer | bytes | None:
        made = await self._made.get()
        self._room.release()
        if not isinstance(made, _End):
            return made
        if made.failure is not None:
            raise made.failure
        return None


@dataclass(frozen=True, slots=True)
class _End:
    failure: Exception | None


async def _answer(handover: _Handover, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        answer = await handover.answer()
    except TaskStopped:
        return
    except InvalidInput as error:
        await bad_request(error)(scope, receive, send)
        return
    except DeidentificationFailed as error:
        await problem_response(409, str(error))(scope, receive, send)
        return
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    headers.append((b"content-type", answer.media_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        async for piece in handover.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except TaskStopped:
        return
    except AditError as error:
        _log.warning("An answer of the DICOMweb proxy stays unfinished. %s", error)
        return
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def bad_request(error: InvalidInput) -> Response:
    """Return the answer to a request that is wrong in itself (PS3.18 8.5)."""
    problems = [FieldProblem(message=each.message, field=each.field) for each in error.problems]
    return problem_response(400, str(error), errors=problems)


def gathered(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that are worth sending; the first are smaller, to be there soon."""
    held: list[bytes | memoryview] = []
    size, enough = 0, _FIRST_PIECE
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= enough:
            yield b"".join(held)
            held, size, enough = [], 0, min(2 * enough, _PIECE)
    if held:
        yield b"".join(held)
