"""Studies in a folder: one Part 10 file per instance, complete on the disk or not there at all."""

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from adit_core.dicom import layout
from adit_core.dicom.durable import (
    create_temporary,
    discard_temporary,
    make_folders,
    remove_leftovers,
    sync_folder,
    translate,
    translated_errors,
)
from adit_core.dicom.node import FolderNode
from adit_core.dicom.part10 import encode_file_header, read_file_layout
from adit_core.dicom.placement import Placement
from adit_core.dicom.ports import Delivery, Destination, ExpectedStudy, IncomingInstance
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import AditError, InvalidInput

_SYNCING_THREADS = 4
_FILES_AT_ONCE = 32
_BYTES_AT_ONCE = 64 << 20

_NAME_TAKEN = "its file name is taken by something else"


class FolderDestination(Destination):
    """Writes instances to files that are named as the node says, below its folder.

    The folder itself must exist: it may be a mount point, and what is written beneath one that is not
    mounted is lost.
    """

    def __init__(self, node: FolderNode) -> None:
        self._node = node
        self._placement = Placement(node.names)
        self._prepared: set[Path] = set()
        self._changed: set[Path] = set()

    def close(self) -> None:
        """Do nothing: all files are closed when a delivery ends."""

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Learn what folders and files are named after."""
        self._placement.expect(expected)
        return {}

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str]:
        """Return the SOP Instance UIDs whose files are there."""
        with self._translated_errors(study.in_words()):
            self._node.path.stat()
            folders = [self._node.path / self._placement.series_folder(one) for one in series]
            return frozenset(uid for folder in folders for uid in self._uids_in(folder))

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
        study = series.study.in_words()
        with self._translated_errors(study):
            folder = self._prepare(series)
            path = folder / self._placement.file_name(series, uid)
            written = _WrittenFile(uid, study, path, create_temporary(folder))
            try:
                written.fill(encode_file_header(instance.header), instance.fragments())
            except BaseException:
                written.discard()
                raise
        written.synced = syncing.submit(os.fsync, written.file.fileno())
        return written

    def _publish(self, written: deque["_WrittenFile"]) -> Iterator[Delivery]:
        """Give files their names and yield them; the first that cannot be synced or named is raised."""
        deliveries: list[Delivery] = []
        failure: AditError | None = None
        while written and failure is None:
            file = written.popleft()
            try:
                deliveries.append(self._publish_file(file))
            except OSError as error:
                failure = translate(error, self._place(file.study))
                file.discard()
        self._sync_folders()
        yield from deliveries
        if failure is not None:
            raise failure

    def _publish_file(self, file: "_WrittenFile") -> Delivery:
        if self._is_taken(file):
            file.discard()
            return Delivery(file.sop_instance_uid, failure=_NAME_TAKEN)
        file.publish()
        self._changed.add(file.path.parent)
        return Delivery(file.sop_instance_uid)

    def _is_taken(self, file: "_WrittenFile") -> bool:
        """Tell whether something else has the name of a file; a UID is nobody else's name."""
        if self._is_named_by_uid(file.path.name) or not file.path.exists():
            return False
        return file.sop_instance_uid not in _uid_inside(file.path)

    def _is_named_by_uid(self, name: str) -> bool:
        return self._placement.names.names_instances_by_uid and layout.is_identifier(name)

    def _uids_in(self, folder: Path) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.endswith(layout.SUFFIX):
                    continue
                if self._is_named_by_uid(entry.name):
                    yield entry.name.removesuffix(layout.SUFFIX)
                else:
                    yield from _uid_inside(Path(entry.path))

    def _prepare(self, series: SeriesReference) -> Path:
        """Return the folder of a series, made and rid of what died in it."""
        folder = self._node.path / self._placement.series_folder(series)
        if folder not in self._prepared:
            self._node.path.stat()
            self._changed.update(make_folders(folder, self._node.path))
            remove_leftovers(folder)
            self._prepared.add(folder)
        return folder

    def _sync_folders(self) -> None:
        """Make the names in all folders that were changed durable."""
        with self._translated_errors("a name"):
            while self._changed:
                sync_folder(self._changed.pop())

    def _translated_errors(self, what: str) -> contextlib.AbstractContextManager[None]:
        return translated_errors(self._place(what))

    def _place(self, what: str) -> str:
        return f"{self._node.name}: {what} below {self._node.path}"


@dataclass(slots=True)
class _WrittenFile:
    """A file under its temporary name, locked as long as it is open."""

    sop_instance_uid: str
    study: str
    path: Path
    file: BinaryIO
    size: int = 0
    synced: Future[None] | None = None

    def fill(self, header: bytes, fragments: Iterable[bytes | memoryview]) -> None:
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
        discard_temporary(self.file)


def _is_enough(written: deque[_WrittenFile]) -> bool:
    return len(written) >= _FILES_AT_ONCE or sum(file.size for file in written) >= _BYTES_AT_ONCE


def _uid_inside(path: Path) -> Iterator[str]:
    """Yield the UID that a file itself tells; nothing if it is no file of ours."""
    with contextlib.suppress(InvalidInput), path.open("rb") as file:
        yield read_file_layout(file).header.sop_instance_uid
