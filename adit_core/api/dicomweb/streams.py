"""Answers that are made by a thread while it is watched whether the client is still there.

Work with archives blocks, in sockets of its own, and must end when nobody waits for it any more. So the
thread makes the answer piece by piece, and the event loop sends the pieces and listens: when the client
goes away, the work is cancelled, which ends what the thread waits for.

What goes wrong before the first piece is told by a status. What goes wrong later leaves the answer
unfinished, so that no client takes a part for the whole.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol, TypeVar

from anyio import CancelScope, CapacityLimiter, create_task_group, to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adit_core.api.problems import FieldProblem, problem_response
from adit_core.errors import AditError, DeidentificationFailed, InvalidInput, TaskStopped

_log = logging.getLogger(__name__)

_PIECE = 1 << 18
"""Bytes that are sent at once, about: each step between thread and event loop has its price."""
_FIRST_PIECE = 1 << 13
_MOST_AT_ONCE = 100
THREADS = CapacityLimiter(_MOST_AT_ONCE)
"""Of their own, so that archives that are slow to answer leave those for the rest of the API alone."""

_Made = TypeVar("_Made")


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
        failure: Exception | None = None
        try:
            async with create_task_group() as group:
                group.start_soon(self._watch, receive)
                try:
                    await self._answer(scope, receive, send)
                except Exception as error:  # noqa: BLE001 - raised again outside of the group
                    failure = error
                group.cancel_scope.cancel()
        finally:
            self._work.cancel()
            with CancelScope(shield=True):
                await to_thread.run_sync(self._work.close, limiter=THREADS)
        if failure is not None:
            raise failure

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._work.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer, first = await _in_thread(lambda: _begun(self._work))
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
        await self._send_body(chain((first,), answer.body), send)

    async def _send_body(self, body: Iterator[bytes], send: Send) -> None:
        try:
            while (piece := await _in_thread(lambda: next(body, None))) is not None:
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


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that are worth sending; the first are smaller, to be there soon."""
    held: list[bytes] = []
    size, enough = 0, _FIRST_PIECE
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= enough:
            yield b"".join(held)
            held, size, enough = [], 0, min(2 * enough, _PIECE)
    if held:
        yield b"".join(held)


def _begun(work: Work) -> tuple[Answer, bytes]:
    answer = work.begin()
    return answer, next(answer.body, b"")


async def _in_thread(make: Callable[[], _Made]) -> _Made:
    return await to_thread.run_sync(make, limiter=THREADS)
