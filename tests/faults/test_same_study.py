"""Two jobs that move the same study at the same time."""

import pytest

from adit_core.db import JobStatus
from tests.faults.outcome import Record, assert_whole
from tests.faults.scene import INSTANCES, Stage

pytestmark = pytest.mark.system


@pytest.mark.fault("two jobs move the same study at the same time")
def test_two_jobs_that_move_the_same_study_both_end_complete(stage: Stage, record: Record) -> None:
    scene = stage.scene()
    transfers = [scene.submit(), scene.submit()]
    # Neither knows of the other, so what both are sending is sent twice, and kept once.
    outcomes = [assert_whole(transfer, in_flight=INSTANCES) for transfer in transfers]
    assert [outcome.status for outcome in outcomes] == [JobStatus.SUCCESS] * 2
    assert [outcome.delivered for outcome in outcomes] == [INSTANCES] * 2
    record(outcomes[0])
