"""Finding out whether a folder can be read and written on this machine, by trying it."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class FolderAnswers:
    """What was found out about a folder. An empty failure means that there was none."""

    host: str
    """The machine that it was tried on; on others, the same path may be something else."""
    reading: str = ""
    """Why it cannot be read."""
    writing: str = ""
    """Why it cannot be written to."""
    free_bytes: int | None = None
    """Of its file system, as far as we may use it; None if that is not known."""


def probe_folder(path: Path) -> FolderAnswers:
    """List a folder and write a file to it that never gets a name, or is gone at once; never raises.

    What permissions say is not asked for: they say nothing of full disks, of quotas, and of shares that
    are mounted read-only.
    """
    return FolderAnswers(
        host=os.uname().nodename,
        reading=_failure_of_reading(path),
        writing=_failure_of_writing(path),
        free_bytes=_free_bytes(path),
    )


def _failure_of_reading(path: Path) -> str:
    try:
        with os.scandir(path) as entries:
            next(entries, None)
    except OSError as error:
        return _in_words(error)
    return ""


def _failure_of_writing(path: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(bytes(1))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return _in_words(error)
    return ""


def _free_bytes(path: Path) -> int | None:
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def _in_words(error: OSError) -> str:
    return error.strerror or type(error).__name__
