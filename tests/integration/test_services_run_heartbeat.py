"""The heartbeat of an execution, in both databases."""

import time

import pytest

from adit_core.db import Job
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.run_heartbeat import RunHeartbeat
from tests.rows import load, make_job


@pytest.fixture
def job_id(database: Database) -> int:
    return make_job(database).id


def running_for(db: Database, job_id: int) -> float:
    """For how many seconds more an execution says that it lives."""
    until = load(db, Job, job_id).running_until
    assert until is not None
    return (until - utc_now()).total_seconds()


def test_a_job_that_has_not_begun_says_nothing(database: Database, job_id: int) -> None:
    assert load(database, Job, job_id).running_until is None


def test_the_execution_lives_from_the_beginning_of_the_block_to_its_end(
    database: Database, job_id: int
) -> None:
    with RunHeartbeat(database, job_id, run_number=1, lease=60):
        assert 50 < running_for(database, job_id) <= 60

    assert running_for(database, job_id) <= 0


def test_the_beat_goes_on(database: Database, job_id: int) -> None:
    with RunHeartbeat(database, job_id, run_number=1, lease=3):
        first = load(database, Job, job_id).running_until
        while load(database, Job, job_id).running_until == first:
            time.sleep(0.1)
        assert running_for(database, job_id) > 0


def test_an_execution_that_was_replaced_does_not_speak_for_its_successor(
    database: Database, job_id: int
) -> None:
    with RunHeartbeat(database, job_id, run_number=0, lease=60):
        assert load(database, Job, job_id).running_until is None
