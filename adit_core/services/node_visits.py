"""Visits to nodes: what is asked of those who use a node holds for everything that passes through here.

Searchers, sources and destinations are wrapped, so that instances go at the pace of their node, a study
stops where its policy says so, and everybody learns from what one finds out about a node's health.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from adit_core.db import OutsideWindow
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.json_encoding import JsonDataSet
from adit_core.dicom.ports import (
    Delivery,
    Destination,
    ExpectedStudy,
    IncomingInstance,
    Inlet,
    InstanceHeader,
    RetrieveRequest,
    Searcher,
    Source,
)
from adit_core.dicom.query import (
    AttributeQuery,
    InstanceResult,
    PatientQuery,
    PatientResult,
    SeriesQuery,
    SeriesResult,
    StudyQuery,
    StudyResult,
)
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.dicom.transfer import Route
from adit_core.errors import (
    AditError,
    AssociationRejected,
    ConnectionFailed,
    NodeClosed,
    PeerAborted,
    PeerBusy,
    PeerTimeout,
    TlsFailed,
)
from adit_core.services.node_gate import Clock, NodeState, node_states
from adit_core.services.node_health import record_answer, record_busy, record_failure
from adit_core.services.pace import Pace

T = TypeVar("T")

_KEEPS_OUT = (ConnectionFailed, PeerTimeout, PeerAborted, PeerBusy, AssociationRejected, TlsFailed)
"""Errors that say, if the node has answered nothing before, that nobody gets in."""


class NodeVisit:
    """One use of a node. What it answers, or that it does not, is remembered for all."""

    def __init__(self, db: Database, state: NodeState, *, now: Clock = utc_now) -> None:
        self.closed = ""
        """Why whoever asked has to come again later; empty if nothing says so."""
        self._db = db
        self._state = state
        self._now = now
        self._began = now()
        self._has_answered = False
        self._has_said_busy = False
        policy = state.policy
        rate = policy.instances_per_second if policy else None
        self._pace = Pace(db, state.node.id, rate) if rate else None
        self.stops_outside_hours = bool(policy and policy.windows and policy.outside is OutsideWindow.STOP)
        """Whether what is under way stops when a window ends."""

    @property
    def is_supervised(self) -> bool:
        """Whether instances have to pass through here, for the policy to be kept."""
        return self._pace is not None or self.stops_outside_hours

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Learn from the block, in which the node is asked for something."""
        try:
            yield
        except AditError as error:
            self.failed(error)
            raise
        self.answered()

    def answered(self) -> None:
        """Take note that the node answers; which costs something only once."""
        if not self._has_answered:
            self._has_answered = True
            record_answer(self._db, self._state.node.id)

    def said_busy(self) -> None:
        """Take note that the node is out of resources; several times count as one."""
        if not self._has_said_busy:
            self._has_said_busy = True
            record_busy(self._db, self._state.node, began=self._began, now=self._now())

    def keep_pace(self) -> None:
        """Wait until the next instance may go."""
        if self._pace is not None:
            self._pace.wait()

    def check_hours(self) -> None:
        """Raise NodeClosed if the window has ended and the policy says to stop then."""
        if self.stops_outside_hours:
            # Somebody may have changed the windows since the study began.
            (state,) = _states(self._db, [self._state.node.id])
            self.closed = state.outside_hours(self._now())
            if self.closed:
                raise NodeClosed(self.closed)

    def failed(self, error: AditError) -> None:
        """Learn from an error of the node, and say in ``closed`` if it is paused because of it."""
        if isinstance(error, PeerBusy):
            self.said_busy()
        if isinstance(error, _KEEPS_OUT) and not self._has_answered:
            node = self._state.node
            if record_failure(self._db, node.id, str(error), began=self._began, now=self._now()):
                self.closed = f"{node.name} is paused after repeated failures. {error}"


@contextmanager
def visiting_searcher(db: Database, node_id: int, searcher: Searcher) -> Iterator[Searcher]:
    """Yield a searcher of a node through which everybody learns how the node is; it is closed at the end.

    Leaving the block, errors of a node that is paused now become NodeClosed.
    """
    visit = visit_node(db, node_id)
    with VisitingSearcher(searcher, visit) as visiting:
        try:
            yield visiting
        except AditError as error:
            if visit.closed:
                raise NodeClosed(visit.closed) from error
            raise


def visit_node(db: Database, node_id: int) -> NodeVisit:
    """Return a visit to a node that begins now."""
    (state,) = _states(db, [node_id])
    return NodeVisit(db, state)


class TransferVisit:
    """The visits to both ends of a transfer; only one end is a node if the studies were uploaded.

    Leaving its block, errors of a paused node become NodeClosed.
    """

    def __init__(
        self, db: Database, source_id: int | None, destination_id: int, *, now: Clock = utc_now
    ) -> None:
        node_ids = (destination_id,) if source_id is None else (source_id, destination_id)
        states = {state.node.id: state for state in _states(db, node_ids)}
        self._source = None if source_id is None else NodeVisit(db, states[source_id], now=now)
        self._destination = NodeVisit(db, states[destination_id], now=now)
        self._visits = [visit for visit in (self._source, self._destination) if visit is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, error: BaseException | None, traceback: object) -> None:
        if self.closed and isinstance(error, AditError):
            raise NodeClosed(self.closed) from error

    @property
    def closed(self) -> str:
        """Why the rest of the study has to wait; empty if nothing says so."""
        return next((visit.closed for visit in self._visits if visit.closed), "")

    def over(self, route: Route) -> Route:
        """Return the route on which the policies of both ends are kept."""
        stops = any(visit.stops_outside_hours for visit in self._visits)
        source = self._source
        return replace(
            route,
            searcher=route.searcher if source is None else VisitingSearcher(route.searcher, source),
            source=VisitingSource(route.source, source, self._check_hours if stops else None),
            destination=VisitingDestination(route.destination, self._destination),
            # What the source sends by itself nobody can slow down or stop.
            direct=None if any(visit.is_supervised for visit in self._visits) else route.direct,
        )

    def _check_hours(self) -> None:
        for visit in self._visits:
            visit.check_hours()


