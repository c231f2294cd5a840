"""Answers that a thread makes, while it is watched whether the client is still there."""

import asyncio
from collections.abc import Iterator, MutableMapping
from threading import Event
from typing import Any

import pytest

from adit_core.api.dicomweb.streams import Answer, WatchedResponse
from adit_core.errors import ConnectionFailed, DatabaseUnavailable, TaskStopped

PIECES = [f"piece {number};".encode() for number in range(40)]
Message = MutableMapping[str, Any]


class Making:
    """Makes the pieces, then fails if it is to; before that of number `waits_at` it waits to be cancelled."""

    def __init__(
        self,
        failure: Exception | None = None,
        *,
        waits_at: int | None = None,
        closing_failure: Exception | None = None,
    ) -> None:
        self.closed = 0
        self.made = 0
        self._failure = failure
        self._waits_at = waits_at
        self._closing_failure = closing_failure
        self._cancelled = Event()

    def begin(self) -> Answer:
        return Answer(self._pieces(), "text/plain")

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self.closed += 1
        if self._closing_failure is not None:
            raise self._closing_failure

    def _pieces(self) -> Iterator[bytes]:
        for piece in PIECES:
            if self.made == self._waits_at:
                self._cancelled.wait()
                raise TaskStopped("It was cancelled.")
            self.made += 1
            yield piece
        if self._failure is not None:
            raise self._failure


class Client:
    """Keeps what it is sent; it goes away after `leaves_after` messages."""

    def __init__(self, leaves_after: int | None = None) -> None:
        self.sent: list[Message] = []
        self._leaves_after = leaves_after
        self._left = asyncio.Event()

    async def receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        await asyncio.sleep(0)
        if len(self.sent) == self._leaves_after:
            self._left.set()

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent if message["type"] == "http.response.body")

    @property
    def has_all(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


def answered(making: Making, client: Client) -> Client:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(asyncio.wait_for(WatchedResponse(making)(scope, client.receive, client.send), timeout=30))
    return client


def test_all_pieces_are_sent_in_order():
    making = Making()
    client = answered(making, Client())

    assert client.sent[0]["status"] == 200
    assert client.body == b"".join(PIECES)
    assert client.has_all
    assert making.closed == 1


def test_what_breaks_off_later_leaves_the_answer_unfinished():
    making = Making(ConnectionFailed("The archive closed the connection"))
    client = answered(making, Client())

    assert client.body == b"".join(PIECES)
    assert not client.has_all
    assert making.closed == 1


def test_client_that_goes_away_cancels_the_work():
    making = Making(waits_at=20)
    client = answered(making, Client(leaves_after=10))

    assert making.made == 20
    assert not client.has_all
    assert making.closed == 1


def test_an_answer_that_cannot_be_recorded_stays_unfinished():
    making, client = Making(closing_failure=DatabaseUnavailable("The database is gone.")), Client()
    answered(making, client)

    assert not client.has_all


def test_unforeseen_errors_are_raised_as_they_are():
    with pytest.raises(ZeroDivisionError):
        answered(Making(ZeroDivisionError()), Client())
