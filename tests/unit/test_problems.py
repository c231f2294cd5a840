"""Errors as programs get them."""

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from adit_core.api.problems import answer_with_problems
from adit_core.errors import (
    ActionNotPossible,
    AssociationRejected,
    ConnectionFailed,
    DatabaseUnavailable,
    InputProblem,
    InvalidInput,
    NodeClosed,
    NotAllowed,
    NotFound,
    PeerTimeout,
    TooManyResults,
)


def _answer(error: Exception) -> httpx.Response:
    app = FastAPI()
    answer_with_problems(app)

    @app.get("/")
    def fail() -> None:
        raise error

    return _get(app)


def _get(app: FastAPI) -> httpx.Response:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://adit") as client:
            return await client.get("/")

    return anyio.run(get)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput(InputProblem("Wrong.", field="name")), 422),
        (TooManyResults("Too many."), 422),
        (NotAllowed("No."), 403),
        (NotFound("None."), 404),
        (ActionNotPossible("Not now."), 409),
        (NodeClosed("Closed."), 503),
        (DatabaseUnavailable("Away."), 503),
        (PeerTimeout("Silent."), 504),
        (ConnectionFailed("Refused."), 502),
        (AssociationRejected("Rejected."), 502),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int):
    answer = _answer(error)

    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert problem["detail"] == str(error)
    assert ("retry-after" in answer.headers) == (status == 503)


def test_invalid_input_names_every_field_and_row():
    answer = _answer(InvalidInput(InputProblem("Wrong.", row=3, field="PatientID"), InputProblem("Worse.")))

    assert answer.json()["errors"] == [
        {"message": "Wrong.", "field": "PatientID", "row": 3},
        {"message": "Worse."},
    ]


def test_what_nobody_foresaw_is_told_without_details(caplog: pytest.LogCaptureFixture):
    problem = _answer(RuntimeError("PatientName Doe^John")).json()

    assert problem["status"] == 500
    assert problem["reference"] in caplog.text
    assert "RuntimeError at test_problems.py:" in caplog.text
    assert "Doe" not in caplog.text + str(problem)


def test_an_answer_that_breaks_off_is_not_made_to_look_whole(caplog: pytest.LogCaptureFixture):
    app = FastAPI()
    answer_with_problems(app)

    def pieces():
        yield b"the beginning"
        raise RuntimeError("Doe^John")

    @app.get("/")
    def stream() -> StreamingResponse:
        return StreamingResponse(pieces())

    with pytest.raises(AssertionError):  # what httpx says of an answer without an end
        _get(app)
    assert "RuntimeError" in caplog.text
    assert "Doe" not in caplog.text
