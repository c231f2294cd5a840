"""Encrypted archive files, 7z by py7zr and zip by pyzipper, behind one face.

What either library raises becomes OperationFailed here, without cause: their messages name entries.
"""

import lzma
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Protocol

import py7zr.py7zr
from py7zr import FILTER_CRYPTO_AES256_SHA256, FILTER_LZMA2, SevenZipFile
from py7zr.exceptions import ArchiveError
from py7zr.io import Py7zIO, WriterFactory
from pyzipper import WZ_AES, ZIP_DEFLATED, AESZipFile, BadZipFile

from adit_core.dicom.node import ArchiveFormat
from adit_core.errors import OperationFailed

_FRAGMENT = 1 << 20
# Not Deflate, of which py7zr decompresses a block at once, whatever becomes of it.
_SEVEN_ZIP_FILTERS = [{"id": FILTER_LZMA2, "preset": 1}, {"id": FILTER_CRYPTO_AES256_SHA256}]
_DEFLATE_LEVEL = 1

_DECOMPRESSED_AT_ONCE = 16 << 20
# py7zr takes 128 MB, several times over, and has no setting for it. Less than this would make it read
# ahead too far in what is compressed well.
py7zr.py7zr.get_memory_limit = lambda: _DECOMPRESSED_AT_ONCE  # pyright: ignore[reportPrivateImportUsage]

_UNREADABLE = (
    ArchiveError,
    BadZipFile,
    lzma.LZMAError,
    struct.error,
    zlib.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What the libraries raise for archives that are damaged, or that another password belongs to.

They read such bytes as if they were an archive, and stumble wherever these make no sense.
"""


class ArchiveReader(Protocol):
    """An archive that is open for reading."""

    def sizes(self) -> Mapping[str, int]:
        """Return the size in bytes of what each entry holds, by its name."""
        ...

    def checksums(self, names: Collection[str]) -> Mapping[str, int]:
        """Read entries to their ends and return the CRC-32 of each by its name."""
        ...


class ArchiveWriter(Protocol):
    """An archive that is open for adding."""

    def add(self, name: str, content: BinaryIO) -> None:
        """Add an entry. `content` must be closed afterwards, and not before."""
        ...


@contextmanager
def reading(kind: ArchiveFormat, file: BinaryIO, password: str, place: str) -> Iterator[ArchiveReader]:
    """Open the archive in `file`.

    Raises:
        OperationFailed: It cannot be read; the message names `place`.
    """
    file.seek(0)
    with _translated_errors(place):
        archive = (
            _open_zip(file, "r", password) if kind is ArchiveFormat.ZIP else _open_7z(file, "r", password)
        )
    with archive:
        yield (
            _ZipReader(archive, place) if isinstance(archive, AESZipFile) else _SevenZipReader(archive, place)
        )


@contextmanager
def adding(kind: ArchiveFormat, file: BinaryIO, password: str, place: str) -> Iterator[ArchiveWriter]:
    """Open the archive in `file`, or begin one if it is empty; at the end of the block it is complete.

    Raises:
        OperationFailed: It is an archive that cannot be read; the message names `place`.
    """
    mode = "a" if file.seek(0, 2) else "w"
    file.seek(0)
    with _translated_errors(place):
        archive = (
            _open_zip(file, mode, password) if kind is ArchiveFormat.ZIP else _open_7z(file, mode, password)
        )
    with archive:
        yield _ZipWriter(archive) if isinstance(archive, AESZipFile) else _SevenZipWriter(archive)


def _open_zip(file: BinaryIO, mode: str, password: str) -> AESZipFile:
    archive = AESZipFile(
        file, mode, compression=ZIP_DEFLATED, compresslevel=_DEFLATE_LEVEL, encryption=WZ_AES
    )
    archive.setpassword(password.encode())
    return archive


def _open_7z(file: BinaryIO, mode: str, password: str) -> SevenZipFile:
    filters = None if mode == "r" else _SEVEN_ZIP_FILTERS
    return SevenZipFile(file, mode, password=password, filters=filters, header_encryption=mode != "r")


@contextmanager
def _translated_errors(place: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE:
        raise OperationFailed(f"{place} is damaged, or has another password.") from None


class _ZipReader:
    def __init__(self, archive: AESZipFile, place: str) -> None:
        self._archive = archive
        self._place = place

    def sizes(self) -> dict[str, int]:
        return {entry.filename: entry.file_size for entry in self._archive.infolist()}

    def checksums(self, names: Collection[str]) -> dict[str, int]:
        with _translated_errors(self._place):
            return {name: self._checksum(name) for name in names}

    def _checksum(self, name: str) -> int:
        checksum = 0
        with self._archive.open(name) as entry:
            while fragment := entry.read(_FRAGMENT):
                checksum = zlib.crc32(fragment, checksum)
        return checksum


class _ZipWriter:
    def __init__(self, archive: AESZipFile) -> None:
        self._archive = archive

    def add(self, name: str, content: BinaryIO) -> None:
        try:
            with self._archive.open(name, "w", force_zip64=True) as entry:
                while fragment := content.read(_FRAGMENT):
                    entry.write(fragment)
        except OSError:
            _give_up(self._archive)
            raise


def _give_up(archive: AESZipFile) -> None:
    """Make closing an archive do nothing: it would fail as well, with another error, or when collected."""
    archive.fp = None


class _SevenZipReader:
    def __init__(self, archive: SevenZipFile, place: str) -> None:
        self._archive = archive
        self._place = place

    def sizes(self) -> dict[str, int]:
        return {entry.filename: entry.uncompressed for entry in self._archive.list()}

    def checksums(self, names: Collection[str]) -> dict[str, int]:
        sums = _Checksums()
        with _translated_errors(self._place):
            self._archive.reset()
            self._archive.extract(targets=list(names), factory=sums)
        return {name: one.checksum for name, one in sums.of.items()}


class _SevenZipWriter:
    def __init__(self, archive: SevenZipFile) -> None:
        self._archive = archive

    def add(self, name: str, content: BinaryIO) -> None:
        # The archive remembers `content`, but reads it only here: closing it frees its memory.
        self._archive.writef(content, name)


class _Checksums(WriterFactory):
    """Makes py7zr read entries without keeping them."""

    def __init__(self) -> None:
        self.of: dict[str, _Checksum] = {}

    def create(self, filename: str) -> "Py7zIO":
        self.of[filename] = _Checksum()
        return self.of[filename]


class _Checksum(Py7zIO):
    def __init__(self) -> None:
        self.checksum = 0
        self._size = 0

    def write(self, s: bytes | bytearray) -> int:
        self.checksum = zlib.crc32(s, self.checksum)
        self._size += len(s)
        return len(s)

    def read(self, size: int | None = None) -> bytes:  # noqa: ARG002 - nothing is kept
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002 - nothing is kept
        return 0

    def flush(self) -> None:
        """Do nothing."""

    def size(self) -> int:
        return self._size
