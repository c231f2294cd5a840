"""The spool: where received instances lie, safe on the disk, until a worker has taken them.

::

    <spool>/incoming/<token>.part           being received; removed when a receiver starts
    <spool>/studies/<study>/<SOP Instance UID>~<token>.dcm
    <spool>/quarantine/<study>/…            nobody claimed them in time
    <spool>/spare/<token>                   were taken, and are to be written over

A file is written under a temporary name, synced and then renamed, all of it before its sender is told
of success. What a file holds is told by its content, names are for people. The folder of a study is
synced when it is made, not for each file: a power failure may cost the names of the last files, and
then also the transfers that waited for them, which are tried again.

Files that were taken are written over rather than deleted, as long as many come: to sync a file that
has its place on the disk already takes a fifth of the time. They are kept for a minute, and no longer.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path
from typing import BinaryIO, Self

from adit_core.dicom import layout
from adit_core.dicom.command import is_sendable_uid
from adit_core.dicom.durable import NO_SPACE, TEMPORARY_SUFFIX, sync_folder
from adit_core.dicom.part10 import (
    FileLayout,
    encode_file_header,
    read_file_layout,
    read_study_instance_uid,
)
from adit_core.dicom.ports import InstanceHeader
from adit_core.dicom.spare_files import SpareFiles
from adit_core.errors import ActionNotPossible, DestinationFull, InputProblem, InvalidInput, OperationFailed

_LENGTH_OF_HEAD = 64 << 10


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much may lie in a spool. Ages are in seconds."""

    min_free_bytes: int = 2 << 30
    """Of the disk; below, nothing is accepted."""
    claim_age: float = 60 * 60
    """What nobody has claimed for so long is moved to the quarantine."""
    quarantine_age: float = 7 * 24 * 60 * 60
    """What lies there for longer is deleted."""
    quarantine_files: int = 10_000
    """The most that lies there; the oldest go first."""


@dataclass(frozen=True, slots=True)
class SpooledInstance:
    """An instance that lies in the spool. ``size`` counts the bytes of its encoded data set."""

    path: Path
    study_instance_uid: str
    header: InstanceHeader
    data_set_offset: int
    size: int
    arrived_at: float
    """In seconds of the system's clock."""


class Spool:
    """A spool in a folder of its own, which is made if need be.

    Use it as a context manager: it belongs to one process at a time. Methods may be called by several
    threads.
    """

    def __init__(self, folder: Path, limits: SpoolLimits = SpoolLimits()) -> None:
        self.limits = limits
        self._folder = folder
        self._incoming = folder / "incoming"
        self._studies = folder / "studies"
        self._quarantine = folder / "quarantine"
        self._spare = SpareFiles(folder / "spare")
        self._lock: int | None = None

    def __enter__(self) -> Self:
        for folder in (self._incoming, self._studies, self._quarantine):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise ActionNotPossible(f"Another receiver uses the spool {self._folder}.") from error
        self._lock = lock
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        self._spare.clear()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._spare.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def has_room(self) -> bool:
        """Tell whether the disk has more free than its limit."""
        return shutil.disk_usage(self._folder).free >= self.limits.min_free_bytes

    @contextmanager
    def receive(self, header: InstanceHeader) -> Iterator["Writing"]:
        """Yield what takes in one instance; unless it is kept in the block, nothing of it stays.

        Raises:
            DestinationFull: The disk is low, or full by now.
            OperationFailed: The spool cannot be written to.
        """
        if not self.has_room():
            raise DestinationFull(f"The spool {self._folder} has too little space left.")
        path = self._incoming / f"{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        try:
            self._spare.take(path)
            with path.open("r+b", buffering=0) as file:
                yield Writing(file, path, header, studies=self._studies, spare=self._spare)
        except OSError as error:
            raise self._translate(error) from error
        finally:
            with suppress(OSError):
                path.unlink()

    def scan(self) -> Iterator[SpooledInstance]:
        """Yield what lies in the spool; what is no DICOM, and so not ours, stays unmentioned."""
        for path in sorted(self._studies.glob(f"*/*{layout.SUFFIX}")):
            with suppress(InvalidInput), path.open("rb") as file:
                yield _inspect(path, file)

    def remove(self, instance: SpooledInstance) -> None:
        """Delete an instance, and the folder of its study if nothing else is in it."""
        self._spare.add(instance.path)
        _remove_if_empty(instance.path.parent)

    def set_aside(self, instance: SpooledInstance) -> None:
        """Move an instance to the quarantine."""
        folder = self._quarantine / instance.path.parent.name
        folder.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            instance.path.rename(folder / instance.path.name)
            os.utime(folder / instance.path.name)  # its age there counts from now
        _remove_if_empty(instance.path.parent)

    def quarantined(self) -> list[Path]:
        """Return the files in the quarantine, the oldest first."""
        ages: dict[Path, float] = {}
        for path in self._quarantine.glob(f"*/*{layout.SUFFIX}"):
            with suppress(FileNotFoundError):
                ages[path] = path.stat().st_mtime
        return sorted(ages, key=ages.__getitem__)

    def drop_spare_files(self) -> None:
        """Delete the files that have waited to be written over for too long."""
        self._spare.drop_old()

    def prune_quarantine(self) -> int:
        """Delete what is over the limits of the quarantine, and return how many files that were."""
        files = self.quarantined()
        surplus = max(0, len(files) - self.limits.quarantine_files)
        oldest = time.time() - self.limits.quarantine_age
        pruned = files[:surplus] + [path for path in files[surplus:] if path.stat().st_mtime < oldest]
        for path in pruned:
            path.unlink()
            _remove_if_empty(path.parent)
        return len(pruned)

    def _translate(self, error: OSError) -> DestinationFull | OperationFailed:
        if error.errno in NO_SPACE:
            return DestinationFull(f"The spool {self._folder} has no space left.")
        return OperationFailed(f"The spool {self._folder} cannot be written to: {error.strerror}.")


