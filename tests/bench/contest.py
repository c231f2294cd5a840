"""A contest: the same work done by several contestants in turns, in one run on one machine.

What counts are ratios within a contest, for machines differ and are noisy. Nothing is asserted about
speed, but what arrives in the first round is compared with what was sent.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Contest:
    """What is to be done, and by whom."""

    name: str
    megabytes: float
    """What is moved, in MB of 1,000,000 bytes."""
    contestants: Mapping[str, Callable[[], object]]
    """The first one is the yardstick."""
    check: Callable[[], None]
    """Raises AssertionError if not everything has arrived as it was."""
    before_each: Callable[[], object] = nothing
    """Not timed: empties where things arrive."""
    goals: Mapping[str, float] = field(default_factory=dict)
    """How many times as fast as the yardstick contestants are wanted to be at least."""


@dataclass(frozen=True)
class Timing:
    """How long a contestant took, in seconds, one value a round."""

    contestant: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Result:
    """How a contest ended."""

    name: str
    megabytes: float
    timings: tuple[Timing, ...]
    goals: Mapping[str, float]

    def ratio(self, timing: Timing) -> float:
        """How many times as fast as the yardstick a contestant was, by medians."""
        return self.timings[0].median / timing.median

    def megabytes_per_second(self, timing: Timing) -> float:
        return self.megabytes / timing.median


def hold(contest: Contest, rounds: int) -> Result:
    """Let the contestants take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contest.contestants}
    for round_number in range(rounds):
        for name, contestant in contest.contestants.items():
            contest.before_each()
            start = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - start)
            if round_number == 0:
                contest.check()
    timings = tuple(Timing(name, tuple(values)) for name, values in seconds.items())
    return Result(contest.name, contest.megabytes, timings, contest.goals)
