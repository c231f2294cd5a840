"""Requests to the server: signed, repeated where that is safe, and with problems raised as errors."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any
from uuid import uuid4

import httpx

from adit_core.client.errors import ConnectionFailed, problem_of

_PREFIX = "/api/v1"
_ATTEMPTS = 4
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_CONFLICT, _TOO_MANY, _UNAVAILABLE = 409, 429, 503
_TIMEOUT = httpx.Timeout(30.0, read=300.0, write=300.0)
"""An archive may take its time to answer a search."""


class Repeat(StrEnum):
    """When a request may be sent again."""

    NEVER = "never"
    IF_REFUSED = "if refused"
    """If it was not looked at: there were too many requests."""
    ALWAYS = "always"
    """Also if the answer was lost: it only reads, or has a key."""


class Connection:
    """Sends requests in the name of the user of a token."""

    def __init__(self, url: str, token: str, *, verify: Any) -> None:
        if not token.strip():
            raise ValueError("The token is empty: `adit tokens create` makes one.")
        self._origin = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}{_PREFIX}",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=_TIMEOUT,
            verify=verify,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, path: str, *, repeat: Repeat | None = None, **request: Any) -> Any:
        """Send a request and return the JSON of the answer; None if there is none.

        Args:
            method: Of HTTP.
            path: Below ``/api/v1``.
            repeat: When it may be sent again; by default always what gets something, else if it was refused.
            request: What httpx is told besides.

        Raises:
            RequestProblem: The server refused it.
            ConnectionFailed: The server cannot be reached.
        """
        answer = self.send(method, path, repeat=repeat, **request)
        return answer.json() if answer.content else None

    def create(self, path: str, **request: Any) -> Any:
        """Create something by POST, once even if the answer to the first attempt is lost; as `json`."""
        headers = {**request.pop("headers", {}), "Idempotency-Key": uuid4().hex}
        return self.json("POST", path, headers=headers, repeat=Repeat.ALWAYS, **request)

    def ask(self, path: str, **request: Any) -> Any:
        """Ask something by POST, which changes nothing and so may be sent again; as `json`."""
        return self.json("POST", path, repeat=Repeat.ALWAYS, **request)

    def send(self, method: str, path: str, *, repeat: Repeat | None = None, **request: Any) -> httpx.Response:
        """Send a request and return the answer; as `json`."""
        usual = Repeat.ALWAYS if method == "GET" else Repeat.IF_REFUSED
        answer = _persistently(lambda: self._http.request(method, path, **request), repeat or usual)
        if answer.is_success:
            return answer
        raise problem_of(answer)

    def send_to(
        self,
        method: str,
        path: str,
        *,
        also: tuple[int, ...] = (),
        repeat: Repeat | None = None,
        **request: Any,
    ) -> httpx.Response:
        """Send a request to a path of the whole server, and return the answer; as `send`.

        Statuses in `also` are answers as well, and no problems.
        """
        usual = Repeat.ALWAYS if method == "GET" else Repeat.NEVER
        url = f"{self._origin}{path}"
        answer = _persistently(lambda: self._http.request(method, url, **request), repeat or usual)
        if answer.is_success or answer.status_code in also:
            return answer
        raise problem_of(answer)

    def pages(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the items of all pages of a list."""
        cursor: int | None = None
        while True:
            page = self.json("GET", path, params=given(**parameters, next=cursor))
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    @contextmanager
    def stream(self, path: str) -> Iterator[httpx.Response]:
        """Open an answer that is read while it arrives.

        Raises:
            RequestProblem: The server refused it.
            ConnectionFailed: The server cannot be reached, or the connection broke.
        """
        with self._streamed(path, headers={"Accept": "text/event-stream"}) as answer:
            yield answer

    @contextmanager
    def stream_from(self, path: str, **request: Any) -> Iterator[httpx.Response]:
        """Open an answer of a path of the whole server; as `stream`."""
        with self._streamed(f"{self._origin}{path}", **request) as answer:
            yield answer

    @contextmanager
    def _streamed(self, url: str, **request: Any) -> Iterator[httpx.Response]:
        with _outages_translated(), self._http.stream("GET", url, **request) as answer:
            if not answer.is_success:
                answer.read()
                raise problem_of(answer)
            yield answer


def token_for_password(url: str, username: str, password: str, *, verify: Any) -> str:
    """Return a token for a user name and a password; raises what `Connection.json` raises."""
    path = f"{url.rstrip('/')}{_PREFIX}/sign-in"
    wish = {"username": username, "password": password}
    with httpx.Client(timeout=_TIMEOUT, verify=verify) as http:
        answer = _persistently(lambda: http.post(path, json=wish), Repeat.NEVER)
    if not answer.is_success:
        raise problem_of(answer)
    return answer.json()["token"]


class Connected:
    """What sends its requests over a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection


def given(**parameters: Any) -> dict[str, Any]:
    """Return the parameters that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


def _persistently(send: Callable[[], httpx.Response], repeat: Repeat) -> httpx.Response:
    """Send until the server answers otherwise than that it is busy, a few times at most.

    ===================================== ==================
    what happened                         is sent again
    ===================================== ==================
    too many requests (429)               unless NEVER
    the server is not available (503)     if ALWAYS
    it is still being done (409 with
    Retry-After): an answer was lost      if ALWAYS
    the connection broke                  if ALWAYS
    ===================================== ==================
    """
    pause = _FIRST_PAUSE
    for _ in range(_ATTEMPTS - 1):
        try:
            with _outages_translated():
                answer = send()
        except ConnectionFailed:
            if repeat is not Repeat.ALWAYS:
                raise
        else:
            if not _is_worth_repeating(answer, repeat):
                return answer
            pause = max(pause, _wished_pause(answer))
        time.sleep(min(pause, _LONGEST_PAUSE))
        pause *= 2
    with _outages_translated():
        return send()


def _is_worth_repeating(answer: httpx.Response, repeat: Repeat) -> bool:
    if answer.status_code == _TOO_MANY:
        return repeat is not Repeat.NEVER
    is_being_done = answer.status_code == _CONFLICT and "retry-after" in answer.headers
    return (is_being_done or answer.status_code == _UNAVAILABLE) and repeat is Repeat.ALWAYS


def _wished_pause(answer: httpx.Response) -> float:
    wish = answer.headers.get("retry-after", "")
    return float(wish) if wish.isdigit() else 0.0


@contextmanager
def _outages_translated() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise ConnectionFailed(f"The server does not answer: {type(error).__name__}.") from error
