"""Archives that answer what is not so, drop what they took, or do not take what they are sent."""

from collections.abc import Callable
from typing import Any

import pytest

from adit_core.db import JobStatus
from adit_core.dicom.node import Service
from tests.fakes.faulty import FaultyArchive, faulty_archive
from tests.fakes.ports import MR
from tests.faults.cases import Case, assert_outcome, parametrized, submit_all
from tests.faults.outcome import Record, Transfer, assert_whole
from tests.faults.scene import INSTANCES, Stage, scene_from_faulty

pytestmark = pytest.mark.system

ONCE = 1


def gets(**faults: Any) -> Callable[[Stage], Transfer]:
    """Return what submits a job that retrieves from an archive with these faults by C-GET."""
    return lambda stage: scene_from_faulty(stage, **faults).submit()


def delivers_to_one_that_drops(times: int) -> Callable[[Stage], Transfer]:
    def submit(stage: Stage) -> Transfer:
        scene = stage.scene()
        archive: FaultyArchive = stage.ending.enter_context(faulty_archive())
        archive.drops = {min(uid for study in scene.held.values() for uid in study)}
        archive.times = times
        scene.deliver_to(archive.node(), archive.contents)
        return scene.submit()

    return submit


def gets_without_context(stage: Stage) -> Transfer:
    specs, held = stage.write()
    archive: FaultyArchive = stage.ending.enter_context(
        faulty_archive(stage.files(specs), storage_classes=[MR])
    )
    return stage.scene_from(archive.node(Service.GET), specs, held).submit()


def delivers_without_context(stage: Stage) -> Transfer:
    scene = stage.scene()
    archive: FaultyArchive = stage.ending.enter_context(faulty_archive(storage_classes=[MR]))
    scene.deliver_to(archive.node(), archive.contents)
    return scene.submit()


def asks_for_the_study_of_somebody_else(stage: Stage) -> Transfer:
    return stage.scene().submit(patient_id="SOMEBODY ELSE")


def holds_two_patients_in_one_study(stage: Stage) -> Transfer:
    (spec,), _ = stage.write()
    archive: FaultyArchive = stage.ending.enter_context(faulty_archive(stage.files([spec])))
    archive.instances[min(archive.instances)].PatientID = "SOMEBODY ELSE"
    held = {spec.study_instance_uid: archive.contents()}
    return stage.scene_from(archive.node(Service.GET), [spec], held).submit()


def holds_a_damaged_file(stage: Stage) -> Transfer:
    (spec,), held = stage.write()
    path = stage.files([spec])[0]
    path.write_bytes(path.read_bytes()[:-1000])
    return stage.scene_from_folder(spec, held).submit()


CASES = (
    Case("success with zero sub-operations, once", gets(withheld=INSTANCES, times=ONCE), is_slow=True),
    Case(
        "success with zero sub-operations, always",
        gets(withheld=INSTANCES),
        JobStatus.FAILURE,
        attempts=3,
        says="12 not received",
    ),
    Case("a sub-operation is dropped, and success reported, once", gets(withheld=1, times=ONCE), attempts=2),
    Case(
        "a sub-operation is dropped, and success reported, always",
        gets(withheld=1),
        JobStatus.FAILURE,
        attempts=3,
        delivered=range(INSTANCES - 1, INSTANCES),
        says="1 of 12 (1 not received from the source)",
    ),
    Case(
        "final status 0xB000 of a retrieval that lacks two instances",
        gets(withheld=2, status=0xB000, times=ONCE),
        is_slow=True,
    ),
    Case("final status 0xA702, once", gets(withheld=INSTANCES, status=0xA702, times=ONCE), is_slow=True),
    Case(
        "final status 0xA702, always",
        gets(withheld=INSTANCES, status=0xA702),
        JobStatus.FAILURE,
        attempts=3,
        says="0xA702",
    ),
    Case(
        "final status 0xA900, always",
        gets(withheld=INSTANCES, status=0xA900),
        JobStatus.FAILURE,
        attempts=1,
        says="0xA900",
    ),
    Case(
        "final status 0xFE00 of what nobody has canceled",
        gets(withheld=INSTANCES, status=0xFE00),
        JobStatus.FAILURE,
        attempts=3,
        says="0xFE00",
        is_slow=True,
    ),
    Case(
        "the source accepts no presentation context",
        gets_without_context,
        JobStatus.FAILURE,
        attempts=1,
        says="no presentation context",
        is_slow=True,
    ),
    Case(
        "the destination accepts no presentation context",
        delivers_without_context,
        JobStatus.FAILURE,
        attempts=1,
        says="no presentation context",
    ),
    Case(
        "the destination takes an instance and drops it, once",
        delivers_to_one_that_drops(1),
        attempts=2,
        in_flight=1,
        is_slow=True,
    ),
    Case(
        "the destination takes an instance and drops it, always",
        delivers_to_one_that_drops(99),
        JobStatus.FAILURE,
        attempts=3,
        in_flight=2,
        delivered=range(INSTANCES - 1, INSTANCES),
        says="1 of 12 (1 ",
    ),
    Case(
        "the study is another patient's than the one asked for",
        asks_for_the_study_of_somebody_else,
        JobStatus.FAILURE,
        attempts=1,
        says="of another patient",
    ),
    Case(
        "a file of the source folder is damaged",
        holds_a_damaged_file,
        JobStatus.FAILURE,
        attempts=1,
        delivered=range(INSTANCES - 1, INSTANCES),
        says="1 instances of study",
    ),
    Case(
        "the instances of a study are of two patients",
        holds_two_patients_in_one_study,
        JobStatus.WARNING,
        attempts=1,
        says="1 instances name another patient than the source's answer did",
    ),
)


@pytest.fixture(scope="module")
def transfers(request: pytest.FixtureRequest, stage_of_module: Stage) -> dict[str, Transfer]:
    return submit_all(request, stage_of_module, CASES)


@parametrized(CASES)
def test_an_archive_that_misbehaves(case: Case, transfers: dict[str, Transfer], record: Record) -> None:
    assert_outcome(case, transfers[case.fault], record)


def test_a_retry_asks_for_nothing_but_what_is_missing_and_says_what_it_did_not_get(stage: Stage) -> None:
    (spec,), held = stage.write()
    with faulty_archive(stage.files([spec])) as archive:
        everything = set(archive.instances)
        archive.withheld = set(sorted(everything)[:2])
        outcome = assert_whole(stage.scene_from(archive.node(Service.GET), [spec], held).submit())
    assert archive.asked[0] == everything
    assert all(asked <= archive.withheld for asked in archive.asked[1:])
    series = spec.series_instance_uid(0)
    assert f"series {series}: 2 of {INSTANCES} (2 not received" in outcome.messages[0]
