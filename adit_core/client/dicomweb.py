"""One archive through the server's DICOMweb proxy: data sets come as pydicom has them, as they arrive."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import quote, urlsplit

import httpx
from pydicom import Dataset, dcmread

from adit_core.client.connection import Connection
from adit_core.client.multipart import Part, parts_of
from adit_core.client.retrieving import (
    AS_IT_IS,
    Disguise,
    Frame,
    Metadata,
    PictureFormat,
    View,
    accept_files,
)
from adit_core.client.storing import Storable, StoreBody, StoreResult

_DICOM_JSON = "application/dicom+json"
_OCTETS = "application/octet-stream"
_PIECE = 1 << 18


class Archive:
    """An archive, by its AE title or the name of its node.

    Keys of searches are attributes by keyword or tag, with wildcards and ranges as DICOM writes them,
    besides ``limit``, ``offset``, ``includefield`` and ``fuzzymatching``. What is retrieved is changed on
    its way if `as_` is given. Methods raise what those of `AditClient` raise; an answer that breaks off is
    ConnectionFailed.
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
        self,
        study_uid: str,
        series_uid: str = "",
        instance_uid: str = "",
        *,
        transfer_syntax: str | Sequence[str] = "*",
        as_: Disguise = AS_IT_IS,
    ) -> Iterator[Dataset]:
        """Yield the instances of a study, a series, or one of them, as they arrive.

        They come as they are stored, or in one of the transfer syntaxes (by their UIDs) that are given.
        """
        path = _resource(study_uid, series_uid, instance_uid)
        for part in self._parts(path, accept_files(transfer_syntax), as_.parameters()):
            yield dcmread(BytesIO(part.content))

    def download(
        self,
        folder: Path | str,
        study_uid: str,
        series_uid: str = "",
        instance_uid: str = "",
        *,
        transfer_syntax: str | Sequence[str] = "*",
        as_: Disguise = AS_IT_IS,
    ) -> list[Path]:
        """Write what `iter_instances` yields to files in a folder, and return their paths."""
        paths = []
        for data_set in self.iter_instances(
            study_uid, series_uid, instance_uid, transfer_syntax=transfer_syntax, as_=as_
        ):
            path = Path(folder) / f"{data_set.SOPInstanceUID}.dcm"
            data_set.save_as(path, enforce_file_format=True)
            paths.append(path)
        return paths

    def metadata(
        self, study_uid: str, series_uid: str = "", instance_uid: str = "", *, as_: Disguise = AS_IT_IS
    ) -> list[Metadata]:
        """Return what instances say, without their pixels; these and other long values by their URIs.

        With a pseudonym there are no URIs, as they would tell the real UIDs.
        """
        path = f"{_resource(study_uid, series_uid, instance_uid)}/metadata"
        return [Metadata.read(told) for told in self._json(path, as_.parameters())]

    def bulk_data(self, uri: str, *, as_: Disguise = AS_IT_IS) -> list[bytes]:
        """Return a long value of an instance, by the URI that the metadata give.

        That is one, but for compressed pixel data, of which these are the frames as they are stored.

        Raises:
            ValueError: The URI is not of this archive.
        """
        # The token goes to this server only, whatever the URI says.
        _, place, value = urlsplit(uri).path.partition(f"{self._path}/wadors/")
        if not place:
            raise ValueError("This is no URI of bulk data of this archive.")
        accept = f'{_OCTETS}, multipart/related; type="*/*"'
        with self._answer(f"wadors/{value}", accept, as_.parameters()) as answer:
            kind = answer.headers["Content-Type"]
            if kind.startswith("multipart"):
                return [part.content for part in parts_of(kind, answer.iter_raw(_PIECE))]
            return [answer.read()]

    def iter_frames(
        self,
        study_uid: str,
        series_uid: str,
        instance_uid: str,
        numbers: Sequence[int] = (1,),
        *,
        as_: Disguise = AS_IT_IS,
    ) -> Iterator[bytes]:
        """Yield the pixels of frames, counted from 1, decoded, in little endian."""
        path = f"{_resource(study_uid, series_uid, instance_uid)}/{_frames(numbers)}"
        accept = f'multipart/related; type="{_OCTETS}"'
        for part in self._parts(path, accept, as_.parameters()):
            yield part.content

    def iter_stored_frames(
        self,
        study_uid: str,
        series_uid: str,
        instance_uid: str,
        numbers: Sequence[int] = (1,),
        *,
        as_: Disguise = AS_IT_IS,
    ) -> Iterator[Frame]:
        """Yield frames, counted from 1, as they are stored."""
        path = f"{_resource(study_uid, series_uid, instance_uid)}/{_frames(numbers)}"
        accept = 'multipart/related; type="*/*"; transfer-syntax=*'
        for part in self._parts(path, accept, as_.parameters()):
            yield Frame(part.content, part.media_type, part.transfer_syntax_uid)

    def rendered(
        self,
        study_uid: str,
        series_uid: str = "",
        instance_uid: str = "",
        frame: int | None = None,
        *,
        picture: PictureFormat = "png",
        as_: Disguise = AS_IT_IS,
        **view: Unpack[View],
    ) -> bytes:
        """Return a picture of an instance, of its first frame or a given one, or one that stands for all."""
        path = f"{_resource(study_uid, series_uid, instance_uid)}{_one_frame(frame)}/rendered"
        return self._picture(path, picture, as_, view)

    def iter_rendered(
        self,
        study_uid: str,
        series_uid: str = "",
        instance_uid: str = "",
        numbers: Sequence[int] = (),
        *,
        picture: PictureFormat = "png",
        as_: Disguise = AS_IT_IS,
        **view: Unpack[View],
    ) -> Iterator[bytes]:
        """Yield pictures of all frames of a study, series or instance, or of some frames of an instance."""
        frames = f"/{_frames(numbers)}" if numbers else ""
        path = f"{_resource(study_uid, series_uid, instance_uid)}{frames}/rendered"
        accept = f'multipart/related; type="image/{picture}"'
        for part in self._parts(path, accept, {**view, **as_.parameters()}):
            yield part.content

    def thumbnail(
        self,
        study_uid: str,
        series_uid: str = "",
        instance_uid: str = "",
        frame: int | None = None,
        *,
        picture: PictureFormat = "png",
        as_: Disguise = AS_IT_IS,
        **view: Unpack[View],
    ) -> bytes:
        """Return a small picture that stands for a study or a series, or of an instance or a frame."""
        path = f"{_resource(study_uid, series_uid, instance_uid)}{_one_frame(frame)}/thumbnail"
        return self._picture(path, picture, as_, view)

    def iter_nifti(
        self, study_uid: str, series_uid: str = "", instance_uid: str = "", *, as_: Disguise = AS_IT_IS
    ) -> Iterator[tuple[str, bytes]]:
        """Yield NIfTI volumes and their sidecars, with their names."""
        path = f"{_resource(study_uid, series_uid, instance_uid)}/nifti"
        for part in self._parts(path, f'multipart/related; type="{_OCTETS}"', as_.parameters()):
            yield part.file_name, part.content

    def store(self, instances: Iterable[Storable], study_uid: str = "") -> StoreResult:
        """Store instances, one after the other, and return what became of each.

        If a study is given, instances of others are refused.
        """
        body = StoreBody(instances)
        answer = self._connection.send_to(
            "POST",
            f"{self._path}/stowrs/studies/{quote(study_uid, safe='')}".rstrip("/"),
            also=(409,),
            content=body,
            headers={"Content-Type": body.media_type, "Accept": _DICOM_JSON},
        )
        return StoreResult.of(answer)

    def _search(self, path: str, keys: Mapping[str, Any]) -> list[Dataset]:
        return [Dataset.from_json(each, lambda *_: b"") for each in self._json(f"qidors/{path}", keys)]

    def _json(self, path: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        answer = self._connection.send_to(
            "GET", f"{self._path}/{path}", params=parameters, headers={"Accept": _DICOM_JSON}
        )
        return answer.json()

    def _picture(self, path: str, picture: PictureFormat, as_: Disguise, view: Mapping[str, Any]) -> bytes:
        answer = self._connection.send_to(
            "GET",
            f"{self._path}/{path}",
            params={**view, **as_.parameters()},
            headers={"Accept": f"image/{picture}"},
        )
        return answer.content

    def _parts(self, path: str, accept: str, parameters: Mapping[str, Any]) -> Iterator[Part]:
        with self._answer(path, accept, parameters) as answer:
            yield from parts_of(answer.headers["Content-Type"], answer.iter_raw(_PIECE))

    @contextmanager
    def _answer(self, path: str, accept: str, parameters: Mapping[str, Any]) -> Iterator[httpx.Response]:
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


def _frames(numbers: Sequence[int]) -> str:
    return f"frames/{','.join(map(str, numbers))}"


def _one_frame(number: int | None) -> str:
    return "" if number is None else f"/{_frames((number,))}"
