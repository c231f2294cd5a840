"""Transfers that change what they move, against archives in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from adit_core.dicom.changing import ChangingDestination, Withheld
from adit_core.dicom.manifest import Selection
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import ExpectedSeries, ExpectedStudy, IncomingInstance, InstanceHeader
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.dicom.transfer import Route, Verification, transfer_study
from adit_core.errors import ProtocolError
from deployments.demo.studies import StudySpec, write_study
from tests.factories import ct_study, study_reference
from tests.fakes.archive import FakeArchive


def renamed(reference: InstanceReference) -> InstanceReference:
    series = reference.series
    return InstanceReference(
        SeriesReference(
            StudyReference(f"2.25.9{series.study.study_instance_uid.replace('.', '')[:30]}", "PSEUDONYM"),
            f"2.25.9{series.series_instance_uid.replace('.', '')[-30:]}",
        ),
        f"2.25.9{reference.sop_instance_uid.replace('.', '')[-30:]}",
    )


@dataclass
class Renamed:
    """An instance under another name."""

    reference: InstanceReference
    header: InstanceHeader
    data_set: bytes

    def fragments(self) -> Iterator[bytes]:
        yield self.data_set


def _rewritten(instance: IncomingInstance, reference: InstanceReference) -> bytes:
    data_set = dcmread(BytesIO(encode_file_header(instance.header) + b"".join(instance.fragments())))
    data_set.PatientID = reference.series.study.patient_id
    data_set.StudyInstanceUID = reference.series.study.study_instance_uid
    data_set.SeriesInstanceUID = reference.series.series_instance_uid
    data_set.SOPInstanceUID = reference.sop_instance_uid
    written = DicomBytesIO()
    written.is_little_endian, written.is_implicit_VR = True, False
    write_dataset(written, data_set)
    return written.getvalue()


@dataclass
class Renaming:
    """Gives everything another name, and leaves out or fails at what it is told to."""

    withholds: set[str] = field(default_factory=set)
    fails_at: set[str] = field(default_factory=set)

    def expected(self, expected: ExpectedStudy) -> ExpectedStudy:
        series = [
            ExpectedSeries(
                replace(entry.series, reference=renamed(entry.instances[0].reference).series),
                tuple(
                    replace(instance, reference=renamed(instance.reference)) for instance in entry.instances
                ),
            )
            for entry in expected.series
        ]
        study = renamed(expected.series[0].instances[0].reference).series.study
        return ExpectedStudy(replace(expected.study, reference=study), tuple(series))

    def transformed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
        uid = instance.header.sop_instance_uid
        if uid in self.fails_at:
            raise ProtocolError("This one cannot be read.")
        if uid in self.withholds:
            return Withheld("possible burned-in text")
        reference = renamed(instance.reference)
        header = replace(instance.header, sop_instance_uid=reference.sop_instance_uid)
        return Renamed(reference, header, _rewritten(instance, reference))


def transfer(ends: tuple[FakeArchive, FakeArchive], spec: StudySpec, renaming: Renaming) -> StudyOutcome:
    source, destination = ends
    route = Route(
        source.searcher(),
        source.source(),
        ChangingDestination(destination.destination(), renaming),
        Verification(attempts=2, delay=0.01),
    )
    return transfer_study(route, study_reference(spec), Selection())


@pytest.fixture
def ends(tmp_path: Path) -> tuple[FakeArchive, FakeArchive]:
    source = FakeArchive()
    source.load(write_study(ct_study(5), tmp_path))
    return source, FakeArchive()


def names_there(ends: tuple[FakeArchive, FakeArchive]) -> set[str]:
    return {f"2.25.9{uid.replace('.', '')[-30:]}" for uid in ends[0].held}


def test_what_arrives_under_another_name_is_found_and_accounted_for(
    ends: tuple[FakeArchive, FakeArchive],
) -> None:
    outcome = transfer(ends, ct_study(5), Renaming())

    assert set(ends[1].delivered) == names_there(ends)
    assert (outcome.planned, outcome.delivered, outcome.failed, outcome.sent) == (5, 5, 0, 5)


def test_what_is_there_under_another_name_is_not_sent_again(ends: tuple[FakeArchive, FakeArchive]) -> None:
    transfer(ends, ct_study(5), Renaming())

    outcome = transfer(ends, ct_study(5), Renaming())

    assert (outcome.delivered, outcome.sent) == (5, 0)
    assert len(ends[1].delivered) == 5


def test_what_is_held_back_is_filtered_and_said(ends: tuple[FakeArchive, FakeArchive]) -> None:
    first, *_, last = ends[0].held

    outcome = transfer(ends, ct_study(5), Renaming(withholds={first, last}))

    assert (outcome.planned, outcome.delivered, outcome.filtered, outcome.failed) == (5, 3, 2, 0)
    assert outcome.is_complete
    assert outcome.warnings == ("2 instances were held back: possible burned-in text.",)
    assert {held.reference.sop_instance_uid for held in outcome.withheld} == {first, last}
    assert len(ends[1].delivered) == 3


def test_what_cannot_be_changed_does_not_leave_and_does_not_stop_the_others(
    ends: tuple[FakeArchive, FakeArchive],
) -> None:
    bad = list(ends[0].held)[2]

    outcome = transfer(ends, ct_study(5), Renaming(fails_at={bad}))

    assert (outcome.delivered, outcome.failed, outcome.is_retryable) == (4, 1, False)
    assert "This one cannot be read." in outcome.message()
    assert len(ends[1].delivered) == 4


def test_a_series_that_the_destination_never_takes_is_filtered_under_its_own_name(
    ends: tuple[FakeArchive, FakeArchive],
) -> None:
    spec = ct_study(5)
    there = f"2.25.9{spec.series_instance_uid(0).replace('.', '')[-30:]}"
    ends[1].faults.never_takes = {there: "not wanted"}

    outcome = transfer(ends, spec, Renaming())

    assert (outcome.filtered, outcome.series[0].message) == (5, "not wanted")
    assert ends[1].delivered == []
