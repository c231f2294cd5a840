"""Instances that are to be stored, sent while they are read (PS3.18 10.5), and what became of them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import httpx
from pydicom import Dataset

from adit_core.client.errors import ConnectionFailed

_DICOM = "application/dicom"
_PIECE = 1 << 18
Storable: TypeAlias = Dataset | Path | str | bytes
"""An instance: a data set, the path of a file, or what is in a file."""


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of instances that were to be stored."""

    stored: tuple[str, ...]
    """SOP Instance UIDs."""
    failed: Mapping[str, int]
    """The reasons of those that were refused (PS3.18 table I.2-2) by their SOP Instance UID."""
    message: str = ""
    """Why in words, if the server says so."""
    warned: Mapping[str, int] = field(default_factory=dict)
    """The remarks on those that were stored all the same (PS3.18 table I.2-1), where there are any."""

    @classmethod
    def of(cls, answer: httpx.Response) -> "StoreResult":
        """Return what an answer tells. Raises ConnectionFailed if it is something else than a receipt."""
        try:
            receipt = Dataset.from_json(json.loads(answer.content))
        except ValueError as error:
            raise ConnectionFailed("The server answered with something else than a receipt.") from error
        stored = receipt.get("ReferencedSOPSequence") or ()
        failed = receipt.get("FailedSOPSequence") or ()
        return cls(
            tuple(str(item.ReferencedSOPInstanceUID) for item in stored),
            {str(item.get("ReferencedSOPInstanceUID", "")): int(item.FailureReason) for item in failed},
            answer.headers.get("Warning", "").partition('"')[2].rstrip('"'),
            {
                str(item.ReferencedSOPInstanceUID): int(item.WarningReason)
                for item in stored
                if "WarningReason" in item
            },
        )


@dataclass(frozen=True, slots=True)
class StoreBody:
    """A body with instances, each read when its turn comes."""

    instances: Iterable[Storable]
    boundary: str = field(default_factory=lambda: uuid4().hex)

    @property
    def media_type(self) -> str:
        """What it is sent as."""
        return f'multipart/related; type="{_DICOM}"; boundary={self.boundary}'

    def __iter__(self) -> Iterator[bytes]:
        return _body(self.boundary, self.instances)


def _body(boundary: str, instances: Iterable[Storable]) -> Iterator[bytes]:
    for instance in instances:
        yield f"--{boundary}\r\nContent-Type: {_DICOM}\r\n\r\n".encode()
        yield from _pieces(instance)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _pieces(instance: Storable) -> Iterator[bytes]:
    if isinstance(instance, bytes):
        yield instance
    elif isinstance(instance, Dataset):
        buffer = BytesIO()
        instance.save_as(buffer, enforce_file_format=True)
        yield buffer.getvalue()
    else:
        with Path(instance).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
