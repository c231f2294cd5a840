"""The main path against an archive in memory that fails on demand."""

from pathlib import Path

import pytest

from adit_core.dicom.manifest import Selection
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.query import StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.dicom.transfer import Route, Verification, transfer_study
from adit_core.errors import StudyNotFound
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests.factories import ct_study, mixed_study, study, study_reference
from tests.fakes.archive import FakeArchive

Ends = tuple[FakeArchive, FakeArchive]


@pytest.fixture
def ends() -> Ends:
    return FakeArchive(), FakeArchive()


def load(archive: FakeArchive, spec: StudySpec, folder: Path) -> list[str]:
    archive.load(write_study(spec, folder))
    return list(archive.held)


def transfer(
    ends: Ends, spec: StudySpec, selection: Selection | None = None, *, describes_study: bool = False
) -> StudyOutcome:
    source, destination = ends
    route = Route(
        source.searcher(),
        source.source(),
        destination.destination(),
        Verification(attempts=3, delay=0.01),
        describes_study=describes_study,
    )
    return transfer_study(route, study_reference(spec), selection or Selection())


def assert_account_adds_up(outcome: StudyOutcome) -> None:
    for series in outcome.series:
        assert series.planned == series.delivered + series.filtered + series.failed


def test_every_instance_arrives_as_it_was(ends: Ends, tmp_path: Path) -> None:
    spec = mixed_study()
    load(ends[0], spec, tmp_path)
    outcome = transfer(ends, spec)
    assert ends[1].contents() == ends[0].contents()
    assert outcome.is_complete
    assert outcome.sent == outcome.delivered == outcome.planned == len(ends[0].held)


def test_a_study_of_another_patient_than_the_one_who_is_meant_is_not_moved(
    ends: Ends, tmp_path: Path
) -> None:
    spec = ct_study(2)
    load(ends[0], spec, tmp_path)
    route = Route(ends[0].searcher(), ends[0].source(), ends[1].destination())
    meant = StudyReference(spec.study_instance_uid, "SOMEBODY ELSE")
    with pytest.raises(StudyNotFound, match="of another patient"):
        transfer_study(route, meant, Selection())
    assert ends[1].contents() == {}


