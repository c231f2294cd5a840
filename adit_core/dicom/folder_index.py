"""What DICOM files lie in folders, whatever they are called: an index that is made by reading headers.

The index is a temporary SQLite database without a name, which ends with the process: however many
files there are, a few megabytes of memory are used. It is kept up to date by looking at each file's
size and time of change, so that only what has changed is read again.

Which files stand for an instance:

==========================================  =====================================================
files with one SOP Instance UID             then
==========================================  =====================================================
one                                         it does
several with the same data set              the first by path does, the others are told as copies
several with different data sets            none does, since nobody knows which is right
whole and damaged ones                      as if the damaged ones were not there
damaged ones only                           none does
==========================================  =====================================================
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO

from pydicom import dcmread

from adit_core.dicom.completeness import is_whole
from adit_core.dicom.durable import TEMPORARY_SUFFIX
from adit_core.dicom.identifier import DECODING_ERRORS, Answer, read_values
from adit_core.dicom.part10 import FileLayout, read_file_layout
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.workspace import WORKING_SUFFIX
from adit_core.errors import InvalidInput

STUDY_KEYWORDS = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
)
SERIES_KEYWORDS = ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "InstitutionName")
_KEYWORDS = (*STUDY_KEYWORDS, *SERIES_KEYWORDS, "InstanceNumber")
_FILE_COLUMNS = ("SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID", "DataSetOffset", "Problem")

_DAMAGED = "it is damaged: its data set is cut off, or its elements cannot be told apart"
_UNREADABLE = "it cannot be read"
_NO_UIDS = "it has no Study Instance UID or no Series Instance UID"
_COPY = "another file holds the same instance"
_CONFLICT = "another file holds the same SOP Instance UID with other content"

_STANDS = 0
_IS_COPY = 1
_IS_IN_CONFLICT = 2

_ROWS_AT_ONCE = 500
_FRAGMENT = 1 << 20


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that stands for no instance, and why. Its path may name a patient."""

    path: Path
    reason: str
    sop_instance_uid: str = ""


