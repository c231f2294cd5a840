"""Studies in a folder: one Part 10 file per instance, complete on the disk or not there at all.

A file is written under a temporary name next to its place, synced, and then renamed, so that its name
alone says that it is complete. Temporary files are locked while they are written: the lock ends with
the process, and what is not locked is a leftover that the next delivery into that folder removes.
"""

import contextlib
import errno
import fcntl
import os
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from adit_core.dicom import layout
from adit_core.dicom.node import FolderNode
from adit_core.dicom.part10 import encode_file_header, read_file_layout
from adit_core.dicom.ports import Delivery, IncomingInstance
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import AditError, ConnectionFailed, DestinationFull, InvalidInput, OperationFailed

_TEMPORARY_SUFFIX = ".part"
_SYNCING_THREADS = 4
_FILES_AT_ONCE = 32
_BYTES_AT_ONCE = 64 << 20
_BUFFER = 256 << 10

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHARE_LOST = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN}
)


class FolderDestination:
    """Writes instances to ``<PatientID>/<study>/<series>/<SOP Instance UID>.dcm`` below a folder.

    The folder itself must exist: it may be a mount point, and what is written beneath one that is not
    mounted is lost.
    """

    def __init__(self, node: FolderNode) -> None:
        self._node = node
        self._prepared: set[Path] = set()
        self._changed: set[Path] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: all files are closed when a delivery ends."""

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str]:
        """Return the SOP Instance UIDs whose files are there."""
        with self._translated_errors(_in_words(study)):
            self._node.path.stat()
            folders = [self._node.path / layout.series_folder(one) for one in series]
            return frozenset(uid for folder in folders for uid in _uids_in(folder))

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Write each instance and yield it once it is safe on the disk, several at a time.

        Raises:
            DestinationFull: No space is left.
            OperationFailed: The folder is not there, or may not be written to.
            ConnectionFailed: The folder lies on a network share that does not answer.
        """
        written: deque[_WrittenFile] = deque()
        with ThreadPoolExecutor(_SYNCING_THREADS) as syncing:
            try:
                for instance in instances:
                    written.append(self._write(instance, syncing))
                    if _is_enough(written):
                        yield from self._publish(written)
            except AditError:
                yield from self._publish(written)
                raise
            else:
                yield from self._publish(written)
            finally:
                for leftover in written:
                    leftover.discard()

    def _write(self, instance: IncomingInstance, syncing: ThreadPoolExecutor) -> "_WrittenFile":
        """Write an instance under a temporary name, and begin to sync it."""
        series, uid = instance.reference.series, instance.header.sop_instance_uid
        study = _in_words(series.study)
        with self._translated_errors(study):
            folder = self._prepare(series)
            written = _WrittenFile(uid, study, folder / layout.file_name(uid), _create_temporary(folder))
            try:
                written.fill(encode_file_header(instance.header), instance.fragments())
            except BaseException:
                written.discard()
                raise
        written.synced = syncing.submit(os.fsync, written.file.fileno())
        return written

    def _publish(self, written: deque["_WrittenFile"]) -> Iterator[Delivery]:
        """Give files their names and yield them; the first that cannot be synced or named is raised."""
        published: list[str] = []
        failure: AditError | None = None
        while written and failure is None:
            file = written.popleft()
            try:
                file.publish()
            except OSError as error:
                failure = self._translate(error, file.study)
                file.discard()
            else:
                published.append(file.sop_instance_uid)
                self._changed.add(file.path.parent)
        self._sync_folders()
        yield from map(Delivery, published)
        if failure is not None:
            raise failure

    def _prepare(self, series: SeriesReference) -> Path:
        """Return the folder of a series, made and rid of what died in it."""
        folder = self._node.path / layout.series_folder(series)
        if folder not in self._prepared:
            self._node.path.stat()
            self._make(folder)
            _remove_leftovers(folder)
            self._prepared.add(folder)
        return folder

    def _make(self, folder: Path) -> None:
        if folder == self._node.path:
            return
        self._make(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            self._changed.add(folder.parent)

    def _sync_folders(self) -> None:
        """Make the names in all folders that were changed durable."""
        with self._translated_errors("a name"):
            while self._changed:
                folder = os.open(self._changed.pop(), os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    @contextlib.contextmanager
    def _translated_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # Without its cause, since that names the file, and with it the patient.
            raise self._translate(error, what) from None

    def _translate(self, error: OSError, what: str) -> AditError:
        place = f"{self._node.name}: {what} below {self._node.path}"
        if error.errno in _NO_SPACE:
            return DestinationFull(f"{place} could not be written: no space is left.")
        if error.errno in _SHARE_LOST:
            return ConnectionFailed(f"{place} cannot be reached: {error.strerror}.")
        return OperationFailed(f"{place} could not be read or written: {error.strerror}.")


@dataclass(slots=True)
class _WrittenFile:
    """A file under its temporary name, locked as long as it is open."""

    sop_instance_uid: str
    study: str
    path: Path
    file: BinaryIO
    size: int = 0
    synced: Future[None] | None = None

    def fill(self, header: bytes, fragments: Iterable[bytes]) -> None:
        self.file.write(header)
        for fragment in fragments:
            self.file.write(fragment)
        self.file.flush()
        self.size = self.file.tell()

    def publish(self) -> None:
        """Wait until the file is on the disk, then give it its name."""
        assert self.synced is not None
        self.synced.result()
        Path(self.file.name).replace(self.path)
        self.file.close()

    def discard(self) -> None:
        """Remove the file without raising."""
        if self.synced is not None:
            wait([self.synced])  # its descriptor must not be closed and reused under the sync
        with contextlib.suppress(OSError):
            Path(self.file.name).unlink()
        with contextlib.suppress(OSError):
            self.file.close()


def _in_words(study: StudyReference) -> str:
    return f"study {study.study_instance_uid}"


def _is_enough(written: deque[_WrittenFile]) -> bool:
    return len(written) >= _FILES_AT_ONCE or sum(file.size for file in written) >= _BYTES_AT_ONCE


def _create_temporary(folder: Path) -> BinaryIO:
    """Create and lock a file that no one else has."""
    while True:
        path = folder / f".{secrets.token_hex(8)}{_TEMPORARY_SUFFIX}"
        file = path.open("xb", buffering=_BUFFER)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process took it for a leftover before it was locked


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(f".*{_TEMPORARY_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _uids_in(folder: Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name.removesuffix(layout.SUFFIX)
            if name == entry.name:
                continue
            if layout.is_identifier(name):
                yield name
            else:
                yield from _uid_inside(Path(entry.path))


def _uid_inside(path: Path) -> Iterator[str]:
    """Yield the UID that a file itself tells; nothing if it is no file of ours."""
    with contextlib.suppress(InvalidInput), path.open("rb") as file:
        yield read_file_layout(file).header.sop_instance_uid
