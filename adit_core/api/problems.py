"""Errors as programs get them: problem details (RFC 9457), made of every error in this one place.

=========================================== ======
error                                       status
=========================================== ======
InvalidInput, TooManyResults                422
NotAllowed                                  403
NotFound, StudyNotFound                     404
ActionNotPossible                           409
TooManyFailures                             429
NodeClosed, UnderMaintenance                503
the database, the scheduler                 503
PeerTimeout                                 504
DestinationFull                             507
what else an archive did or did not         502
bugs, and what nobody foresaw               500
=========================================== ======
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adit_core.errors import (
    ActionNotPossible,
    AditError,
    DatabaseUnavailable,
    DestinationFull,
    InvalidInput,
    NodeClosed,
    NotAllowed,
    NotFound,
    PeerTimeout,
    SchedulerUnavailable,
    SecretUnreadable,
    StillBeingDone,
    StudyNotFound,
    TooManyFailures,
    TooManyResults,
    UnderMaintenance,
    UnexpectedError,
    kind_and_place,
)

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_STATUSES: Mapping[type[Exception], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    TooManyResults: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    StudyNotFound: HTTPStatus.NOT_FOUND,
    ActionNotPossible: HTTPStatus.CONFLICT,
    TooManyFailures: HTTPStatus.TOO_MANY_REQUESTS,
    UnderMaintenance: HTTPStatus.SERVICE_UNAVAILABLE,
    NodeClosed: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    SchedulerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    PeerTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    DestinationFull: HTTPStatus.INSUFFICIENT_STORAGE,
    SecretUnreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
    UnexpectedError: HTTPStatus.INTERNAL_SERVER_ERROR,
    AditError: HTTPStatus.BAD_GATEWAY,
}
_RETRY_SOON = {"Retry-After": "5"}
_IN_WORDS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take this method; see the header Allow.",
}
"""What is said where the framework would only repeat the name of the status."""


class FieldProblem(BaseModel):
    """One thing that is wrong in what was sent."""

    message: str
    """What is wrong, and how to mend it."""
    field: str | None = None
    """The parameter, the field of the body, or the column."""
    row: int | None = None
    """The row of a spreadsheet as it is shown there (the header is row 1), or of a list, from 1."""


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "detail": "row 3, column StudyInstanceUID: A UID is numbers with dots between them.",
                    "errors": [
                        {
                            "message": "A UID is numbers with dots between them.",
                            "field": "StudyInstanceUID",
                            "row": 3,
                        }
                    ],
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    """The name of the status."""
    status: int
    detail: str
    errors: list[FieldProblem] = []
    """All that is wrong in what was sent, if that is what the problem is."""
    reference: str | None = None
    """Under which the log tells more, for administrators."""


def problem_response(
    status: int,
    detail: str,
    *,
    errors: Sequence[FieldProblem] = (),
    reference: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the answer that tells of a problem."""
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors),
        reference=reference,
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(
        content, status, headers={"Cache-Control": "no-store", **(headers or {})}, media_type=MEDIA_TYPE
    )


def problem_of(error: AditError) -> JSONResponse:
    """Return the answer that tells of an error of ours."""
    status = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
    problems = error.problems if isinstance(error, InvalidInput) else ()
    errors = [FieldProblem(message=each.message, field=each.field, row=each.row) for each in problems]
    return problem_response(status, str(error), errors=errors, headers=_when_to_retry(error, status))


def _when_to_retry(error: AditError, status: HTTPStatus) -> Mapping[str, str] | None:
    match error:
        case TooManyFailures():
            return {"Retry-After": str(error.seconds)}
        case StillBeingDone():
            return {"Retry-After": "1"}
        case UnderMaintenance():
            return None  # nobody knows
        case _:
            return _RETRY_SOON if status is HTTPStatus.SERVICE_UNAVAILABLE else None


def answer_with_problems(app: FastAPI) -> None:
    """Have an application tell of every error by a problem; of unforeseen ones without any detail."""
    app.add_middleware(LastResort)
    app.add_exception_handler(AditError, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_what_was_sent)
    app.add_exception_handler(HTTPException, tell_of_http_error)


def tell_of_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer with the problem that an HTTPException is, be it ours or the framework's."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    said = str(error.detail)
    detail = _IN_WORDS.get(status, said) if said == status.phrase else said
    return problem_response(status, detail, headers=error.headers)


class LastResort:
    """ASGI middleware for errors that nobody foresaw: their text may hold patient data, so nobody sees it.

    The log gets type and place, under the reference that the client is told. An answer that has begun
    stays unfinished, which clients notice.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the edge of the process
            reference = uuid4().hex[:12]
            _log.error("%s: unexpected %s", reference, kind_and_place(error))
            if not has_begun and scope["type"] == "http":
                detail = "Something went wrong here. Please give your administrators the reference."
                answer = problem_response(500, detail, reference=reference)
                await answer(scope, receive, send)


def _of_ours(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AditError)
    return problem_of(error)


def _of_what_was_sent(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = error.errors()
    if any(each["type"] == "json_invalid" for each in details):
        return problem_response(400, "The body is no JSON.")
    errors = [_field_problem(each) for each in details]
    lines = (f"{each.field}: {each.message}" if each.field else each.message for each in errors)
    return problem_response(422, "\n".join(lines), errors=errors)


def _field_problem(error: Mapping[str, Any]) -> FieldProblem:
    """Return a problem that pydantic found, without the value, which may be patient data."""
    _place_of_it, *path = error["loc"] or ("",)
    field = ".".join(map(str, path)) or str(_place_of_it)
    return FieldProblem(message=f"{error['msg'].removeprefix('Value error, ').rstrip('.')}.", field=field)
