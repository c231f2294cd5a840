"""DICOM files to be uploaded, sent while they are read."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

from pydicom import Dataset
from pydicom.filewriter import dcmwrite

Uploadable: TypeAlias = Path | str | Dataset
"""A file, a folder with everything below it, or a data set."""
_FRAGMENT = 1 << 20


@dataclass(frozen=True, slots=True)
class Form:
    """A form with all files (RFC 7578). Each is read when its turn comes, and anew if it is sent again."""

    sources: tuple[Uploadable, ...]
    boundary: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def media_type(self) -> str:
        """What it is sent as."""
        return f"multipart/form-data; boundary={self.boundary}"

    def __iter__(self) -> Iterator[bytes]:
        return _body(self.boundary, self.sources)


def _body(boundary: str, sources: Iterable[Uploadable]) -> Iterator[bytes]:
    for name, stream in _files(sources):
        shown = "".join(char for char in name if char.isprintable() and char not in '"\\')
        yield (
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{shown}"\r\n'
            "Content-Type: application/dicom\r\n\r\n"
        ).encode()
        while fragment := stream.read(_FRAGMENT):
            yield fragment
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _files(sources: Iterable[Uploadable]) -> Iterator[tuple[str, BinaryIO]]:
    for source in sources:
        if isinstance(source, Dataset):
            yield f"{source.get('SOPInstanceUID', 'data set')}.dcm", _encoded(source)
            continue
        path = Path(source)
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_dir() or file.is_symlink():
                continue
            with file.open("rb") as stream:
                yield str(file.relative_to(path.parent)), stream


def _encoded(dataset: Dataset) -> BinaryIO:
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    file.seek(0)
    return file
