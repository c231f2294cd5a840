"""Files that are not needed any more and are written over, since new ones cost the disk more.

To sync a new file means to find a place for it and to write down where; with one that has a place
already only the data is written.

Two things must not happen. A file that somebody still reads must not be written over: readers hold a
shared lock (:func:`open_for_reading`). And after a power failure nothing may be found under the old name
that has been written over: so a file is spare only after a later file was synced, since file systems
with a journal write down in order, and the new name with it.
"""

import fcntl
import os
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

_MOST_FILES = 64
_MOST_BYTES = 256 << 20
_LONGEST = 60.0
"""Seconds that a file is kept. It still holds what was in it."""


class SpareFiles:
    """The spare files in a folder of its own. Methods may be called by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._files: deque[tuple[Path, int, float]] = deque()
        """With their sizes, and since when they are here, the oldest first."""
        self._bytes = 0
        self._synced = 0.0
        """When the last sync began; what was added before that has its new name on the disk."""

    def add(self, path: Path) -> None:
        """Take over a file that is not needed any more, or delete it if there are enough.

        It may be missing.
        """
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            with self._lock:
                is_welcome = len(self._files) < _MOST_FILES and self._bytes + size <= _MOST_BYTES
                if is_welcome:
                    spare = self._folder / path.name
                    path.rename(spare)
                    self._files.append((spare, size, time.monotonic()))
                    self._bytes += size
            if not is_welcome:
                path.unlink()

    def take(self, path: Path) -> None:
        """Make an empty file at `path`, or give that name to a spare one, whose content stays for now."""
        while (spare := self._next()) is not None:
            if _is_free(spare):
                spare.rename(path)
                return
            spare.unlink()
        path.touch(exist_ok=False)

    def sync(self, descriptor: int) -> None:
        """Sync an open file that has changed, and learn that what was added before has its new name."""
        began = time.monotonic()
        os.fsync(descriptor)
        with self._lock:
            self._synced = max(self._synced, began)

    def drop_old(self) -> None:
        """Delete what has been here for too long."""
        oldest = time.monotonic() - _LONGEST
        while True:
            with self._lock:
                if not self._files or self._files[0][2] >= oldest:
                    return
                spare = self._remove(self._files.popleft())
            spare.unlink()

    def clear(self) -> None:
        """Delete all that is in the folder, which is made if need be."""
        with self._lock:
            self._files.clear()
            self._bytes = 0
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in self._folder.iterdir():
            path.unlink()

    def _next(self) -> Path | None:
        with self._lock:
            if not self._files or self._files[0][2] >= self._synced:
                return None
            return self._remove(self._files.popleft())

    def _remove(self, entry: tuple[Path, int, float]) -> Path:
        spare, size, _ = entry
        self._bytes -= size
        return spare


def open_for_reading(path: Path) -> BinaryIO:
    """Open a file, unbuffered; it is not written over until it is closed."""
    file = path.open("rb", buffering=0)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
