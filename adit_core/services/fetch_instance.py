"""Fetching single instances from where studies come from, to be looked at; they are kept nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset

from adit_core.db import DicomNode
from adit_core.db.engine import Database
from adit_core.dicom.node import FolderNode
from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import InstanceHeader, RetrieveRequest, Searcher, SeriesPart, Source
from adit_core.dicom.query import InstanceResult
from adit_core.dicom.quiet import quiet_pydicom
from adit_core.dicom.references import SeriesReference
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.errors import NotFound
from adit_core.services.node_gate import require_open
from adit_core.services.node_places import SHORT_PATIENCE, places_at
from adit_core.services.node_visits import NodeVisit, VisitingSearcher, VisitingSource
from adit_core.services.nodes import node_value
from adit_core.services.routes import searcher_of, source_of


@dataclass(frozen=True, slots=True)
class Origin:
    """Where instances are fetched from."""

    searcher: Searcher
    source: Source

    def instances(self, series: SeriesReference) -> list[InstanceResult]:
        """Return the instances of a series."""
        return list(self.searcher.find_instances(series))

    def fetch(self, instance: InstanceResult) -> Dataset:
        """Return an instance, with its file meta information.

        Raises:
            NotFound: The source did not hand it out.
        """
        file = BytesIO()
        self.fetch_into(instance, file)
        file.seek(0)
        with quiet_pydicom():
            return dcmread(file)

    def fetch_into(self, instance: InstanceResult, file: BinaryIO) -> None:
        """Write an instance into an empty file that can be read again, as Part 10 says.

        Raises:
            NotFound: The source did not hand it out.
        """
        uid = instance.reference.sop_instance_uid
        series = instance.reference.series
        wanted = _Wanted(uid, file)
        part = SeriesPart(series, (instance,), whole=False)
        self.searcher.rest()
        self.source.retrieve(RetrieveRequest(series.study, (part,), whole=False), wanted)
        if not wanted.is_complete:
            raise NotFound(f"The source did not hand out instance {uid}.")


@contextmanager
def origin_at(db: Database, node: DicomNode, receiver: ReceiverAddress | None) -> Iterator[Origin]:
    """Yield a node as an origin; its policy holds.

    Raises:
        NodeClosed: The node's policy, or its health, forbids its use for now, or all its places are taken.
        ActionNotPossible: Nothing can be retrieved from it.
    """
    visit = NodeVisit(db, require_open(db, node.id))
    value = node_value(db, node)
    with (
        places_at(db, [node], "look", patience=SHORT_PATIENCE),
        VisitingSearcher(searcher_of(value), visit) as searcher,
        VisitingSource(source_of(value, receiver), visit, None) as source,
    ):
        yield Origin(searcher, source)


@contextmanager
def origin_in(folder: FolderNode) -> Iterator[Origin]:
    """Yield a folder, such as that of an upload, as an origin."""
    with searcher_of(folder) as searcher, source_of(folder, None) as source:
        yield Origin(searcher, source)


class _Wanted:
    """Writes one instance into a file, whatever else comes."""

    def __init__(self, sop_instance_uid: str, file: BinaryIO) -> None:
        self.is_complete = False
        self._uid = sop_instance_uid
        self._file = file
        self._is_arriving = False

    def begin(self, header: InstanceHeader) -> None:
        self._is_arriving = header.sop_instance_uid == self._uid and not self.is_complete
        if self._is_arriving:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(encode_file_header(header))

    def write(self, fragment: bytes | memoryview) -> None:
        if self._is_arriving:
            self._file.write(fragment)

    def end(self) -> None:
        self.is_complete = self.is_complete or self._is_arriving
        self._is_arriving = False