def test_a_study_is_moved_whoever_it_is_of_if_nobody_is_meant(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(2)
    load(ends[0], spec, tmp_path)
    route = Route(ends[0].searcher(), ends[0].source(), ends[1].destination())
    transfer_study(route, StudyReference(spec.study_instance_uid), Selection())
    assert ends[1].contents() == ends[0].contents()


def test_a_second_transfer_sends_nothing(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(5)
    load(ends[0], spec, tmp_path)
    transfer(ends, spec)
    outcome = transfer(ends, spec)
    assert (outcome.delivered, outcome.sent) == (5, 0)
    assert len(ends[1].delivered) == 5


def test_what_the_source_withholds_while_reporting_success_has_failed(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(5)
    uids = load(ends[0], spec, tmp_path)
    ends[0].faults.withholds = set(uids[:2])
    outcome = transfer(ends, spec)
    assert (outcome.delivered, outcome.failed, outcome.is_retryable) == (3, 2, True)
    assert f"series {spec.series_instance_uid(0)}: 2 of 5" in outcome.message()
    assert_account_adds_up(outcome)


def test_a_retry_asks_only_for_what_is_missing(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(5)
    uids = load(ends[0], spec, tmp_path)
    ends[0].faults.withholds = set(uids[:2])
    transfer(ends, spec)
    ends[0].faults.withholds = set()
    outcome = transfer(ends, spec)
    asked = {
        instance.reference.sop_instance_uid
        for part in ends[0].retrievals[-1].parts
        for instance in part.instances
    }
    assert asked == set(uids[:2])
    assert outcome.is_complete
    assert sorted(ends[1].delivered) == sorted(uids)


def test_what_the_destination_takes_and_drops_has_failed(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(4)
    uids = load(ends[0], spec, tmp_path)
    ends[1].faults.forgets = {uids[0]}
    outcome = transfer(ends, spec)
    assert (outcome.delivered, outcome.failed, outcome.is_retryable) == (3, 1, True)
    assert "sent, but not found at the destination" in outcome.message()


def test_a_destination_that_indexes_late_is_waited_for(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(4)
    load(ends[0], spec, tmp_path)
    ends[1].faults.hides = 2
    assert transfer(ends, spec).is_complete


def test_a_refused_instance_does_not_stop_the_others(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(4)
    uids = load(ends[0], spec, tmp_path)
    ends[1].faults.refuses = {uids[1]}
    outcome = transfer(ends, spec)
    assert (outcome.delivered, outcome.failed, outcome.is_retryable) == (3, 1, False)
    assert_account_adds_up(outcome)


def test_a_connection_that_breaks_is_told_with_what_arrived(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(6)
    load(ends[0], spec, tmp_path)
    ends[0].faults.breaks_after = 3
    outcome = transfer(ends, spec)
    assert (outcome.delivered, outcome.failed, outcome.is_retryable) == (3, 3, True)
    assert outcome.error
    assert transfer(ends, spec).is_complete


def test_instances_that_nobody_asked_for_are_not_delivered(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(2)
    wanted = load(ends[0], spec, tmp_path / "wanted")
    everything = load(ends[0], ct_study(1, key="stranger"), tmp_path / "stranger")
    ends[0].faults.sends_unasked = set(everything) - set(wanted)
    outcome = transfer(ends, spec)
    assert set(ends[1].held) == set(wanted)
    assert outcome.warnings


def test_excluded_modalities_are_counted_as_filtered(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study(3)
    load(ends[0], spec, tmp_path)
    outcome = transfer(ends, spec, Selection(excluded_modalities=frozenset({"CT"})))
    assert (outcome.planned, outcome.filtered, outcome.delivered, outcome.failed) == (3, 3, 0, 0)
    assert not ends[1].held


def test_series_that_the_destination_never_takes_are_filtered(ends: Ends, tmp_path: Path) -> None:
    spec = study(SeriesSpec(Form.CT, 3, "", 32, 32), SeriesSpec(Form.REPORT, 1))
    load(ends[0], spec, tmp_path)
    ends[1].faults.never_takes = {spec.series_instance_uid(1): "it has no images"}
    outcome = transfer(ends, spec)
    assert (outcome.planned, outcome.filtered, outcome.delivered, outcome.failed) == (4, 1, 3, 0)
    assert [series.message for series in outcome.series] == ["", "it has no images"]
    assert set(ends[1].held) == {spec.sop_instance_uid(0, index) for index in range(3)}
    assert_account_adds_up(outcome)


def test_destination_is_told_what_comes_and_what_it_is_called(ends: Ends, tmp_path: Path) -> None:
    spec = study(SeriesSpec(Form.CT, 3, "Axial", 32, 32), SeriesSpec(Form.REPORT, 1))
    load(ends[0], spec, tmp_path)
    transfer(ends, spec, Selection(excluded_modalities=frozenset({"SR"})), describes_study=True)
    (expected,) = ends[1].expected
    assert expected.study.study_description == "Test study"
    assert [entry.series.series_description for entry in expected.series] == ["Axial"]
    uids = {one.reference.sop_instance_uid for entry in expected.series for one in entry.instances}
    assert uids == set(ends[1].held)


def test_study_is_not_described_unless_the_destination_needs_it(ends: Ends, tmp_path: Path) -> None:
    spec = ct_study()
    load(ends[0], spec, tmp_path)
    transfer(ends, spec)
    assert ends[1].expected[0].study == StudyResult(study_reference(spec))


def test_only_chosen_series_are_moved(ends: Ends, tmp_path: Path) -> None:
    spec = mixed_study()
    load(ends[0], spec, tmp_path)
    chosen = spec.series_instance_uid(1)
    outcome = transfer(ends, spec, Selection(series_instance_uids=frozenset({chosen})))
    assert [series.series_instance_uid for series in outcome.series] == [chosen]
    assert {held.series.reference.series_instance_uid for held in ends[1].held.values()} == {chosen}


def test_a_study_that_the_source_does_not_have_is_an_error(ends: Ends) -> None:
    with pytest.raises(StudyNotFound):
        transfer(ends, ct_study(1))
