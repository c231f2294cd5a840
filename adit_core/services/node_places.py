"""How many of this process use a node at the same time: as many as its setting allows, the others wait.

Jobs take the slots of nodes from the scheduler; programs that wait for an answer have no job.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from adit_core.db import DicomNode
from adit_core.dicom.interruption import Interruption
from adit_core.errors import NodeClosed, TaskStopped

_PATIENCE = 60.0
_LOOK_INTERVAL = 0.25


class NodePlaces:
    """The places at all nodes. It may be used by several threads."""

    def __init__(self, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._changed = Condition()
        self._taken: dict[int, int] = defaultdict(int)

    @contextmanager
    def taken(self, node: DicomNode, interruption: Interruption) -> Iterator[None]:
        """Take a place for as long as the block lasts, waiting for one that somebody leaves.

        Raises:
            NodeClosed: Nobody left for too long.
            TaskStopped: The interruption came meanwhile.
        """
        self._take(node, interruption)
        try:
            yield
        finally:
            with self._changed:
                self._taken[node.id] -= 1
                self._changed.notify_all()

    def _take(self, node: DicomNode, interruption: Interruption) -> None:
        deadline = time.monotonic() + self._patience
        with self._changed:
            while self._taken[node.id] >= node.max_associations:
                self._changed.wait(_LOOK_INTERVAL)
                if interruption.is_interrupted:
                    raise TaskStopped("It was interrupted while it waited for its turn.")
                if time.monotonic() > deadline:
                    raise NodeClosed(
                        f"All {node.max_associations} connections to {node.name} are in use; try again later."
                    )
            self._taken[node.id] += 1