class FolderIndex:
    """Knows what the files in folders hold. It may be shared by threads.

    Symbolic links to folders are not followed, and DICOMDIR and what is ours for a while ignored.
    """

    def __init__(self, *roots: Path) -> None:
        """Index all files below `roots`, which may be files themselves."""
        self._roots = roots
        self._lock = RLock()
        self._scan = 0
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        columns = ", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in _KEYWORDS)
        self._database.executescript(
            f"""
            PRAGMA synchronous = OFF;
            CREATE TABLE file (
                Path BLOB PRIMARY KEY, Size INTEGER, Changed INTEGER, Scan INTEGER,
                SOPInstanceUID TEXT, SOPClassUID TEXT, TransferSyntaxUID TEXT, DataSetOffset INTEGER,
                Problem TEXT NOT NULL, Standing INTEGER NOT NULL DEFAULT {_STANDS}, Digest BLOB, {columns}
            ) WITHOUT ROWID;
            CREATE INDEX instance ON file (SOPInstanceUID);
            CREATE INDEX series ON file (StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID);
            """
        )

    def close(self) -> None:
        """Give up the index."""
        self._database.close()

    def refresh(self) -> None:
        """Look for files that are new, changed or gone since the last time.

        Raises:
            OSError: A folder cannot be read.
        """
        with self._lock:
            self._scan += 1
            self._database.execute("BEGIN")
            try:
                for root in self._roots:
                    self._look_at(root)
                self._database.execute("DELETE FROM file WHERE Scan < ?", (self._scan,))
                self._compare_namesakes()
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def rows(self, query: str, *values: str) -> Iterator[tuple[Any, ...]]:
        """Yield what an SQL query selects, in which ``found`` is a table of files that hold instances."""
        found = "found AS (SELECT * FROM file WHERE SeriesInstanceUID <> '' AND StudyInstanceUID <> '')"
        with self._lock:
            cursor = self._database.execute(f"WITH {found} {query}", values)
            rows = cursor.fetchmany(_ROWS_AT_ONCE)
        while rows:
            yield from rows
            with self._lock:
                rows = cursor.fetchmany(_ROWS_AT_ONCE)

    def file_of(self, sop_instance_uid: str) -> "IndexedFile | None":
        """Return the file that stands for an instance."""
        query = """
            SELECT Path, Size, Changed, SOPClassUID, TransferSyntaxUID, DataSetOffset
            FROM found WHERE SOPInstanceUID = ? AND Problem = '' AND Standing = 0
        """
        for path, size, changed, *rest in self.rows(query, sop_instance_uid):
            return IndexedFile(Path(os.fsdecode(path)), size, changed, sop_instance_uid, *rest)
        return None

    def knows(self, sop_instance_uid: str) -> bool:
        """Tell whether any file claims to hold an instance, even if none stands for it."""
        return any(self.rows("SELECT 1 FROM found WHERE SOPInstanceUID = ? LIMIT 1", sop_instance_uid))

    def problems(self) -> Iterator[FileProblem]:
        """Yield all files that stand for no instance, by path."""
        reasons = f"CASE Standing WHEN {_IS_COPY} THEN ? WHEN {_IS_IN_CONFLICT} THEN ? ELSE Problem END"
        query = f"""
            SELECT Path, {reasons}, SOPInstanceUID FROM file
            WHERE Problem <> '' OR Standing <> {_STANDS} ORDER BY Path
        """  # noqa: S608 - our own names
        for path, reason, uid in self.rows(query, _COPY, _CONFLICT):
            yield FileProblem(Path(os.fsdecode(path)), reason, uid or "")

    def _look_at(self, path: Path) -> None:
        if not path.is_dir():
            self._look_at_file(path, path.stat())
            return
        pending = [os.fspath(path)]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if _is_ignored(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.is_file():
                        self._look_at_file(Path(entry.path), entry.stat())

    def _look_at_file(self, path: Path, status: os.stat_result) -> None:
        key, state = os.fsencode(path), (status.st_size, status.st_mtime_ns)
        known = self._database.execute("SELECT Size, Changed FROM file WHERE Path = ?", (key,)).fetchone()
        if known == state:
            self._database.execute("UPDATE file SET Scan = ? WHERE Path = ?", (self._scan, key))
            return
        columns = ("Path", "Size", "Changed", "Scan", *_FILE_COLUMNS, *_KEYWORDS)
        self._database.execute(
            f"REPLACE INTO file ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 - our own names
            (key, *state, self._scan, *_read(path)),
        )

    def _compare_namesakes(self) -> None:
        """Decide which files stand for instances that several files hold."""
        self._database.execute("UPDATE file SET Standing = 0 WHERE Standing <> 0")
        query = """
            SELECT SOPInstanceUID FROM found WHERE Problem = ''
            GROUP BY SOPInstanceUID HAVING COUNT(*) > 1
        """
        for (uid,) in list(self.rows(query)):
            paths = [
                row[0]
                for row in self.rows(
                    "SELECT Path FROM found WHERE SOPInstanceUID = ? AND Problem = '' ORDER BY Path", uid
                )
            ]
            is_one = len({self._digest(path) for path in paths}) == 1
            losers = (
                [(_IS_COPY, path) for path in paths[1:]]
                if is_one
                else [(_IS_IN_CONFLICT, path) for path in paths]
            )
            self._database.executemany("UPDATE file SET Standing = ? WHERE Path = ?", losers)

    def _digest(self, path: bytes) -> bytes:
        """Return the digest of a file's data set and transfer syntax."""
        query = "SELECT Digest, DataSetOffset, TransferSyntaxUID FROM file WHERE Path = ?"
        digest, offset, syntax = self._database.execute(query, (path,)).fetchone()
        if digest is None:
            digest = _digest(path, offset, syntax)
            self._database.execute("UPDATE file SET Digest = ? WHERE Path = ?", (digest, path))
        return digest


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """A file that stands for an instance, as it was when it was indexed."""

    path: Path
    size: int
    changed: int
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    data_set_offset: int

    def open(self) -> BinaryIO | None:
        """Open the file at its data set; None if it is not what it was."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            file.close()
            return None
        file.seek(self.data_set_offset)
        return file


def _is_ignored(name: str) -> bool:
    return name.upper() == "DICOMDIR" or (
        name.startswith(".") and name.endswith((TEMPORARY_SUFFIX, WORKING_SUFFIX))
    )


def _read(path: Path) -> tuple[Any, ...]:
    """Return the values of _FILE_COLUMNS and _KEYWORDS for a file."""
    try:
        with path.open("rb") as file:
            layout = read_file_layout(file)
            problem = "" if is_whole(file, layout.header.transfer_syntax_uid) else _DAMAGED
            file.seek(0)
            values = _read_values(file)
    except InvalidInput as error:
        return _row(None, str(error), Answer({}))
    except OSError as error:
        return _row(None, f"{_UNREADABLE}: {error.strerror}", Answer({}))
    if not (values.text("StudyInstanceUID") and values.text("SeriesInstanceUID")):
        problem = _NO_UIDS
    return _row(layout, problem, values)


def _read_values(file: BinaryIO) -> Answer:
    with quiet_pydicom():
        try:
            data_set = dcmread(file, force=True, stop_before_pixels=True, specific_tags=list(_KEYWORDS))
            return read_values(data_set, _KEYWORDS)
        except DECODING_ERRORS:
            return Answer({})  # without UIDs, which is a problem that is told


def _row(layout: FileLayout | None, problem: str, values: Answer) -> tuple[Any, ...]:
    texts = (values.text(keyword) for keyword in _KEYWORDS)
    if layout is None:
        return (None, None, None, None, problem, *texts)
    header = layout.header
    uids = (header.sop_instance_uid, header.sop_class_uid, header.transfer_syntax_uid)
    return (*uids, layout.data_set_offset, problem, *texts)


def _digest(path: bytes, offset: int, transfer_syntax_uid: str) -> bytes:
    digest = hashlib.blake2b(transfer_syntax_uid.encode("ascii", "replace"), digest_size=16)
    with Path(os.fsdecode(path)).open("rb") as file:
        file.seek(offset)
        while fragment := file.read(_FRAGMENT):
            digest.update(fragment)
    return digest.digest()
