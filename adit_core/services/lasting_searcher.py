"""A searcher that stays open from one task of a child process to the next.

To open an association takes longer than most queries. But it is closed as soon as it has not been needed
for a moment, for then the job may have given its slot of the node back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer

from adit_core.dicom.node import Node
from adit_core.dicom.ports import Searcher
from adit_core.services.routes import searcher_of

_IDLE = 1.0
"""Seconds after which a searcher that nobody has needed is closed, as slots are given back."""


class LastingSearcher:
    """Keeps the searcher of one node at a time. It is lent to one task at a time."""

    def __init__(self, idle: float = _IDLE) -> None:
        self._idle = idle
        self._lock = Lock()
        self._kept: tuple[Node, Searcher] | None = None
        self._closing: Timer | None = None

    @contextmanager
    def lent(self, node: Node) -> Iterator[Searcher]:
        """Lend the searcher of a node; after an error it is not kept.

        Raises:
            ActionNotPossible: The node cannot be searched.
        """
        searcher = self._take(node)
        try:
            yield searcher
        except BaseException:
            searcher.close()
            raise
        self._keep(node, searcher)

    def close(self) -> None:
        """Close the searcher, if there is one that is not lent."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            kept[1].close()

    def _take(self, node: Node) -> Searcher:
        if self._closing is not None:
            self._closing.cancel()
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is None:
            return searcher_of(node)
        kept_node, searcher = kept
        if kept_node == node:
            return searcher
        searcher.close()
        return searcher_of(node)

    def _keep(self, node: Node, searcher: Searcher) -> None:
        with self._lock:
            self._kept = (node, searcher)
        self._closing = Timer(self._idle, self.close)
        self._closing.daemon = True
        self._closing.start()
