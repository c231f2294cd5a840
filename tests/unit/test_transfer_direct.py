"""A study that the source sends straight to the destination, and what follows if it does not."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adit_core.dicom.manifest import Selection
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.ports import RetrieveRequest
from adit_core.dicom.transfer import Route, Verification, transfer_study
from adit_core.errors import AditError, OperationFailed, PeerTimeout
from deployments.demo.studies import write_study
from tests.factories import ct_study, study_reference
from tests.fakes.archive import FakeArchive

STUDY = ct_study(5, key="direct")


@dataclass
class FakeMover:
    """Moves between two fake archives, and fails on demand."""

    source: FakeArchive
    destination: FakeArchive
    moves_at_most: int = 1000
    says: AditError | None = None
    """What the source says went wrong."""
    raises: AditError | None = None
    requests: list[RetrieveRequest] = field(default_factory=list)

    def move(self, request: RetrieveRequest) -> AditError | None:
        self.requests.append(request)
        wanted = [each.reference.sop_instance_uid for part in request.parts for each in part.instances]
        for uid in wanted[: self.moves_at_most]:
            self.destination.keep(self.source.held[uid].header, self.source.held[uid].data_set)
        if self.raises:
            raise self.raises
        return self.says


@pytest.fixture
def mover(tmp_path: Path) -> FakeMover:
    source = FakeArchive()
    source.load(write_study(STUDY, tmp_path))
    return FakeMover(source, FakeArchive())


def transfer(mover: FakeMover) -> StudyOutcome:
    route = Route(
        mover.source.searcher(),
        mover.source.source(),
        mover.destination.destination(),
        Verification(attempts=3, delay=0.01),
        direct=mover,
    )
    return transfer_study(route, study_reference(STUDY), Selection())


def test_a_study_that_arrives_directly_does_not_pass_through_here(mover: FakeMover) -> None:
    outcome = transfer(mover)
    assert mover.destination.contents() == mover.source.contents()
    assert (mover.source.retrievals, mover.destination.delivered) == ([], [])
    assert (outcome.delivered, outcome.sent, outcome.failed, outcome.warnings) == (5, 5, 0, ())
    assert outcome.message() == "The source sent all 5 instances directly."
    assert outcome.direct_failure == ""


def test_what_arrives_late_at_the_destination_is_waited_for(mover: FakeMover) -> None:
    mover.destination.faults.hides = 2
    outcome = transfer(mover)
    assert outcome.is_complete
    assert mover.source.retrievals == []


def test_only_what_is_missing_is_moved_directly(mover: FakeMover) -> None:
    first = next(iter(mover.source.held.values()))
    mover.destination.keep(first.header, first.data_set)
    outcome = transfer(mover)
    (request,) = mover.requests
    assert sum(len(part.instances) for part in request.parts) == 4
    assert (outcome.delivered, outcome.sent) == (5, 4)


def test_nothing_is_moved_if_everything_is_there(mover: FakeMover) -> None:
    transfer(mover)
    assert transfer(mover).is_complete
    assert len(mover.requests) == 1


@pytest.mark.parametrize("is_success", [True, False], ids=["success", "failure"])
def test_the_rest_passes_through_here_whatever_the_source_said(mover: FakeMover, is_success: bool) -> None:
    mover.moves_at_most = 2
    mover.says = None if is_success else OperationFailed("SOURCE: no more")
    outcome = transfer(mover)
    assert mover.destination.contents() == mover.source.contents()
    assert len(mover.destination.delivered) == 3
    assert (outcome.delivered, outcome.sent, outcome.warnings) == (5, 5, ())
    assert outcome.message().startswith("The source sent 2 of 5 instances directly.")
    assert outcome.direct_failure == ""


@pytest.mark.parametrize("error", [OperationFailed("unknown destination"), PeerTimeout("silence")])
def test_a_source_that_moves_nothing_directly_is_no_harm_and_told(mover: FakeMover, error: AditError) -> None:
    mover.moves_at_most = 0
    mover.raises = error
    outcome = transfer(mover)
    assert mover.destination.contents() == mover.source.contents()
    assert (outcome.is_complete, outcome.message()) == (True, "")
    assert outcome.direct_failure == str(error)


def test_what_nobody_could_move_has_failed(mover: FakeMover) -> None:
    mover.moves_at_most = 3
    mover.source.faults.withholds = set(list(mover.source.held)[3:4])
    outcome = transfer(mover)
    assert (outcome.delivered, outcome.failed, outcome.is_retryable) == (4, 1, True)
