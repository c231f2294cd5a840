"""What a visit finds out about a node, and what it does not blame it for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from adit_core.db import DicomNode, NodeHealth, OutsideWindow
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.dimse import DimseSearcher
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import ServerNode
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.ports import DirectMover, RetrieveRequest
from adit_core.dicom.query import StudyQuery, StudyResult
from adit_core.dicom.transfer import Route, Verification, transfer_study
from adit_core.errors import AditError, AssociationRejected, ConnectionFailed, NodeClosed, PeerBusy
from adit_core.services.node_health import lock_health
from adit_core.services.node_policies import change_policy
from adit_core.services.node_visits import TransferVisit, VisitingDestination, visit_node, visiting_searcher
from deployments.demo.studies import write_study
from tests.factories import ct_study, study_reference
from tests.fakes.archive import FakeArchive, FakeSearcher
from tests.fakes.ports import instance
from tests.rows import make_server

SPEC = ct_study(5)


class NoMover(DirectMover):
    """Moves nothing."""

    def move(self, request: RetrieveRequest) -> AditError | None:
        return ConnectionFailed(f"{request.study} stays where it is.")


@dataclass
class Ends:
    """Two archives, and the nodes that they are."""

    db: Database
    here: FakeArchive
    there: FakeArchive
    source: DicomNode
    destination: DicomNode

    def route(self) -> Route:
        return Route(
            self.here.searcher(),
            self.here.source(),
            self.there.destination(),
            Verification(attempts=2, delay=0.01),
        )

    def visit(self) -> TransferVisit:
        return TransferVisit(self.db, self.source.id, self.destination.id)

    def transfer(self) -> tuple[StudyOutcome, TransferVisit]:
        with self.visit() as visit:
            return transfer_study(visit.over(self.route()), study_reference(SPEC), Selection()), visit

    def health(self, node: DicomNode) -> NodeHealth:
        with self.db.session() as session:
            return lock_health(session, node.id)

    def failed_before(self, node: DicomNode) -> None:
        with self.db.session() as session:
            lock_health(session, node.id).failures = 2
            session.commit()


@pytest.fixture
def ends(database: Database, tmp_path: Path) -> Ends:
    source = make_server(database, "SOURCE", max_associations=8)
    destination = make_server(database, "DESTINATION", max_associations=8)
    here = FakeArchive()
    here.load(write_study(SPEC, tmp_path))
    return Ends(database, here, FakeArchive(), source, destination)


def test_a_transfer_that_goes_well_ends_what_was_held_against_both(ends: Ends) -> None:
    ends.failed_before(ends.source)
    ends.failed_before(ends.destination)
    outcome, visit = ends.transfer()
    assert (outcome.delivered, visit.closed) == (5, "")
    assert ends.there.contents() == ends.here.contents()
    assert [ends.health(node).failures for node in (ends.source, ends.destination)] == [0, 0]


def test_a_source_that_breaks_is_not_held_against_the_destination(ends: Ends) -> None:
    ends.failed_before(ends.destination)
    ends.here.faults.breaks_after = 2
    outcome, visit = ends.transfer()
    assert (outcome.delivered, visit.closed) == (2, "")
    assert [ends.health(node).failures for node in (ends.source, ends.destination)] == [0, 0]


def test_what_a_source_fails_in_is_not_held_against_a_destination_that_has_said_nothing(ends: Ends) -> None:
    visit = visit_node(ends.db, ends.destination.id)
    destination = VisitingDestination(ends.there.destination(), visit)
    broken = instance("1.2.3.1.1", b"the beginning", failure=ConnectionFailed("The source is gone."))
    with pytest.raises(ConnectionFailed):
        list(destination.deliver([broken]))
    assert ends.health(ends.destination).failures == 0


def test_a_destination_that_takes_nothing_because_it_is_gone_has_failed(ends: Ends) -> None:
    ends.there.faults.is_gone = True
    visit = visit_node(ends.db, ends.destination.id)
    with pytest.raises(ConnectionFailed):
        list(VisitingDestination(ends.there.destination(), visit).deliver([instance("1.2.3.1.1", b"data")]))
    assert ends.health(ends.destination).failures == 1


def test_a_destination_out_of_resources_gets_fewer_studies(ends: Ends) -> None:
    ends.there.faults.is_full = True
    outcome, _ = ends.transfer()
    assert outcome.is_retryable
    assert ends.health(ends.destination).width == 4
    assert ends.health(ends.source).width is None


@pytest.mark.parametrize("kind", [ConnectionFailed, PeerBusy, AssociationRejected])
def test_who_is_kept_out_for_the_third_time_has_to_wait(ends: Ends, kind: type[AditError]) -> None:
    ends.failed_before(ends.source)
    visit = visit_node(ends.db, ends.source.id)
    with pytest.raises(kind), visit.asking():
        raise kind("No.")
    assert visit.closed == "SOURCE is paused after repeated failures. No."
    health = ends.health(ends.source)
    assert health.paused_until is not None
    assert health.width == (4 if kind is PeerBusy else None)


def test_a_transfer_whose_source_is_paused_by_it_is_closed(ends: Ends, dead_port: int) -> None:
    ends.failed_before(ends.source)
    nobody = DimseSearcher(ServerNode("SOURCE", "SOURCE", "127.0.0.1", dead_port))
    route = replace(ends.route(), searcher=nobody)
    with pytest.raises(NodeClosed, match="SOURCE is paused after repeated failures"), ends.visit() as visit:
        transfer_study(visit.over(route), study_reference(SPEC), Selection())


def test_an_error_before_the_third_stays_what_it_is(ends: Ends) -> None:
    visit = visit_node(ends.db, ends.source.id)
    with pytest.raises(ConnectionFailed), visit.asking():
        raise ConnectionFailed("No.")
    assert ends.health(ends.source).failures == 1


def test_an_error_after_an_answer_is_not_held_against_the_node(ends: Ends) -> None:
    ends.failed_before(ends.source)
    visit = visit_node(ends.db, ends.source.id)
    visit.answered()
    with pytest.raises(ConnectionFailed), visit.asking():
        raise ConnectionFailed("No.")
    assert (ends.health(ends.source).failures, visit.closed) == (0, "")


def test_answers_that_are_cut_off_are_not_held_against_the_node(ends: Ends) -> None:
    class OutOfResources(FakeSearcher):
        def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
            yield from super().find_studies(query)
            raise PeerBusy("out of resources")

    ends.failed_before(ends.source)
    searcher = OutOfResources(ends.here)
    with (
        pytest.raises(PeerBusy),
        visiting_searcher(ends.db, ends.source.id, searcher) as visiting,
    ):
        list(visiting.find_studies(StudyQuery()))
    assert ends.health(ends.source).failures == 0


def test_what_was_uploaded_is_delivered_at_the_pace_and_in_the_hours_of_the_destination(ends: Ends) -> None:
    with TransferVisit(ends.db, None, ends.destination.id) as visit:
        outcome = transfer_study(visit.over(ends.route()), study_reference(SPEC), Selection())
    assert (outcome.delivered, visit.closed) == (5, "")

    yesterday = (utc_now() - timedelta(days=1)).strftime("%a")
    change_policy(ends.db, "DESTINATION", windows=[f"{yesterday} 00:00-00:01"], outside=OutsideWindow.STOP)
    ends.there.held.clear()
    with TransferVisit(ends.db, None, ends.destination.id) as visit:
        outcome = transfer_study(visit.over(ends.route()), study_reference(SPEC), Selection())
    assert outcome.delivered == 0
    assert visit.closed.startswith("DESTINATION is open")


def test_archives_send_to_each_other_only_if_nobody_has_to_watch(ends: Ends) -> None:
    route = Route(ends.here.searcher(), ends.here.source(), ends.there.destination(), direct=NoMover())
    assert ends.visit().over(route).direct is route.direct
    change_policy(ends.db, "DESTINATION", instances_per_second=100)
    assert ends.visit().over(route).direct is None
