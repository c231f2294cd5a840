"""A stack whose processes tests may kill."""

from collections.abc import Iterator

import pytest

from tests.stack import RunningStack, running_stack

_FAST = {"ADIT_CLAIM_LEASE": "4", "ADIT_RETRY_DELAY": "0.5", "ADIT_RECONCILE_INTERVAL": "3"}


@pytest.fixture(scope="module")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("stack"), _FAST) as stack:
        yield stack


@pytest.fixture
def adit(shared_stack: RunningStack) -> RunningStack:
    """The stack, with a worker that runs."""
    worker = shared_stack.worker
    if worker is None or worker.poll() is not None:
        shared_stack.start_worker()
    return shared_stack
