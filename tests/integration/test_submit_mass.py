"""Submitting mass transfers, on both databases."""

from datetime import UTC, datetime

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Job, JobKind, TaskKind
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot
from adit_core.errors import InvalidInput, NotAllowed
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.transfer_request import TransferRequest
from tests.fakes.launcher import FakeLauncher
from tests.mass import mass_options, tasks_of
from tests.rows import load, make_folder, make_server, make_user


@pytest.fixture
def request_of_staff(database: Database) -> TransferRequest:
    make_server(database)
    make_folder(database)
    staff = make_user(database, "root", staff=True)
    return TransferRequest(owner_id=staff.id, source="PACS", destination="Export")


def test_a_mass_transfer_begins_with_a_discovery_for_each_partition(
    database: Database, request_of_staff: TransferRequest
) -> None:
    launcher = FakeLauncher()
    options = mass_options(include={"modalities": ["CT"]})

    job = load(database, Job, submit_mass_transfer(database, launcher, request_of_staff, options))

    assert (job.kind, job.mass, job.flow_run_id) == (JobKind.MASS_TRANSFER, options, f"flow-{job.id}-1")
    partitions = tasks_of(database, job, TaskKind.DISCOVERY)
    assert [(task.period_start, task.period_end) for task in partitions] == [
        (datetime(2024, 3, 29, 23, tzinfo=UTC), datetime(2024, 3, 30, 23, tzinfo=UTC)),
        (datetime(2024, 3, 30, 23, tzinfo=UTC), datetime(2024, 3, 31, 22, tzinfo=UTC)),
        (datetime(2024, 3, 31, 22, tzinfo=UTC), datetime(2024, 4, 1, 22, tzinfo=UTC)),
    ]
    assert partitions[0].subject == "2024-03-29 23:00 to 2024-03-30 23:00 UTC"
    with database.reading() as session:
        (event,) = session.exec(select(AuditEvent))
    assert event.details["studies"] is None


def test_an_archive_that_is_asked_by_patients_cannot_be_searched_by_days(
    database: Database, request_of_staff: TransferRequest
) -> None:
    make_server(database, "OLD", query_root=QueryRoot.PATIENT)
    old = TransferRequest(owner_id=request_of_staff.owner_id, source="OLD", destination="Export")
    with pytest.raises(InvalidInput, match="source: OLD is asked by patients only"):
        submit_mass_transfer(database, FakeLauncher(), old, mass_options())


def test_who_may_not_use_the_source_is_refused(database: Database, request_of_staff: TransferRequest) -> None:
    stranger = make_user(database, "eve")
    theirs = TransferRequest(owner_id=stranger.id, source="PACS", destination="Export")
    with pytest.raises(NotAllowed):
        submit_mass_transfer(database, FakeLauncher(), theirs, mass_options())
