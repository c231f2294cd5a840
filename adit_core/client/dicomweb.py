"""One archive through the server's DICOMweb proxy: data sets come as pydicom has them, as they arrive."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
from pydicom import Dataset, dcmread

from adit_core.client.connection import Connection
from adit_core.client.errors import ConnectionFailed
from adit_core.client.multipart import Part, parts_of

_DICOM = "application/dicom"
_DICOM_JSON = "application/dicom+json"
_PIECE = 1 << 18
Storable = Dataset | Path | str | bytes
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


@dataclass(frozen=True, slots=True)
class Disguise:
    """How instances are changed on their way: with a pseudonym, they are de-identified."""

    pseudonym: str = ""
    trial_protocol_id: str = ""
    trial_protocol_name: str = ""

    def parameters(self) -> dict[str, str]:
        """Return it as the proxy takes it."""
        names = ("pseudonym", "trial_protocol_id", "trial_protocol_name")
        return {name: value for name in names if (value := getattr(self, name))}


AS_IT_IS = Disguise()


class Archive:
    """An archive, by its AE title or the name of its node.

    Keys of searches are attributes by keyword or tag, with wildcards and ranges as DICOM writes them,
    besides ``limit``, ``offset``, ``includefield`` and ``fuzzymatching``. Methods raise what those of
    `AditClient` raise; an answer that breaks off is ConnectionFailed.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._path = f"/api/dicom-web/{quote(name, safe='')}"

    def search_studies(self, **keys: Any) -> list[Dataset]:
        """Return the studies that match."""
        return self._search("studies", keys)

    def search_series(self, study_uid: str = "", **keys: Any) -> list[Dataset]:
        """Return the series that match, of one study or of all."""
        return self._search(f"{_study(study_uid)}series", keys)

    def search_instances(self, study_uid: str = "", series_uid: str = "", **keys: Any) -> list[Dataset]:
        """Return the instances that match, of one study or series or of all."""
        return self._search(f"{_study(study_uid)}{_series(series_uid)}instances", keys)

    def iter_instances(
        self, study_uid: str, series_uid: str = "", instance_uid: str = "", *, as_: Disguise = AS_IT_IS
    ) -> Iterator[Dataset]:
        """Yield the instances of a study, a series, or one of them, as they arrive."""
        accept = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'
        for part in self._parts(_resource(study_uid, series_uid, instance_uid), accept, as_):
            yield dcmread(BytesIO(part.content))

    def download(
        self, folder: Path | str, study_uid: str, series_uid: str = "", *, as_: Disguise = AS_IT_IS
    ) -> list[Path]:
        """Write the instances of a study or series to files in a folder, and return their paths."""
        paths = []
        for data_set in self.iter_instances(study_uid, series_uid, as_=as_):
            path = Path(folder) / f"{data_set.SOPInstanceUID}.dcm"
            data_set.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    def metadata(
        self, study_uid: str, series_uid: str = "", instance_uid: str = "", *, as_: Disguise = AS_IT_IS
    ) -> list[Dataset]:
        """Return what instances say, without their pixels."""
        path = f"{_resource(study_uid, series_uid, instance_uid)}/metadata"
        return self._data_sets(path, as_.parameters())

    def rendered(self, study_uid: str, series_uid: str, instance_uid: str, **view: Any) -> bytes:
        """Return an image as PNG; `view` may have ``window`` and ``viewport``, as PS3.18 8.3.5 has them."""
        path = f"{self._path}/{_resource(study_uid, series_uid, instance_uid)}/rendered"
        return self._connection.send_to("GET", path, params=view, headers={"Accept": "image/png"}).content

    def iter_nifti(
        self, study_uid: str, series_uid: str = "", instance_uid: str = ""
    ) -> Iterator[tuple[str, bytes]]:
        """Yield NIfTI volumes and their sidecars, with their names."""
        accept = 'multipart/related; type="application/octet-stream"'
        path = f"{_resource(study_uid, series_uid, instance_uid)}/nifti"
        for part in self._parts(path, accept, AS_IT_IS):
            yield part.file_name, part.content

    def store(self, instances: Iterable[Storable]) -> StoreResult:
        """Store instances, one after the other, and return what became of each."""
        boundary = uuid4().hex
        answer = self._connection.send_to(
            "POST",
            f"{self._path}/stowrs/studies",
            also=(409,),
            content=_body(boundary, instances),
            headers={
                "Content-Type": f'multipart/related; type="{_DICOM}"; boundary={boundary}',
                "Accept": _DICOM_JSON,
            },
        )
        return _result(answer)

    def _search(self, path: str, keys: Mapping[str, Any]) -> list[Dataset]:
        return self._data_sets(f"qidors/{path}", keys)

    def _data_sets(self, path: str, parameters: Mapping[str, Any]) -> list[Dataset]:
        answer = self._connection.send_to(
            "GET", f"{self._path}/{path}", params=parameters, headers={"Accept": _DICOM_JSON}
        )
        return [Dataset.from_json(each, lambda *_: b"") for each in answer.json()]

    def _parts(self, path: str, accept: str, disguise: Disguise) -> Iterator[Part]:
        with self._answer(path, accept, disguise) as answer:
            yield from parts_of(answer.headers["Content-Type"], answer.iter_raw(_PIECE))

    @contextmanager
    def _answer(self, path: str, accept: str, disguise: Disguise) -> Iterator[httpx.Response]:
        parameters = disguise.parameters()
        with self._connection.stream_from(
            f"{self._path}/{path}", params=parameters, headers={"Accept": accept}
        ) as answer:
            yield answer


def _study(uid: str) -> str:
    return f"studies/{quote(uid, safe='')}/" if uid else ""


def _series(uid: str) -> str:
    return f"series/{quote(uid, safe='')}/" if uid else ""


def _resource(study_uid: str, series_uid: str, instance_uid: str) -> str:
    path = f"wadors/{_study(study_uid)}{_series(series_uid)}".rstrip("/")
    return f"{path}/instances/{quote(instance_uid, safe='')}" if instance_uid else path


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


def _result(answer: httpx.Response) -> StoreResult:
    try:
        receipt = Dataset.from_json(json.loads(answer.content))
    except ValueError as error:
        raise ConnectionFailed("The server answered with something else than a receipt.") from error
    stored = receipt.get("ReferencedSOPSequence") or ()
    failed = receipt.get("FailedSOPSequence") or ()
    return StoreResult(
        tuple(str(item.ReferencedSOPInstanceUID) for item in stored),
        {str(item.get("ReferencedSOPInstanceUID", "")): int(item.FailureReason) for item in failed},
        answer.headers.get("Warning", "").partition('"')[2].rstrip('"'),
    )
