"""Folders that are gone when they are not needed any more, also if the process that made them was killed.

A folder is locked as long as it is used. The lock ends with the process, and what is not locked is a
leftover, which the next one who makes such a folder removes.

They are where others have temporary files, too. What belongs below a destination, which may be a share whose
folders cannot be locked, is made by :func:`adit_core.dicom.workspace.working_folder`.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "adit-temporary-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that only we may enter, where temporary files belong, and remove it in the end."""
    remove_leftover_folders()
    folder, lock = _make()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_leftover_folders() -> None:
    """Remove the folders that processes made with :func:`temporary_folder` and had no time to remove."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is in use, or somebody else's, or not a folder, or was removed meanwhile
            lock = _open(folder)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_uid == os.geteuid():
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _make() -> tuple[Path, int]:
    """Make a folder, and return it with the descriptor that keeps it locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with suppress(FileNotFoundError):  # another process took it for a leftover before it was locked
            lock = _open(folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock).st_nlink:
                return folder, lock
            os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
