"""Studies in encrypted archive files, each of which is complete under its name or not there.

An archive is never changed where it is: what is added is added to a copy with a temporary name, which
is read back, synced and then renamed. So the archive under the name is always the old one or the new
one, whatever is killed when. See docs/adr/0005-archives-are-replaced.md.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import chain, count, groupby
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from adit_core.dicom import layout
from adit_core.dicom.archive_file import ArchiveWriter, adding, reading
from adit_core.dicom.durable import (
    create_temporary,
    discard_temporary,
    remove_leftovers,
    sync_folder,
    translated_errors,
)
from adit_core.dicom.node import ArchiveNode
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.placement import Placement
from adit_core.dicom.ports import Delivery, Destination, ExpectedStudy, IncomingInstance
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.errors import AditError, OperationFailed, PeerBusy

_MOST_IN_MEMORY = 8 << 20
_COPIED_AT_ONCE = 1 << 20
_LOCK_INTERVAL = 0.1
_OTHER_VERSION = "the archive holds something else under its name"


class ArchiveDestination(Destination):
    """Writes instances to encrypted archive files; implements :class:`~adit_core.dicom.ports.Destination`.

    The folder of the archives must exist. An instance is yielded when the archive that it is in has
    been published, which is once the last one of its archive has come.
    """

    def __init__(self, node: ArchiveNode) -> None:
        self._node = node
        self._placement = Placement(node.names)

    def close(self) -> None:
        """Do nothing: all files are closed when a delivery ends."""

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Learn what archives, and folders and files in them, are named after."""
        self._placement.expect(expected)
        return {}

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str]:
        """Return the SOP Instance UIDs that the archive of the study has in `series`.

        Raises:
            OperationFailed: The archive cannot be read with the node's password.
        """
        with self._translated_errors(study):
            self._node.path.stat()
            names = [PurePosixPath(name) for name in self._volumes(self._name_of(study)).entries]
        return frozenset(chain.from_iterable(self._uids(one, names) for one in series))

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Add instances to their archives, and yield those of an archive when it is published.

        Raises:
            DestinationFull: No space is left. The archive is what it was.
            OperationFailed: The folder is not there, or may not be written to, or an archive cannot be
                read.
            PeerBusy: Another process adds to the same archive, for longer than the node says.
            ConnectionFailed: The folder lies on a network share that does not answer.
        """
        for study, group in groupby(instances, key=lambda instance: instance.reference.series.study):
            yield from self._add(study, group)

    def _add(self, study: StudyReference, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        name = self._name_of(study)
        with self._translated_errors(study):
            remove_leftovers(self._node.path)
            with self._locked(name):
                deliveries, failure = self._add_to(self._volumes(name), instances)
        yield from deliveries
        if failure is not None:
            raise failure

    def _add_to(
        self, volumes: "_Volumes", instances: Iterable[IncomingInstance]
    ) -> tuple[list[Delivery], AditError | None]:
        """Publish an archive with all instances that come whole, and return what ended them early."""
        file = create_temporary(self._node.path)
        try:
            volumes.copy_to(file)
            place = self._place(volumes)
            failure = None
            with adding(self._node.format, file, self._node.password, place) as writer:
                addition = _Addition(volumes, writer)
                try:
                    for instance in instances:
                        addition.add(instance, self._entry_of(instance))
                except AditError as error:
                    failure = error
            if addition.added:
                self._check(file, addition)
                _publish(file, volumes.target)
            return addition.deliveries, failure
        finally:
            discard_temporary(file)

    def _check(self, file: BinaryIO, addition: "_Addition") -> None:
        """Read back what was added, and the names of everything."""
        file.flush()
        place = self._place(addition.volumes)
        with reading(self._node.format, file, self._node.password, place) as archive:
            sizes = dict(archive.sizes())
            sums = archive.checksums(addition.added)
        expected = addition.volumes.in_target() | {name: one.size for name, one in addition.added.items()}
        if sizes != expected or sums != {name: one.checksum for name, one in addition.added.items()}:
            raise OperationFailed(f"{place} was not what was written to it when it was read back.")

    def _volumes(self, name: str) -> "_Volumes":
        """Read what is in the archive of that name, which may consist of several files."""
        volumes = _Volumes(self._node, name)
        for path in volumes.paths:
            with (
                path.open("rb") as file,
                reading(self._node.format, file, self._node.password, self._place(volumes)) as archive,
            ):
                volumes.entries |= {entry: (path, size) for entry, size in archive.sizes().items()}
        return volumes

    def _uids(self, series: SeriesReference, names: Iterable[PurePosixPath]) -> Iterator[str]:
        folder = self._placement.series_folder(series)
        expected = {
            self._placement.file_name(series, uid): uid for uid in self._placement.expected_in(series)
        }
        for name in names:
            if name.parent != folder:
                continue
            if name.name in expected:
                yield expected[name.name]
            elif self._node.names.names_instances_by_uid and layout.is_identifier(name.name):
                yield name.name.removesuffix(layout.SUFFIX)

    def _name_of(self, study: StudyReference) -> str:
        return layout.archive_name(self._node.archive, self._placement.study(study))

    def _entry_of(self, instance: IncomingInstance) -> str:
        series = instance.reference.series
        file_name = self._placement.file_name(series, instance.header.sop_instance_uid)
        return str(self._placement.series_folder(series) / file_name)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        """Be the only one who adds to an archive."""
        deadline = time.monotonic() + self._node.lock_timeout
        path = self._node.path / f".{name}.lock"
        while (file := _lock(path)) is None:
            if time.monotonic() > deadline:
                raise PeerBusy(
                    f"{self._node.name}: another task has been adding to the same archive for too long."
                )
            time.sleep(_LOCK_INTERVAL)
        with file:
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def _place(self, volumes: "_Volumes") -> str:
        return f"{self._node.name}: archive file {volumes.number} of its name below {self._node.path}"

    def _translated_errors(self, study: StudyReference) -> contextlib.AbstractContextManager[None]:
        return translated_errors(
            f"{self._node.name}: the archive of {study.in_words()} below {self._node.path}"
        )


@dataclass(slots=True)
class _Volumes:
    """The files of one archive: ``name.7z``, ``name.2.7z`` and so on, each an archive of its own."""

    node: ArchiveNode
    name: str
    paths: list[Path] = field(default_factory=list)
    entries: dict[str, tuple[Path, int]] = field(default_factory=dict)
    """In which file each entry is, and its size."""

    def __post_init__(self) -> None:
        for number in count(1):
            path = self._path(number)
            if not path.exists():
                break
            self.paths.append(path)

    @property
    def number(self) -> int:
        """The number of the file that is added to."""
        is_full = bool(self.paths) and self.paths[-1].stat().st_size >= self.node.volume_size
        return max(1, len(self.paths) + is_full)

    @property
    def target(self) -> Path:
        """The file that is added to; it may not exist yet."""
        return self._path(self.number)

    def in_target(self) -> dict[str, int]:
        """Return the sizes of the entries that are in the target by now."""
        return {name: size for name, (path, size) in self.entries.items() if path == self.target}

    def copy_to(self, file: BinaryIO) -> None:
        """Copy the target to `file`, if it exists."""
        with contextlib.suppress(FileNotFoundError), self.target.open("rb") as old:
            shutil.copyfileobj(old, file, _COPIED_AT_ONCE)

    def checksum(self, entry: str) -> int:
        """Return the CRC-32 of an entry."""
        path, _ = self.entries[entry]
        place = f"{self.node.name}: an archive file below {self.node.path}"
        with path.open("rb") as file, reading(self.node.format, file, self.node.password, place) as archive:
            return archive.checksums([entry])[entry]

    def _path(self, number: int) -> Path:
        suffix = self.node.format.value
        return self.node.path / (f"{self.name}.{suffix}" if number == 1 else f"{self.name}.{number}.{suffix}")


@dataclass(frozen=True, slots=True)
class _Content:
    """What an entry holds."""

    size: int
    checksum: int


@dataclass(slots=True)
class _Addition:
    """What is being added to an archive."""

    volumes: _Volumes
    writer: ArchiveWriter
    added: dict[str, _Content] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)

    def add(self, instance: IncomingInstance, entry: str) -> None:
        """Add an instance unless the same is there; what has its name already is not replaced."""
        uid = instance.header.sop_instance_uid
        with _spooled(instance) as (file, content):
            if entry in self.added or entry in self.volumes.entries:
                failure = "" if self._holds(entry, content) else _OTHER_VERSION
                self.deliveries.append(Delivery(uid, failure=failure))
                return
            self.writer.add(entry, file)
        self.added[entry] = content
        self.deliveries.append(Delivery(uid))

    def _holds(self, entry: str, content: _Content) -> bool:
        if entry in self.added:
            return self.added[entry] == content
        return content == _Content(self.volumes.entries[entry][1], self.volumes.checksum(entry))


@contextlib.contextmanager
def _spooled(instance: IncomingInstance) -> Iterator[tuple[BinaryIO, _Content]]:
    """Yield an instance as a file, once it has come whole: in an archive nothing can be taken back.

    Large ones are kept in a file without a name, which is gone when this process is.
    """
    size = checksum = 0
    file: BinaryIO = BytesIO()
    try:
        for fragment in chain((encode_file_header(instance.header),), instance.fragments()):
            size += len(fragment)
            checksum = zlib.crc32(fragment, checksum)
            if size > _MOST_IN_MEMORY and isinstance(file, BytesIO):
                file = _moved_to_disk(file)
            file.write(fragment)
        file.seek(0)
        yield file, _Content(size, checksum)
    finally:
        file.close()


def _moved_to_disk(memory: BytesIO) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with memory.getbuffer() as content:
        file.write(content)
    memory.close()
    return file  # pyright: ignore[reportReturnType] - a BufferedRandom


def _publish(file: BinaryIO, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).replace(target)
    sync_folder(target.parent)


def _lock(path: Path) -> BinaryIO | None:
    """Return a file that is locked as long as it is open; None if another process has it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if os.fstat(file.fileno()).st_nlink:
        return file
    file.close()  # whoever had it before has just removed it
    return None
