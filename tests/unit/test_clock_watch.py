"""The watch on the clock that all share."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest
from sqlmodel import Session

from adit_core.db.clock import ClockWatch

LEASE = 30.0
NO_SESSION = cast("Session", None)


@dataclass
class Clocks:
    """The shared clock, which may be set, and the one of the machine that runs on evenly."""

    evenly: float = 1000.0
    shared: float = 1_800_000_000.0

    def pass_by(self, seconds: float, *, put: float = 0) -> None:
        self.evenly += seconds
        self.shared += seconds + put

    def watch(self) -> ClockWatch:
        return ClockWatch(
            LEASE, now=lambda _: datetime.fromtimestamp(self.shared, UTC), clock=lambda: self.evenly
        )


@pytest.mark.parametrize("put", [0, 2, -2, -3600])
def test_a_clock_that_runs_is_trusted_and_so_is_one_that_is_corrected_or_put_back(put: float) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    assert watch.is_settled(NO_SESSION)
    clocks.pass_by(15, put=put)
    assert watch.is_settled(NO_SESSION)


def test_those_who_live_have_a_lease_to_say_so_once_the_clock_was_put_forward() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    watch.is_settled(NO_SESSION)
    clocks.pass_by(15, put=3600)
    assert not watch.is_settled(NO_SESSION)
    clocks.pass_by(LEASE - 1)
    assert not watch.is_settled(NO_SESSION)
    clocks.pass_by(1)
    assert watch.is_settled(NO_SESSION)
