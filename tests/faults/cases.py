"""Faults that lie in a peer or in the network: many jobs suffer at the same time, each its own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from adit_core.db import JobStatus
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import Stage


@dataclass(frozen=True)
class Case:
    """A fault, and what a job that suffers it must come to."""

    fault: str
    submit: Callable[[Stage], Transfer]
    status: JobStatus = JobStatus.SUCCESS
    attempts: int | None = None
    """How often the study is tried; at least, if the job succeeds: a slow machine may keep it waiting for too
    long, besides. None if that does not matter."""
    in_flight: int = 0
    """How many instances may be sent to the destination once more than needed."""
    delivered: range | None = None
    """How many instances must arrive; None for all of them if the job succeeds, and none if it fails."""
    says: str = ""
    """What the message of a task has to contain."""
    is_slow: bool = False
    """Whether it is left to `make faults`."""

    def marks(self) -> list[pytest.MarkDecorator]:
        return [pytest.mark.fault(self.fault), *([pytest.mark.slow_faults] if self.is_slow else [])]


def parametrized(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Return what has a test run for each case."""
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=case.fault, marks=case.marks()) for case in cases]
    )


def submit_all(request: Any, stage: Stage, cases: Iterable[Case]) -> dict[str, Transfer]:
    """Submit the jobs of all cases that are to be tested in this session, by the names of their faults."""
    chosen = {
        marker.args[0] for item in request.session.items if (marker := item.get_closest_marker("fault"))
    }
    return {case.fault: case.submit(stage) for case in cases if case.fault in chosen}


def assert_outcome(case: Case, transfer: Transfer, record: Record) -> None:
    """Assert that a job came to what it must come to, with every promise kept, and take it down."""
    outcome = assert_whole(transfer, in_flight=case.in_flight)
    record(outcome)
    assert outcome.status is case.status, outcome.messages
    if case.status is JobStatus.FAILURE:
        assert case.attempts in (None, outcome.attempts), outcome.messages
    else:
        assert outcome.attempts >= (case.attempts or 1), outcome.messages
    assert all(case.says in message for message in outcome.messages), outcome.messages
    everything = sum(map(len, transfer.studies.values()))
    if case.delivered is not None:
        assert outcome.delivered in case.delivered, outcome.messages
    else:
        assert outcome.delivered == (everything if case.status is not JobStatus.FAILURE else 0)
