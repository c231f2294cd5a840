"""Transfers of studies whose instances name another patient than the source's answer did."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from adit_core.dicom.changing import ChangingDestination, Withheld
from adit_core.dicom.manifest import Selection
from adit_core.dicom.outcome import StudyOutcome
from adit_core.dicom.part10 import encode_file_header, read_file_layout
from adit_core.dicom.ports import Destination, ExpectedStudy, IncomingInstance
from adit_core.dicom.references import StudyReference
from adit_core.dicom.transfer import Route, Verification, transfer_study
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.fakes.archive import FakeArchive, Held

SPEC = ct_study(4)
STRANGER = "SOMEBODY ELSE"
LOOK = "the source itself has them in this study. Look at them before they are used."


@pytest.fixture
def source(tmp_path: Path) -> FakeArchive:
    archive = FakeArchive()
    archive.load(write_study(SPEC, tmp_path))
    return archive


def uids(archive: FakeArchive) -> list[str]:
    return sorted(archive.held)


def rename(archive: FakeArchive, *instances: str, patient_id: str | None) -> None:
    """Have instances name another patient, while the archive goes on to answer as it did."""
    for uid in instances:
        held = archive.held[uid]
        archive.held[uid] = replace(held, data_set=data_set_of(held, patient_id))


def data_set_of(held: Held, patient_id: str | None) -> bytes:
    instance = dcmread(BytesIO(encode_file_header(held.header) + held.data_set))
    if patient_id is None:
        del instance.PatientID
    else:
        instance.PatientID = patient_id
    file = BytesIO()
    instance.save_as(file)
    return file.getvalue()[read_file_layout(file).data_set_offset :]


def transfer(
    source: FakeArchive,
    destination: FakeArchive,
    *,
    patient_id: str = SPEC.patient_id,
    through: Destination | None = None,
) -> StudyOutcome:
    route = Route(
        source.searcher(),
        source.source(),
        through or destination.destination(),
        Verification(attempts=2, delay=0.01),
    )
    return transfer_study(route, StudyReference(SPEC.study_instance_uid, patient_id), Selection())


def test_instances_that_name_the_patient_who_is_meant_are_not_warned_of(source: FakeArchive) -> None:
    outcome = transfer(source, FakeArchive())
    assert (outcome.warnings, outcome.of_others) == ((), 0)


def test_instances_of_another_patient_arrive_as_they_are_and_are_warned_of(source: FakeArchive) -> None:
    rename(source, *uids(source)[:3], patient_id=STRANGER)
    destination = FakeArchive()
    outcome = transfer(source, destination)
    assert destination.contents() == source.contents()
    assert outcome.is_complete
    assert outcome.of_others == 3
    assert outcome.message() == f"3 instances name another patient than the source's answer did; {LOOK}"


def test_the_warning_holds_no_patient_data(source: FakeArchive) -> None:
    rename(source, *uids(source), patient_id=STRANGER)
    message = transfer(source, FakeArchive()).message()
    assert message
    assert STRANGER not in message
    assert SPEC.patient_id not in message


@pytest.mark.parametrize("named", ["", "  ", None])
def test_instances_that_name_nobody_are_not_warned_of(source: FakeArchive, named: str | None) -> None:
    rename(source, *uids(source)[:2], patient_id=named)
    assert transfer(source, FakeArchive()).warnings == ()


def test_padding_makes_no_other_patient(source: FakeArchive) -> None:
    rename(source, *uids(source)[:2], patient_id=f" {SPEC.patient_id}  ")
    assert transfer(source, FakeArchive()).warnings == ()


def test_leading_zeros_make_another_patient(source: FakeArchive) -> None:
    rename(source, uids(source)[0], patient_id=SPEC.patient_id.lstrip("0"))
    assert transfer(source, FakeArchive()).of_others == 1


def test_a_patient_who_was_asked_for_with_a_wildcard_is_the_one_of_the_answer(source: FakeArchive) -> None:
    asked = f"{SPEC.patient_id[:-1]}?"
    assert transfer(source, FakeArchive(), patient_id=asked).warnings == ()
    rename(source, uids(source)[0], patient_id=f"{SPEC.patient_id[:-1]}0")
    assert transfer(source, FakeArchive(), patient_id=asked).of_others == 1


def test_two_patients_in_a_study_are_warned_of_whoever_is_meant(source: FakeArchive) -> None:
    rename(source, uids(source)[0], patient_id=STRANGER)
    outcome = transfer(source, FakeArchive(), patient_id="")
    assert outcome.message() == f"1 instances name another patient than the others do; {LOOK}"


def test_one_patient_in_a_study_is_not_warned_of_if_nobody_is_meant(source: FakeArchive) -> None:
    rename(source, *uids(source), patient_id=STRANGER)
    assert transfer(source, FakeArchive(), patient_id="").warnings == ()


def test_what_did_not_arrive_is_not_warned_of(source: FakeArchive) -> None:
    rename(source, *uids(source)[:2], patient_id=STRANGER)
    destination = FakeArchive()
    destination.faults.refuses = {uids(source)[0]}
    assert transfer(source, destination).of_others == 1


def test_what_stays_here_since_it_is_of_another_patient_is_not_warned_of(source: FakeArchive) -> None:
    class Guard:
        def expected(self, expected: ExpectedStudy) -> ExpectedStudy:
            return expected

        def transformed(self, instance: IncomingInstance) -> IncomingInstance | Withheld:
            is_stranger = STRANGER.encode() in b"".join(instance.fragments())
            return Withheld("a stranger") if is_stranger else instance

    rename(source, *uids(source), patient_id=STRANGER)
    destination = FakeArchive()
    outcome = transfer(source, destination, through=ChangingDestination(destination.destination(), Guard()))
    assert (outcome.delivered, outcome.filtered, outcome.of_others) == (0, 4, 0)
