"""The bodies of answers to retrievals: files, metadata, frames, pictures, bulk data, NIfTI volumes."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import uuid4

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from adit_core.api.dicomweb.media_types import (
    DICOM,
    DICOM_JSON,
    MULTIPART,
    OCTET_STREAM,
    MediaRange,
    not_acceptable,
)
from adit_core.api.dicomweb.streams import Answer, gathered
from adit_core.deid.encoding import Encoding
from adit_core.deid.header import Intake
from adit_core.deid.stream import HEADER_LIMIT
from adit_core.dicom.frames import FrameFile, View
from adit_core.dicom.json_encoding import json_data_set
from adit_core.dicom.multipart import beginning_of
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import IncomingInstance
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.transcoding import UNCOMPRESSED, can_be_given, transcoded
from adit_core.errors import NotFound, ProtocolError
from adit_core.services.proxy_disguise import read_header
from adit_core.services.proxy_nifti import nifti_files
from adit_core.services.proxy_retrieval import Retrieval

_PIXEL_DATA = "7FE00010"
_EXPLICIT_LITTLE = UNCOMPRESSED[0]
_SHORT_PART = 1 << 20
"""Bytes of a part that wait for its end, so that its head tells how long it is.

Who reads it need not search all of it for the delimiter then.
"""
InstanceUrl = Callable[[IncomingInstance], str]


@dataclass(frozen=True, slots=True)
class BodyPart:
    """A part of a multipart body."""

    media_type: str
    content: Iterable[bytes | memoryview]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RetrievalWork:
    """Makes an answer of a retrieval; implements :class:`~adit_core.api.dicomweb.streams.Work`."""

    retrieval: Retrieval
    make: Callable[[Retrieval], Answer]
    body: Iterator[bytes] | None = None

    def begin(self) -> Answer:
        """Return the answer, the retrieval being under way."""
        answer = self.make(self.retrieval)
        self.body = answer.body
        return answer

    def cancel(self) -> None:
        """Break the retrieval off."""
        self.retrieval.cancel()

    def close(self) -> None:
        """End body and retrieval."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()
        self.retrieval.close()


def files(retrieval: Retrieval, accepted: frozenset[str]) -> Answer:
    """Answer with Part 10 files in transfer syntaxes that are accepted (PS3.18 10.4.1.1.1)."""
    retrieval.start_at_once()
    parts = (_file_part(instance, accepted) for instance in retrieval.instances())
    return _multipart(DICOM, parts)


def single_file(retrieval: Retrieval, accepted: frozenset[str]) -> Answer:
    """Answer with the file of one instance, without a multipart around it."""
    retrieval.start()
    content = (piece for one in retrieval.instances() for piece in _file_part(one, accepted).content)
    return Answer(gathered(content), DICOM)


def metadata(retrieval: Retrieval, url_of: InstanceUrl) -> Answer:
    """Answer with the headers of instances (PS3.18 10.4.1.1.2); what is long in them can be had by URIs.

    Those would tell the real UIDs, so with a pseudonym there are none.
    """
    retrieval.start()

    def texts() -> Iterator[bytes]:
        separator = b"["
        for instance in retrieval.instances():
            yield separator + _metadata_of(instance, None if retrieval.renames else url_of(instance))
            separator = b","
        yield b"]"

    return Answer(gathered(texts()), DICOM_JSON)


def frames(retrieval: Retrieval, numbers: tuple[int, ...], media_range: MediaRange) -> Answer:
    """Answer with frames, stored or decoded as is accepted (PS3.18 10.4.1.1.3)."""
    file = instance_file(retrieval)
    found = FrameFile(file)
    found.check(numbers)
    offers = [(OCTET_STREAM, _EXPLICIT_LITTLE)]
    if found.is_compressed and found.stored_media_type:
        offers.append((found.stored_media_type, found.stored_syntax))
    media_type, syntax = _chosen_frame(media_range, offers)
    get = found.native if media_type == OCTET_STREAM else found.stored
    shown = f"{media_type}; transfer-syntax={syntax}"
    return _multipart(media_type, (BodyPart(shown, (get(number),)) for number in numbers), file)


def picture(retrieval: Retrieval, number: int, media_type: str, view: View) -> Answer:
    """Answer with a frame as a picture."""
    with closing(instance_file(retrieval)) as file:
        found = FrameFile(file)
        found.check((number,))
        return Answer(iter((found.picture(number, view),)), media_type)


def pictures(
    retrieval: Retrieval, media_type: str, view: View, numbers: tuple[int, ...] | None = None
) -> Answer:
    """Answer with pictures of frames of all instances, of those with these numbers or of all."""
    retrieval.start()

    def parts() -> Iterator[BodyPart]:
        for instance in retrieval.instances():
            with closing(_written(instance)) as file:
                found = FrameFile(file)
                found.check(numbers or ())
                for number in numbers or range(1, found.count + 1):
                    yield BodyPart(media_type, (found.picture(number, view),))

    return _multipart(media_type, parts())


def bulk_data(retrieval: Retrieval, path: list[str], media_range: MediaRange) -> Answer:
    """Answer with the value at a path of tags and item numbers (PS3.18 10.4.1.1.5)."""
    file = instance_file(retrieval)
    if path == [_PIXEL_DATA]:
        return _pixel_data(file, media_range)
    with closing(file):
        content = (_value_at(file, path),)
    if media_range.is_multipart:
        return _multipart(OCTET_STREAM, [BodyPart(OCTET_STREAM, content)])
    return Answer(iter(content), OCTET_STREAM)


