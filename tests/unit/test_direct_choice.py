"""Whether a study may go straight from the source to the destination."""

import pytest

from adit_core.db import DicomNode, Job, JobKind, NodeKind, Task, TransferOptions
from adit_core.services.execute_transfer import may_move_directly


def node(*, allows: bool) -> DicomNode:
    return DicomNode(kind=NodeKind.SERVER, name="PACS", allows_direct_move=allows)


@pytest.mark.parametrize(
    ("source", "destination", "of_job", "pseudonym", "expected"),
    [
        (True, True, True, "", True),
        (False, True, True, "", False),
        (True, False, True, "", False),
        (True, True, False, "", False),
        (True, True, True, "ANON1", False),
    ],
    ids=["allowed", "not from the source", "not to the destination", "not in the job", "to be changed"],
)
def test_a_study_moves_directly_only_if_all_allow_it_and_nothing_changes(
    source: bool, destination: bool, of_job: bool, pseudonym: str, expected: bool
) -> None:
    options = TransferOptions(direct_move=of_job)
    job = Job(kind=JobKind.BATCH_TRANSFER, owner_id=1, source_id=1, destination_id=2, options=options)
    task = Task(job_id=1, patient_id="P1", study_instance_uid="1.2.3", pseudonym=pseudonym)
    nodes = [node(allows=source), node(allows=destination)]
    assert may_move_directly(job, task, nodes) is expected
