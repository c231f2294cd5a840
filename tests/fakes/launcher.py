"""A scheduler in memory that keeps the promises of `Launcher`."""

from dataclasses import dataclass, field

from adit_core.db import JobKind
from adit_core.errors import SchedulerUnavailable


@dataclass
class FakeLauncher:
    """Remembers what it was asked for; `unavailable` makes it refuse everything.

    A flow run is over once it is in `over`, or once it is forgotten by `lose_everything`.
    """

    unavailable: bool = False
    runs: dict[str, str] = field(default_factory=dict)
    """Flow run ids by idempotency key."""
    urgent: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    canceled: list[str] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)

    def launch(self, job_id: int, kind: JobKind, *, run_number: int, urgent: bool) -> str:  # noqa: ARG002
        self._check_available()
        flow_run_id = self.runs.setdefault(f"job-{job_id}-run-{run_number}", f"flow-{job_id}-{run_number}")
        if urgent:
            self.urgent.add(flow_run_id)
        return flow_run_id

    def cancel(self, flow_run_id: str) -> None:
        self._check_available()
        if self.is_awaited(flow_run_id):
            self.canceled.append(flow_run_id)

    def abandon(self, flow_run_id: str) -> None:
        self._check_available()
        if self.is_awaited(flow_run_id):
            self.abandoned.append(flow_run_id)

    def is_awaited(self, flow_run_id: str) -> bool:
        self._check_available()
        return flow_run_id in self.runs.values() and flow_run_id not in self.over

    def end_all(self) -> None:
        """End all flow runs, as a crash of the worker does."""
        self.over.update(self.runs.values())

    def lose_everything(self) -> None:
        """Forget all flow runs, as a new database of the scheduler does."""
        self.runs.clear()

    def _check_available(self) -> None:
        if self.unavailable:
            raise SchedulerUnavailable("Start it.")