class VisitingSearcher(Searcher):
    """Asks a node's searcher, and learns how the node is."""

    def __init__(self, searcher: Searcher, visit: NodeVisit) -> None:
        self._searcher = searcher
        self._visit = visit

    def find_patients(self, query: PatientQuery) -> Iterator[PatientResult]:
        """Yield patients as the archive sends them."""
        return self._asked(self._searcher.find_patients(query))

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        """Yield studies as the archive sends them."""
        return self._asked(self._searcher.find_studies(query))

    def find_series(self, query: SeriesQuery) -> Iterator[SeriesResult]:
        """Yield series as the archive sends them."""
        return self._asked(self._searcher.find_series(query))

    def find_instances(self, series: SeriesReference, *, uids_only: bool = False) -> Iterator[InstanceResult]:
        """Yield instances as the archive sends them."""
        return self._asked(self._searcher.find_instances(series, uids_only=uids_only))

    def find_data_sets(self, query: AttributeQuery) -> Iterator[JsonDataSet]:
        """Yield what the archive answers, as it comes."""
        return self._asked(self._searcher.find_data_sets(query))

    def rest(self) -> None:
        """Leave the node alone until the next question."""
        self._searcher.rest()

    def close(self) -> None:
        """Close the searcher."""
        self._searcher.close()

    def _asked(self, answers: Iterator[T]) -> Iterator[T]:
        with self._visit.asking():
            for answer in answers:
                self._visit.answered()
                yield answer


class VisitingSource(Source):
    """Retrieves from a node at its pace, and series by series if it may have to stop between them.

    Without a visit, the source is no node, and there are only the hours of the destination to look at.
    """

    def __init__(
        self, source: Source, visit: NodeVisit | None, check_hours: Callable[[], None] | None
    ) -> None:
        self._source = source
        self._visit = visit
        self._check_hours = check_hours

    def retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        """Put the instances of `request` into `inlet`.

        Raises:
            NodeClosed: A window has ended; what came before it was retrieved.
        """
        paced = inlet if self._visit is None else _PacedInlet(inlet, self._visit)
        if self._check_hours is None:
            self._retrieve(request, paced)
            return
        for part in request.parts:
            self._check_hours()
            self._retrieve(RetrieveRequest(request.study, (part,), whole=False), paced)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _retrieve(self, request: RetrieveRequest, inlet: Inlet) -> None:
        with nullcontext() if self._visit is None else self._visit.asking():
            self._source.retrieve(request, inlet)


class _PacedInlet:
    """An inlet that lets instances in at the pace of the node that they come from."""

    def __init__(self, inlet: Inlet, visit: NodeVisit) -> None:
        self._inlet = inlet
        self._visit = visit
        self.write = inlet.write
        self.end = inlet.end

    def begin(self, header: InstanceHeader) -> None:
        self._visit.answered()
        self._visit.keep_pace()
        self._inlet.begin(header)


class VisitingDestination(Destination):
    """Delivers to a node at its pace, and learns how it is.

    `check_hours` is called before each instance; what it raises ends the delivery there. Without it, whoever
    retrieves the instances looks at the hours (see `VisitingSource`).
    """

    def __init__(
        self, destination: Destination, visit: NodeVisit, check_hours: Callable[[], None] | None = None
    ) -> None:
        self._destination = destination
        self._visit = visit
        self._check_hours = check_hours

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Tell the destination what will come."""
        return self._destination.expect(expected)

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str] | None:
        """Return what the destination holds; None if it cannot be asked."""
        try:
            held = self._destination.held(study, series)
        except AditError as error:
            self._visit.failed(error)
            raise
        if held is not None and series:
            self._visit.answered()
        return held

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Deliver each instance. What the source fails in is not held against the destination."""
        passing = _Passing(instances, self._visit, self._check_hours)
        try:
            for delivery in self._destination.deliver(passing):
                self._visit.answered()
                if delivery.retryable:
                    self._visit.said_busy()
                yield delivery
        except AditError as error:
            if not passing.has_failed:
                self._visit.failed(error)
            raise

    def close(self) -> None:
        """Close the destination."""
        self._destination.close()


class _Passing:
    """Instances on their way to a node, at its pace. ``has_failed`` tells whether their source did."""

    def __init__(
        self, instances: Iterable[IncomingInstance], visit: NodeVisit, check_hours: Callable[[], None] | None
    ) -> None:
        self.has_failed = False
        self._instances = instances
        self._visit = visit
        self._check_hours = check_hours

    def __iter__(self) -> Iterator[IncomingInstance]:
        for instance in self._instances:
            if self._check_hours is not None:
                self._check_hours()
            self._visit.keep_pace()
            yield _PassingInstance(instance, self)


@dataclass(frozen=True, slots=True)
class _PassingInstance:
    instance: IncomingInstance
    passing: _Passing

    @property
    def reference(self) -> InstanceReference:
        return self.instance.reference

    @property
    def header(self) -> InstanceHeader:
        return self.instance.header

    def fragments(self) -> Iterator[bytes | memoryview]:
        try:
            yield from self.instance.fragments()
        except AditError:
            self.passing.has_failed = True
            raise


def _states(db: Database, node_ids: Iterable[int]) -> list[NodeState]:
    with db.reading() as session:
        return node_states(session, node_ids)
