"""Files that are complete on the disk under their name, or not there at all.

A file is written under a temporary name next to its place, synced, and then renamed. It is locked as
long as it is open: the lock ends with the process, and what is not locked is a leftover that the next
one who writes there removes.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from adit_core.errors import AditError, ConnectionFailed, DestinationFull, OperationFailed

TEMPORARY_SUFFIX = ".part"

_BUFFER = 256 << 10
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHARE_LOST = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN}
)


def create_temporary(folder: Path) -> BinaryIO:
    """Create and lock a file that no one else has, open for writing and reading."""
    while True:
        path = folder / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        file = path.open("x+b", buffering=_BUFFER)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process took it for a leftover before it was locked


def discard_temporary(file: BinaryIO) -> None:
    """Close and remove a file without raising."""
    with contextlib.suppress(OSError):
        Path(file.name).unlink()
    with contextlib.suppress(OSError):
        file.close()


def remove_leftovers(folder: Path) -> None:
    """Remove what died in a folder before it was complete."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def make_folders(folder: Path, root: Path) -> list[Path]:
    """Make `folder` and those above it up to `root`, and return in which of them a name is new."""
    if folder == root:
        return []
    changed = make_folders(folder.parent, root)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        changed.append(folder.parent)
    return changed


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def translated_errors(place: str) -> Iterator[None]:
    """Turn errors of the operating system into ours, which tell `place` and not the file."""
    try:
        yield
    except OSError as error:
        raise translate(error, place) from None


def translate(error: OSError, place: str) -> AditError:
    """Return what went wrong at `place`; raise it ``from None``, since its cause names the file."""
    if error.errno in NO_SPACE:
        return DestinationFull(f"{place} could not be written: no space is left.")
    if error.errno in _SHARE_LOST:
        return ConnectionFailed(f"{place} cannot be reached: {error.strerror}.")
    return OperationFailed(f"{place} could not be read or written: {error.strerror}.")
