"""The gate of nodes: whoever wants to use one is let in, or told until when it is closed.

Nobody waits at it. A job whose nodes are closed has no flow run that would keep a worker from other jobs:
it is launched, or launched again, once they are open.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from adit_core.db import DicomNode, DiskReading, Job, NodeHealth, NodePolicy
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import NodeClosed
from adit_core.services.disk_watch import lack_of_space
from adit_core.services.history import record_of_job
from adit_core.services.job_status import OPEN_JOBS, lock_job
from adit_core.services.node_health import is_paused, needs_probe, take_probe
from adit_core.services.opening_hours import OpeningHours

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class NodeState:
    """What decides whether a node may be used; what is None is not against it."""

    node: DicomNode
    policy: NodePolicy | None
    health: NodeHealth | None
    reading: DiskReading | None = None
    """Of its disk, if it is a folder."""

    @property
    def hours(self) -> OpeningHours:
        """When it may be used."""
        return OpeningHours(self.policy.windows, self.policy.time_zone) if self.policy else OpeningHours()

    def outside_hours(self, now: datetime) -> str:
        """Return in words that, and until when, it is closed by its policy; empty if it is not."""
        hours = self.hours
        if hours.are_open(now):
            return ""
        opening = hours.next_opening(now)
        return f"{self.node.name} is open {hours.in_words()}; next opening {opening:%a %Y-%m-%d %H:%M}."

    def closed(self, now: datetime, *, visitor: str = "") -> str:
        """Return in words why `visitor` may not use it now; empty if it may."""
        return self.outside_hours(now) or self._paused(now, visitor)

    def full(self, now: datetime) -> str:
        """Return in words why nothing may be delivered to it now, for lack of space; empty if it may."""
        return lack_of_space(self.reading, now)

    def _paused(self, now: datetime, visitor: str) -> str:
        health = self.health
        if health is None or not is_paused(health, now):
            return ""
        if visitor and health.prober == visitor:
            return ""
        if health.prober:
            return f"{self.node.name} is paused, and being tried by another task. {health.message}"
        return (
            f"{self.node.name} is paused until {health.paused_until:%Y-%m-%d %H:%M:%S} UTC after "
            f"{health.failures} failures in a row. {health.message}"
        )


_STATES = (
    select(DicomNode, NodePolicy, NodeHealth, DiskReading)
    .outerjoin(NodePolicy, col(NodePolicy.node_id) == col(DicomNode.id))
    .outerjoin(NodeHealth, col(NodeHealth.node_id) == col(DicomNode.id))
    .outerjoin(DiskReading, col(DiskReading.node_id) == col(DicomNode.id))
    .where(col(DicomNode.id).in_(bindparam("node_ids", expanding=True)))
    .order_by(col(DicomNode.id))
)


def node_states(session: Session, node_ids: Iterable[int | None]) -> list[NodeState]:
    """Return the state of each of these nodes."""
    return [NodeState(*row) for row in session.exec(_STATES, params={"node_ids": list(node_ids)})]


def require_open(db: Database, node_id: int, *, now: Clock = utc_now) -> NodeState:
    """Let somebody in who would not wait, and return the state of the node.

    Raises:
        NodeClosed: The node is closed; the message says until when.
    """
    with db.reading() as session:
        (state,) = node_states(session, [node_id])
    if reason := state.closed(now()):
        raise NodeClosed(reason)
    return state


def closed_nodes(db: Database) -> dict[str, str]:
    """Return by name why nodes may not be used now; those that may are left out."""
    now = utc_now()
    with db.reading() as session:
        states = node_states(session, session.exec(select(DicomNode.id)).all())
    return {state.node.name: reason for state in states if (reason := state.closed(now))}


def full_nodes(db: Database) -> dict[str, str]:
    """Return by name why nothing may be delivered to folders now; those that have space are left out."""
    now = utc_now()
    with db.reading() as session:
        states = node_states(session, session.exec(select(DiskReading.node_id)).all())
    return {state.node.name: reason for state in states if (reason := state.full(now))}


def reasons_to_wait(session: Session, jobs: Iterable[Job]) -> dict[int, str]:
    """Return by job id why jobs have to wait for their nodes; those that need not are left out."""
    now = utc_now()
    ends = {job.id: (job.source_id, job.destination_id) for job in jobs}
    node_ids = {node_id for pair in ends.values() for node_id in pair if node_id is not None}
    states = {state.node.id: state for state in node_states(session, node_ids)}
    reasons = {
        job_id: _reasons([states[each] for each in pair if each is not None], now, destination_id=pair[1])
        for job_id, pair in ends.items()
    }
    return {job_id: reason for job_id, reason in reasons.items() if reason}


class JobGate:
    """The gate of the nodes of one job. It may be used by several threads."""

    def __init__(
        self,
        db: Database,
        job_id: int,
        node_ids: Iterable[int],
        *,
        destination_id: int | None = None,
        now: Clock = utc_now,
    ) -> None:
        """Prepare it.

        Args:
            db: Where the truth is.
            job_id: The job.
            node_ids: The nodes that it uses.
            destination_id: Which of them it delivers to, and needs space at.
            now: The clock.
        """
        self._db = db
        self._job_id = job_id
        self._node_ids = tuple(node_ids)
        self._destination_id = destination_id
        self._now = now

    def closed(self) -> str:
        """Return in words why the job may not go on; empty if it may."""
        return self._reasons(self._states())

    def may_launch(self) -> bool:
        """Tell whether an execution may begin. If that is to try a paused node, no other job will."""
        states = self._states()
        return not self._reasons(states) and self._take_probes(states, self._visitor)

    def enter(self, task_id: int) -> None:
        """Let a task in. It costs a look at the database.

        Raises:
            NodeClosed: A node is closed, or is just being tried by somebody else.
        """
        states = self._states()
        if reasons := self._reasons(states):
            raise NodeClosed(reasons)
        if not self._take_probes(states, f"task {task_id}"):
            raise NodeClosed("A node is being tried by another task.")

    def rest(self, run_number: int) -> None:
        """If a node is closed and the job has not ended, end its execution so that there will be another.

        It does not count as one in which nothing was done.
        """
        reason = self.closed()
        if not reason:
            return
        with self._db.session() as session:
            job = lock_job(session, self._job_id)
            if job is None or job.status not in OPEN_JOBS or job.run_number != run_number:
                return
            job.run_number += 1
            job.flow_run_id = job.running_until = None
            record_of_job(session, job, f"Waits. {reason}")
            session.commit()

    @property
    def _visitor(self) -> str:
        return f"job {self._job_id}"

    def _reasons(self, states: Iterable[NodeState]) -> str:
        return _reasons(states, self._now(), destination_id=self._destination_id, visitor=self._visitor)

    def _states(self) -> list[NodeState]:
        with self._db.reading() as session:
            return node_states(session, self._node_ids)

    def _take_probes(self, states: Iterable[NodeState], prober: str) -> bool:
        return all(
            take_probe(self._db, state.node.id, prober=prober, successor_of=self._visitor, now=self._now())
            for state in states
            if needs_probe(state.health)
        )


def _reasons(
    states: Iterable[NodeState], now: datetime, *, destination_id: int | None, visitor: str = ""
) -> str:
    """Return in words why nodes may not be used now, one of them as destination; empty if they may."""
    closed = (
        state.closed(now, visitor=visitor) or (state.full(now) if state.node.id == destination_id else "")
        for state in states
    )
    return " ".join(filter(None, closed))