def nifti(retrieval: Retrieval) -> Answer:
    """Answer with NIfTI volumes and their sidecars, each with its name."""
    parts = (
        BodyPart(
            OCTET_STREAM,
            file.pieces(),
            {"Content-Disposition": f'attachment; filename="{file.name}"'},
        )
        for file in nifti_files(retrieval)
    )
    return _multipart(OCTET_STREAM, parts)


def instance_file(retrieval: Retrieval) -> BinaryIO:
    """Retrieve one instance into a file without a name, which the caller closes."""
    retrieval.start()
    file: BinaryIO | None = None
    for instance in retrieval.instances():
        file = _written(instance)
    if file is None:
        raise ProtocolError("The archive sent something else than was asked for.")
    return file


def _written(instance: IncomingInstance) -> BinaryIO:
    file = TemporaryFile(prefix="adit-")  # noqa: SIM115 - the caller closes it
    try:
        file.write(encode_file_header(instance.header))
        file.writelines(instance.fragments())
    except BaseException:
        file.close()
        raise
    return file


def _file_part(instance: IncomingInstance, accepted: frozenset[str]) -> BodyPart:
    if not can_be_given(instance.header.transfer_syntax_uid, accepted):
        stored = (f'{MULTIPART}; type="{DICOM}"; transfer-syntax={instance.header.transfer_syntax_uid}',)
        raise not_acceptable(stored)
    given = transcoded(instance, accepted)
    media_type = f"{DICOM}; transfer-syntax={given.header.transfer_syntax_uid}"
    return BodyPart(media_type, chain((encode_file_header(given.header),), given.fragments()))


def _metadata_of(instance: IncomingInstance, url: str | None) -> bytes:
    header = instance.header
    encoding = Encoding(header.transfer_syntax_uid)
    intake = Intake(encoding.inflated(instance.fragments()), HEADER_LIMIT)
    data_set = read_header(header.sop_instance_uid, intake, encoding)
    with quiet_pydicom():
        bulk_uri = None if url is None else lambda path: f"{url}/bulkdata/{path}"
        converted = dict(json_data_set(data_set, bulk_uri))
    if url is not None and intake.has(8):
        group, element = encoding.tag.unpack(intake.bytes_at(0, 4))
        tag = f"{group:04X}{element:04X}"
        vr = "OB" if data_set.get("BitsAllocated", 16) <= 8 else "OW"
        converted[tag] = {"vr": vr, "BulkDataURI": f"{url}/bulkdata/{tag}"}
    return json.dumps(converted, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _chosen_frame(media_range: MediaRange, offers: list[tuple[str, str]]) -> tuple[str, str]:
    for media_type, syntax in offers:
        wanted = media_range.transfer_syntaxes
        is_syntax_right = not wanted or syntax in wanted or ("*" in wanted and syntax == offers[-1][1])
        if media_range.covers(media_type) and is_syntax_right:
            return media_type, syntax
    raise not_acceptable(f'{MULTIPART}; type="{each}"; transfer-syntax={syntax}' for each, syntax in offers)


def _pixel_data(file: BinaryIO, media_range: MediaRange) -> Answer:
    found = FrameFile(file)
    media_type = OCTET_STREAM
    if not found.is_compressed:
        if not media_range.is_multipart:
            return Answer(_closing(file, found.stored_value()), media_type)
        return _multipart(media_type, [BodyPart(media_type, found.stored_value())], file)
    numbers = range(1, found.count + 1)
    media_type = found.stored_media_type or OCTET_STREAM
    parts = (BodyPart(media_type, (found.stored(number),)) for number in numbers)
    return _multipart(media_type, parts, file)


def _value_at(file: BinaryIO, path: list[str]) -> bytes:
    file.seek(0)
    with quiet_pydicom():
        place: Dataset = dcmread(file, stop_before_pixels=True, force=True)
        for tag, number in zip(path[:-1:2], path[1::2], strict=True):
            items = place[int(tag, 16)].value if int(tag, 16) in place else None
            if not isinstance(items, Iterable) or int(number) >= len(list(items)):
                raise _no_bulk_data()
            place = list(items)[int(number)]
        tag = int(path[-1], 16)
        element = place.get_item(tag) if tag in place else None
        value = element.value if isinstance(element, RawDataElement) else None
    if not isinstance(value, bytes):
        raise _no_bulk_data()
    return value


def _no_bulk_data() -> NotFound:
    return NotFound("There is no bulk data at this path of the instance.")


def _multipart(media_type: str, parts: Iterable[BodyPart], file: BinaryIO | None = None) -> Answer:
    boundary = uuid4().hex
    body = gathered(_encoded(boundary, parts))
    return Answer(
        body if file is None else _closing(file, body),
        f'{MULTIPART}; type="{media_type}"; boundary={boundary}',
    )


def _encoded(boundary: str, parts: Iterable[BodyPart]) -> Iterator[bytes | memoryview]:
    for part in parts:
        content = iter(part.content)
        beginning, is_all = beginning_of(content, _SHORT_PART)
        lines = [f"--{boundary}", f"Content-Type: {part.media_type}"]
        lines += [f"{name}: {value}" for name, value in part.headers.items()]
        if is_all:
            lines.append(f"Content-Length: {sum(map(len, beginning))}")
        yield "\r\n".join([*lines, "", ""]).encode("latin-1")
        yield from beginning
        yield from content
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")


def _closing(file: BinaryIO, pieces: Iterator[bytes]) -> Iterator[bytes]:
    with closing(file):
        yield from pieces
