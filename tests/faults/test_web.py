"""DICOMweb: answers that are cut short, partial or put off, and uploads that break off."""

from collections.abc import Callable
from itertools import count

import httpx
import pytest

from adit_core.db import JobStatus
from deployments.demo.processes import HOST
from tests.fakes.web_peer import Exchange, FakeWebPeer, Script
from tests.faults.cases import Case, assert_outcome, parametrized, submit_all
from tests.faults.outcome import Record, Transfer
from tests.faults.scene import INSTANCE_SIZE, INSTANCES, Scene, Stage

pytestmark = pytest.mark.system

SOME = 5 * INSTANCE_SIZE + INSTANCE_SIZE // 2
IN_ONE_REQUEST = SOME // INSTANCE_SIZE + 1
"""Instances that had begun to come when a request broke off: servers keep nothing of such a request."""
Answer = Callable[[Exchange, httpx.Response], object]
"""Answers a request in its own way, knowing what the archive has answered."""


def retrieves(answer: Answer, times: int = 1) -> Callable[[Stage], Transfer]:
    """Return what submits a job whose first retrievals are answered in this way."""

    def submit(stage: Stage) -> Transfer:
        scene = stage.scene()
        port = stage.source.archive.http_port
        assert port is not None
        peer = stage.ending.enter_context(FakeWebPeer(first_retrievals(answer, times, port)))
        scene.source = stage.web_server(peer.port)
        return scene.submit()

    return submit


def first_retrievals(answer: Answer, times: int, port: int) -> Script:
    """Return a script that hands requests on to an archive, but answers the first retrievals itself."""
    numbers = count(1)

    def script(exchange: Exchange) -> None:
        wanted = {
            name: value for name, value in exchange.headers.items() if name in ("accept", "content-type")
        }
        response = httpx.request(
            exchange.method,
            f"http://{HOST}:{port}{exchange.target}",
            headers=wanted,
            content=exchange.body,
            timeout=20,
        )
        is_retrieval = "multipart/related" in exchange.headers.get("accept", "")
        if is_retrieval and next(numbers) <= times:
            answer(exchange, response)
        else:
            hand_on(exchange, response, response.status_code, response.content)

    return script


def hand_on(exchange: Exchange, response: httpx.Response, status: int, body: bytes) -> None:
    exchange.answer(status, body, {"Content-Type": response.headers.get("Content-Type", "text/plain")})


def breaks_off(exchange: Exchange, response: httpx.Response) -> None:
    exchange.send_head(
        200,
        {
            "Content-Type": response.headers["Content-Type"],
            "Content-Length": str(len(response.content)),
        },
    )
    exchange.send(response.content[:SOME])
    exchange.close()


def is_partial(exchange: Exchange, response: httpx.Response) -> None:
    """Answer with the first of the instances only, and say so."""
    boundary = response.content.partition(b"\r\n")[0].strip()
    parts = response.content.split(boundary)
    hand_on(exchange, response, 206, boundary.join(parts[:4]) + boundary + b"--\r\n")


def is_damaged(exchange: Exchange, response: httpx.Response) -> None:
    """Answer with an instance whose data set is garbage behind its file meta information."""
    first_element = response.content.index(b"ISO_IR") if b"ISO_IR" in response.content else -1
    place = first_element if first_element > 0 else response.content.index(b"\x08\x00\x16\x00UI")
    garbage = b"\xff" * 40
    hand_on(
        exchange,
        response,
        response.status_code,
        response.content[:place] + garbage + response.content[place + len(garbage) :],
    )


def is_busy(status: int) -> Answer:
    return lambda exchange, _response: exchange.answer(status, headers={"Retry-After": "1"})


def uploads(break_off: Callable[[Scene], object]) -> Callable[[Stage], Transfer]:
    def submit(stage: Stage) -> Transfer:
        scene = stage.scene()
        port = stage.destination.archive.http_port
        assert port is not None
        scene.deliver_to_web(port)
        break_off(scene)
        return scene.submit()

    return submit


CASES = (
    Case("WADO-RS: the multipart body is cut short", retrieves(breaks_off)),
    Case("WADO-RS: status 206 and a part of the instances", retrieves(is_partial)),
    Case(
        "WADO-RS: an instance is damaged, in every attempt",
        retrieves(is_damaged, times=99),
        JobStatus.FAILURE,
        in_flight=2,
        delivered=range(INSTANCES - 1, INSTANCES),
    ),
    Case("WADO-RS: status 503 with Retry-After", retrieves(is_busy(503)), attempts=1),
    Case("WADO-RS: status 429 with Retry-After", retrieves(is_busy(429)), attempts=1, is_slow=True),
    Case(
        "STOW-RS: an RST in the middle of the body",
        uploads(lambda scene: scene.outbound.cut_after(SOME)),
        in_flight=IN_ONE_REQUEST,
    ),
    Case(
        "STOW-RS: the server falls silent",
        uploads(lambda scene: scene.outbound.stall_after(SOME)),
        in_flight=IN_ONE_REQUEST,
        is_slow=True,
    ),
)


@pytest.fixture(scope="module")
def transfers(request: pytest.FixtureRequest, stage_of_module: Stage) -> dict[str, Transfer]:
    return submit_all(request, stage_of_module, CASES)


@parametrized(CASES)
def test_dicomweb_that_fails(case: Case, transfers: dict[str, Transfer], record: Record) -> None:
    assert_outcome(case, transfers[case.fault], record)
