"""Instances on their way into something that is made of whole series: collected in files, told in order."""

import shutil
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from adit_core.dicom.part10 import encode_file_header
from adit_core.dicom.ports import Delivery, IncomingInstance
from adit_core.dicom.references import SeriesReference

_INFLATED_AT_ONCE = 1 << 20


@dataclass(slots=True)
class ArrivingSeries:
    """The instances of a series that have come, as files in a folder of their own."""

    reference: SeriesReference
    folder: Path
    uids: set[str] = field(default_factory=set)

    def write(self, instance: IncomingInstance) -> None:
        """Write an instance; one that does not come whole leaves nothing.

        Of one whose encoding is damaged an empty file stays, which is no image.
        """
        uid = instance.header.sop_instance_uid
        path = self.folder / f"{len(self.uids):06}.dcm"
        try:
            with path.open("wb") as file:
                file.writelines(_readable(instance))
        except zlib.error:
            path.write_bytes(b"")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        if uid in self.uids:
            path.unlink()
        self.uids.add(uid)


@dataclass(slots=True)
class SeriesIntake:
    """What has come in one delivery, and what became of it."""

    folder: Path
    series: dict[str, ArrivingSeries] = field(default_factory=dict)
    _order: deque[str] = field(default_factory=deque)
    _verdicts: dict[str, Delivery] = field(default_factory=dict)
    _folders: int = 0

    def take(self, instance: IncomingInstance) -> ArrivingSeries:
        """Write an instance into the folder of its series."""
        reference = instance.reference.series
        series = self.series.get(reference.series_instance_uid)
        if series is None:
            series = ArrivingSeries(reference, self.new_folder())
            self.series[reference.series_instance_uid] = series
        series.write(instance)
        self._order.append(instance.header.sop_instance_uid)
        return series

    def settle(self, series: ArrivingSeries, verdict: Delivery) -> None:
        """Say that `verdict` is what became of each instance of a series, and remove its files."""
        self._verdicts |= {uid: replace(verdict, sop_instance_uid=uid) for uid in series.uids}
        del self.series[series.reference.series_instance_uid]
        shutil.rmtree(series.folder)

    def ready(self) -> Iterator[Delivery]:
        """Yield what was decided, in the order in which instances came."""
        while self._order and self._order[0] in self._verdicts:
            yield self._verdicts[self._order.popleft()]

    def new_folder(self) -> Path:
        """Return an empty folder."""
        self._folders += 1
        folder = self.folder / f"{self._folders:04}"
        folder.mkdir()
        return folder


def _readable(instance: IncomingInstance) -> Iterator[bytes | memoryview]:
    """Yield an instance as a Part 10 file. Deflated data sets are inflated: dcm2niix cannot do it."""
    header, fragments = instance.header, instance.fragments()
    if header.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        header = replace(header, transfer_syntax_uid=ExplicitVRLittleEndian)
        fragments = _inflated(fragments)
    yield encode_file_header(header)
    yield from fragments


def _inflated(fragments: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Inflate a data set (PS3.5 A.5), piece by piece."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    for fragment in fragments:
        rest = fragment
        while rest and not inflater.eof:
            yield inflater.decompress(rest, _INFLATED_AT_ONCE)
            rest = inflater.unconsumed_tail
    yield inflater.flush()
