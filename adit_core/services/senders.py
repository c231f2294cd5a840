"""Which archives may send to the receiver: the nodes that support C-MOVE."""

import time
from threading import Lock

from sqlmodel import col, select

from adit_core.db import DicomNode
from adit_core.db.engine import Database
from adit_core.db.nodes import NodeKind
from adit_core.errors import DatabaseUnavailable

_MAX_AGE = 10.0
"""Seconds after which the database is asked again."""


class KnownSenders:
    """Tells whether an AE title is that of an archive. May be called by several threads.

    While the database cannot be reached, what it said last is valid.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = Lock()
        self._titles: frozenset[str] = frozenset()
        self._asked_at = -_MAX_AGE

    def __call__(self, ae_title: str) -> bool:
        """Return whether `ae_title` may send."""
        with self._lock:
            if time.monotonic() - self._asked_at >= _MAX_AGE:
                try:
                    self._titles = self._ask()
                except DatabaseUnavailable:
                    pass
                else:
                    self._asked_at = time.monotonic()
            return ae_title in self._titles

    def _ask(self) -> frozenset[str]:
        moving = select(DicomNode.ae_title).where(
            DicomNode.kind == NodeKind.SERVER, col(DicomNode.supports_move)
        )
        with self._db.reading() as session:
            return frozenset(session.exec(moving))
