"""Which archives may send to the receiver: the nodes that support C-MOVE."""

import math
import time
from threading import Lock

from sqlmodel import col, select

from adit_core.db import DicomNode
from adit_core.db.engine import Database
from adit_core.db.nodes import NodeKind
from adit_core.errors import DatabaseUnavailable

_MAX_AGE = 10.0
"""Seconds after which the database is asked again."""
_RETRY_DELAY = 1.0
"""Seconds after which a database is asked again that could not be reached, or did not know somebody."""


class KnownSenders:
    """Tells whether an AE title is that of an archive. May be called by several threads.

    While the database cannot be reached, what it said last is valid. It is asked about those whom it did
    not know, too: they may have been added since.
    """

    def __init__(self, db: Database, *, max_age: float = _MAX_AGE, retry_delay: float = _RETRY_DELAY) -> None:
        self._db = db
        self._max_age = max_age
        self._retry_delay = retry_delay
        self._lock = Lock()
        self._titles: frozenset[str] | None = None
        self._asked_at = -math.inf

    def __call__(self, ae_title: str) -> bool:
        """Return whether `ae_title` may send.

        Raises:
            DatabaseUnavailable: The database has never said anything yet, so nobody knows.
        """
        with self._lock:
            is_known = self._titles is not None and ae_title in self._titles
            if time.monotonic() >= self._asked_at + (self._max_age if is_known else self._retry_delay):
                self._titles = self._ask_or_remember()
            if self._titles is None:
                raise DatabaseUnavailable("Which archives may send is not known yet.")
            return ae_title in self._titles

    def _ask_or_remember(self) -> frozenset[str] | None:
        self._asked_at = time.monotonic()
        moving = select(DicomNode.ae_title).where(
            DicomNode.kind == NodeKind.SERVER,
            col(DicomNode.supports_move),
            col(DicomNode.retired_at).is_(None),
        )
        try:
            with self._db.reading() as session:
                return frozenset(session.exec(moving))
        except DatabaseUnavailable:
            return self._titles