class Writing:
    """An instance that is being received."""

    def __init__(
        self, file: FileIO, path: Path, header: InstanceHeader, *, studies: Path, spare: SpareFiles
    ) -> None:
        self._file = file
        self._path = path
        self._header = header
        self._studies = studies
        self._spare = spare
        self._size = 0
        self._head = bytearray()
        """The beginning of the file, where the Study Instance UID is."""
        self.write(encode_file_header(header))
        self._data_set_offset = self._size

    def write(self, fragment: bytes | memoryview) -> None:
        """Take the next bytes of the encoded data set."""
        if (room := _LENGTH_OF_HEAD - len(self._head)) > 0:
            self._head += fragment[:room]
        self._size += len(fragment)
        left = memoryview(fragment)
        while left:
            left = left[self._file.write(left) :]

    def keep(self) -> SpooledInstance:
        """Make the instance durable, now that it has come completely.

        Raises:
            InvalidInput: It does not say to which study it belongs.
        """
        study = self._study_instance_uid()
        if not is_sendable_uid(study):
            raise InvalidInput(InputProblem("the instance has no valid Study Instance UID"))
        self._file.truncate(self._size)  # what was written over may have been longer
        self._spare.sync(self._file.fileno())
        folder = self._studies / layout.safe_name(study)
        token = self._path.name.removesuffix(TEMPORARY_SUFFIX)
        path = folder / f"{layout.safe_name(self._header.sop_instance_uid)}~{token}{layout.SUFFIX}"
        self._rename(self._path, path)
        size = self._size - self._data_set_offset
        return SpooledInstance(path, study, self._header, self._data_set_offset, size, time.time())

    def _study_instance_uid(self) -> str:
        """Read it from the beginning, and only if it is not there from the whole file."""
        file_layout = FileLayout(self._header, self._data_set_offset)
        with suppress(InvalidInput):
            if study := read_study_instance_uid(BytesIO(self._head), file_layout):
                return study
        with self._path.open("rb") as file:
            return read_study_instance_uid(file, file_layout)

    def _rename(self, temporary: Path, path: Path) -> None:
        try:
            temporary.rename(path)
        except FileNotFoundError:  # it is the first of its study, or the folder was empty, and so removed
            with suppress(FileExistsError):
                path.parent.mkdir(mode=0o700)
                sync_folder(self._studies)
            temporary.rename(path)


def _inspect(path: Path, file: BinaryIO) -> SpooledInstance:
    file_layout = read_file_layout(file)
    study = read_study_instance_uid(file, file_layout)
    status = path.stat()
    size = status.st_size - file_layout.data_set_offset
    return SpooledInstance(
        path, study, file_layout.header, file_layout.data_set_offset, size, status.st_mtime
    )


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
