"""Whether a study may go straight from the source to the destination."""

import pytest

from adit_core.db import DicomNode, Job, JobKind, NodeKind, TransferOptions
from adit_core.services.execute_transfer import may_move_directly


def node(*, allows: bool) -> DicomNode:
    return DicomNode(kind=NodeKind.SERVER, name="PACS", allows_direct_move=allows)


@pytest.mark.parametrize(
    ("source", "destination", "of_job", "project_id", "expected"),
    [
        (True, True, True, None, True),
        (False, True, True, None, False),
        (True, False, True, None, False),
        (True, True, False, None, False),
        (True, True, True, 1, False),
    ],
    ids=["allowed", "not from the source", "not to the destination", "not in the job", "to be changed"],
)
def test_a_study_moves_directly_only_if_all_allow_it_and_nothing_changes(
    source: bool, destination: bool, of_job: bool, project_id: int | None, expected: bool
) -> None:
    options = TransferOptions(direct_move=of_job)
    job = Job(
        kind=JobKind.BATCH_TRANSFER,
        owner_id=1,
        source_id=1,
        destination_id=2,
        project_id=project_id,
        options=options,
    )
    nodes = [node(allows=source), node(allows=destination)]
    assert may_move_directly(job, nodes) is expected
