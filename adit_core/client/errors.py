"""What can go wrong, as seen by a client.

::

    AditError
    ├── ConnectionFailed      the server cannot be reached, or the connection broke
    ├── JobFailed             a job that was waited for failed, or was canceled
    └── RequestProblem        the server answered with a problem (RFC 9457)
        ├── InvalidRequest    what was sent is wrong; `errors` names every field and row
        ├── NotSignedIn       there is no token, or it is none, has expired or was revoked
        ├── NotAllowed        the token lacks a scope, or its user a right
        ├── NotFound          there is no such thing, or it is not the user's to see
        ├── NotPossible       the state of a job or task does not allow it
        ├── TooManyRequests   even after waiting
        └── Unavailable       the server, its database or an archive does not answer now
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx


class AditError(Exception):
    """Root of the errors of this client."""


class ConnectionFailed(AditError):
    """The server cannot be reached, or the connection broke."""


class JobFailed(AditError):
    """A job that was waited for failed, or was canceled."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong in what was sent."""

    message: str
    field: str | None = None
    row: int | None = None
    """As a spreadsheet shows it: the header is row 1."""


class RequestProblem(AditError):
    """The server answered with a problem."""

    def __init__(
        self, status: int, detail: str, errors: tuple[FieldProblem, ...] = (), reference: str | None = None
    ) -> None:
        super().__init__(f"{detail} (reference {reference})" if reference else detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.reference = reference
        """Under which the log of the server tells more, for administrators."""


class InvalidRequest(RequestProblem):
    """What was sent is wrong; ``errors`` names every field and row."""


class NotSignedIn(RequestProblem):
    """There is no token, or it is none, has expired or was revoked."""


class NotAllowed(RequestProblem):
    """The token lacks a scope, or its user a right."""


class NotFound(RequestProblem):
    """There is no such thing, or it is not the user's to see."""


class NotPossible(RequestProblem):
    """The state of a job or task does not allow it."""


class TooManyRequests(RequestProblem):
    """There were too many requests, even after waiting."""


class Unavailable(RequestProblem):
    """The server, its database or an archive does not answer now."""


_KINDS: Mapping[int, type[RequestProblem]] = {
    400: InvalidRequest,
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: NotPossible,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_of(answer: httpx.Response) -> RequestProblem:
    """Return the error that an answer tells of, whose body has been read."""
    kind = _KINDS.get(answer.status_code, RequestProblem)
    told = _told(answer)
    errors = tuple(
        FieldProblem(each.get("message", ""), each.get("field"), each.get("row"))
        for each in told.get("errors", ())
    )
    detail = told.get("detail") or f"The server answered with {answer.status_code} {answer.reason_phrase}."
    return kind(answer.status_code, str(detail), errors, told.get("reference"))


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:  # a proxy in between answers in its own way
        return {}
    return told if isinstance(told, dict) else {}
