"""Submitting chosen studies and series, on both databases."""

from dataclasses import replace

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Job, JobKind, Permission, Task
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotAllowed
from adit_core.services.submit_selective import MOST_STUDIES, PickedStudy, submit_selective_transfer
from adit_core.services.transfer_request import TransferRequest
from tests.fakes.launcher import FakeLauncher
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_server, make_user


@pytest.fixture
def request_of_ada(database: Database) -> TransferRequest:
    """What Ada asks for, who may transfer from the PACS to a folder."""
    user = make_user(database)
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    group = make_group(database, user, permissions=granted)
    allow(database, group, make_server(database), as_source=True)
    allow(database, group, make_folder(database), as_destination=True)
    return TransferRequest(owner_id=user.id, source="PACS", destination="Export", name=" heads ")


def tasks_of(db: Database, job_id: int) -> list[tuple[str, str, tuple[str, ...]]]:
    with db.reading() as session:
        tasks = session.exec(select(Task).where(Task.job_id == job_id)).all()
    return [(task.patient_id, task.study_instance_uid, task.series_instance_uids) for task in tasks]


def test_picked_studies_become_a_job_that_is_launched_and_audited(
    database: Database, request_of_ada: TransferRequest
) -> None:
    launcher = FakeLauncher()
    picked = [PickedStudy("P1", "1.2.1"), PickedStudy("P2", "1.2.2", ("1.2.2.1", "1.2.2.2"))]

    job = load(database, Job, submit_selective_transfer(database, launcher, request_of_ada, picked))

    assert (job.kind, job.name, job.run_number) == (JobKind.SELECTIVE_TRANSFER, "heads", 1)
    assert job.flow_run_id == launcher.runs[f"job-{job.id}-run-1"]
    assert tasks_of(database, job.id) == [
        ("P1", "1.2.1", ()),
        ("P2", "1.2.2", ("1.2.2.1", "1.2.2.2")),
    ]
    with database.reading() as session:
        (event,) = session.exec(select(AuditEvent))
    assert (event.actor, event.object_id, event.details["studies"]) == ("ada", str(job.id), 2)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ([("1.2.1.1",), ("1.2.1.2", "1.2.1.1")], ("1.2.1.1", "1.2.1.2")),
        ([("1.2.1.1",), ()], ()),
        ([(), ("1.2.1.1",)], ()),
    ],
)
def test_a_study_that_is_picked_twice_is_one_task(
    database: Database,
    request_of_ada: TransferRequest,
    series: list[tuple[str, ...]],
    expected: tuple[str, ...],
) -> None:
    picked = [PickedStudy("P1", "1.2.1", uids) for uids in series]
    job_id = submit_selective_transfer(database, FakeLauncher(), request_of_ada, picked)
    assert tasks_of(database, job_id) == [("P1", "1.2.1", expected)]


def test_all_that_is_wrong_with_picks_is_told_by_number(
    database: Database, request_of_ada: TransferRequest
) -> None:
    picked = [
        PickedStudy("P1", "1.2.1"),
        PickedStudy("P?", "1.2.2"),
        PickedStudy("", "1.2.3", ("1.2.x",)),
        PickedStudy("P2", "1.2.1"),
    ]
    with pytest.raises(InvalidInput) as refused:
        submit_selective_transfer(database, FakeLauncher(), request_of_ada, picked)
    assert [(problem.row, problem.field) for problem in refused.value.problems] == [
        (2, "patient_id"),
        (3, "studies"),
        (3, "patient_id"),
        (4, "patient_id"),
    ]
    with database.reading() as session:
        assert session.exec(select(Job)).all() == []


@pytest.mark.parametrize("number", [0, MOST_STUDIES + 1])
def test_nothing_and_too_much_are_refused(
    database: Database, request_of_ada: TransferRequest, number: int
) -> None:
    picked = [PickedStudy("P1", f"1.2.{index}") for index in range(number)]
    with pytest.raises(InvalidInput, match="studies"):
        submit_selective_transfer(database, FakeLauncher(), request_of_ada, picked)


def test_what_needs_a_right_is_refused_without_it(
    database: Database, request_of_ada: TransferRequest
) -> None:
    urgent = replace(request_of_ada, urgent=True)
    with pytest.raises(NotAllowed, match="process urgently"):
        submit_selective_transfer(database, FakeLauncher(), urgent, [PickedStudy("P1", "1.2.1")])
