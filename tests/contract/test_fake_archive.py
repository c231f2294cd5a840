"""The faults of the fake archive are what they say, so that tests that rely on them mean something."""

from pathlib import Path
from threading import Thread

import pytest

from adit_core.dicom.part10 import read_file_instance
from adit_core.dicom.query import InstanceResult
from adit_core.errors import ConnectionFailed
from deployments.demo.studies import write_study
from tests import factories
from tests.contract.arrivals import Arrivals
from tests.fakes.archive import FakeArchive

SPEC = factories.ct_study(4, key="faults")
UIDS = [SPEC.sop_instance_uid(0, index) for index in range(4)]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_study(SPEC, tmp_path)


@pytest.fixture
def archive(files: list[Path]) -> FakeArchive:
    full = FakeArchive()
    full.load(files)
    return full


def retrieve(archive: FakeArchive) -> Arrivals:
    arrivals = Arrivals()
    archive.source().retrieve(factories.request_for_study(SPEC), arrivals)
    return arrivals


def deliver(archive: FakeArchive, files: list[Path]) -> list[str]:
    return [delivery.failure for delivery in archive.destination().deliver(map(read_file_instance, files))]


def test_withheld_instance_does_not_come_and_nothing_is_said(archive: FakeArchive):
    archive.faults.withholds = {UIDS[1]}
    assert set(retrieve(archive).hashes) == set(UIDS) - {UIDS[1]}


def test_instance_comes_twice(archive: FakeArchive):
    archive.faults.sends_twice = {UIDS[1]}
    assert retrieve(archive).count == 5


def test_instance_comes_unasked(archive: FakeArchive, tmp_path: Path):
    other = factories.ct_study(key="unasked")
    archive.load(write_study(other, tmp_path / "other"))
    archive.faults.sends_unasked = set(other.sop_instance_uids())
    assert set(retrieve(archive).hashes) == {*UIDS, *other.sop_instance_uids()}


def test_connection_breaks_in_the_middle_of_an_instance_once(archive: FakeArchive):
    archive.faults.breaks_after = 2
    arrivals = Arrivals()
    with pytest.raises(ConnectionFailed):
        archive.source().retrieve(factories.request_for_study(SPEC), arrivals)
    assert list(arrivals.hashes) == UIDS[:2]
    assert list(retrieve(archive).hashes) == UIDS


def test_connection_breaks_in_the_middle_of_a_search_once(archive: FakeArchive):
    archive.faults.breaks_search_after = 2
    searcher, series = archive.searcher(), factories.series_reference(SPEC, 0)
    found: list[InstanceResult] = []
    with pytest.raises(ConnectionFailed):
        found.extend(searcher.find_instances(series))
    assert len(found) == 2
    assert len(list(searcher.find_instances(series))) == 4


def test_retrieval_stalls_until_it_may_go_on(archive: FakeArchive):
    archive.faults.stalls = True
    arrivals = Arrivals()
    thread = Thread(
        target=archive.source().retrieve, args=(factories.request_for_study(SPEC), arrivals), daemon=True
    )
    thread.start()
    assert archive.faults.stalled.wait(60)
    assert arrivals.count == 0
    archive.faults.go_on.set()
    thread.join(60)
    assert arrivals.count == 4


def test_instance_is_refused(files: list[Path]):
    archive = FakeArchive()
    archive.faults.refuses = {UIDS[3]}
    assert deliver(archive, files) == ["", "", "", "refused"]
    assert set(archive.contents()) == set(UIDS[:3])


def test_archive_that_is_gone_takes_nothing(files: list[Path]):
    archive = FakeArchive()
    archive.faults.is_gone = True
    with pytest.raises(ConnectionFailed):
        deliver(archive, files)
    assert archive.contents() == {}


def test_full_archive_takes_nothing(files: list[Path]):
    archive = FakeArchive()
    archive.faults.is_full = True
    assert all(deliver(archive, files))
    assert archive.contents() == {}


def test_instance_is_taken_and_forgotten(files: list[Path]):
    archive = FakeArchive()
    archive.faults.forgets = {UIDS[0]}
    assert deliver(archive, files) == [""] * 4
    assert set(archive.contents()) == set(UIDS[1:])


def test_instances_are_hidden_from_so_many_questions(archive: FakeArchive):
    archive.faults.hides = 1
    study, series = factories.study_reference(SPEC), factories.series_references(SPEC)
    destination = archive.destination()
    assert destination.held(study, series) == frozenset()
    assert destination.held(study, series) == set(UIDS)
