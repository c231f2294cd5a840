"""How many of this process use a node at the same time: as many as its setting allows, the others wait.

Of a node that has said that it is busy there are fewer for a while, as for jobs (`node_health.width`). Jobs
take the slots of nodes from the scheduler; people and programs that wait for an answer have no job.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from weakref import WeakKeyDictionary

from adit_core.db import DicomNode
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.dicom.interruption import Interruption
from adit_core.errors import NodeClosed, TaskStopped
from adit_core.services.node_health import widths

LONG_PATIENCE = 60.0
"""Seconds that a program waits for its turn."""
SHORT_PATIENCE = 5.0
"""Seconds that somebody waits who looks at a page meanwhile."""
_LOOK_INTERVAL = 0.25


class NodePlaces:
    """The places at all nodes. It may be used by several threads.

    Whoever has a place must not wait for another one: two who did could wait for each other.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken: dict[int, int] = defaultdict(int)

    @contextmanager
    def taken(
        self,
        db: Database,
        node: DicomNode,
        interruption: Interruption | None = None,
        *,
        patience: float = LONG_PATIENCE,
    ) -> Iterator[None]:
        """Take a place for as long as the block lasts, waiting for one that somebody leaves.

        `patience` is in seconds.

        Raises:
            NodeClosed: Nobody left for too long.
            TaskStopped: The interruption came meanwhile.
        """
        self._take(db, node, interruption or Interruption(), time.monotonic() + patience)
        try:
            yield
        finally:
            with self._changed:
                self._taken[node.id] -= 1
                self._changed.notify_all()

    def _take(self, db: Database, node: DicomNode, interruption: Interruption, deadline: float) -> None:
        # A busy node recovers meanwhile, so it is asked anew how many there are.
        while not self._is_taken_soon(node.id, most := widths(db, [node], utc_now())[node.id]):
            if interruption.is_interrupted:
                raise TaskStopped("It was interrupted while it waited for its turn.")
            if time.monotonic() > deadline:
                raise NodeClosed(f"All {most} connections to {node.name} are in use; try again later.")

    def _is_taken_soon(self, node_id: int, most: int) -> bool:
        """Take a place if there is one, else wait a moment for one, and tell whether it was taken."""
        with self._changed:
            if self._taken[node_id] >= most:
                self._changed.wait(_LOOK_INTERVAL)
            if self._taken[node_id] >= most:
                return False
            self._taken[node_id] += 1
            return True


_places: WeakKeyDictionary[Database, NodePlaces] = WeakKeyDictionary()
_finding = Lock()


def node_places(db: Database) -> NodePlaces:
    """Return the places at the nodes of a database, of which this process keeps one account."""
    with _finding:
        return _places.setdefault(db, NodePlaces())
