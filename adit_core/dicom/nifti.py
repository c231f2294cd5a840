"""Series in a folder as NIfTI volumes, each series complete or not there at all.

Beside the volumes and their sidecars lies a record of the instances that went into them, which is what
the destination is asked about later. What becomes of a series:

===================================================  =====================================================
the series                                           its instances
===================================================  =====================================================
is of a modality without images                      are filtered, by what :meth:`NiftiDestination.expect`
                                                     answers
went into volumes, all of it                         are delivered; with a warning if it is irregular
came in part only                                    fail for now, since volumes with gaps would deceive
could be converted in part only, or not at all       fail, and nothing is written
===================================================  =====================================================
"""

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from adit_core.dicom.conversion import Conversion, convert
from adit_core.dicom.durable import translated_errors
from adit_core.dicom.node import NiftiNode
from adit_core.dicom.placement import Placement
from adit_core.dicom.ports import Delivery, Destination, ExpectedStudy, IncomingInstance
from adit_core.dicom.references import SeriesReference, StudyReference
from adit_core.dicom.series_intake import ArrivingSeries, SeriesIntake
from adit_core.dicom.volumes import finish_volumes, read_record, write_record
from adit_core.dicom.workspace import publish_folder, working_folder
from adit_core.errors import AditError

WITHOUT_IMAGES = frozenset(
    "ANN ASMT AU CTPROTOCOL DOC ECG EEG EMG EOG EPS FID HD KO M3D PLAN "  # noqa: SIM905 - shorter
    "POS PR REG RESP RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SMR SR STAIN TEXTUREMAP".split()
)
"""Modalities of objects that hold no images (PS3.3 C.7.3.1.1.1)."""

_INCOMPLETE = Delivery("", failure="the series did not come whole", retryable=True)


class NiftiDestination(Destination):
    """Converts series to NIfTI, below a folder that must exist.

    Implements :class:`~adit_core.dicom.ports.Destination`. A series is converted when all its announced
    instances have come; of a series that was not announced, at the end, whatever has come.
    """

    def __init__(self, node: NiftiNode) -> None:
        self._node = node
        self._placement = Placement(node.names)

    def close(self) -> None:
        """Do nothing: all files are closed when a delivery ends."""

    def expect(self, expected: ExpectedStudy) -> Mapping[str, str]:
        """Learn what comes, and return the series that hold no images."""
        self._placement.expect(expected)
        return {
            entry.series.reference.series_instance_uid: f"modality {entry.series.modality} has no images"
            for entry in expected.series
            if entry.series.modality in WITHOUT_IMAGES
        }

    def held(self, study: StudyReference, series: Sequence[SeriesReference]) -> frozenset[str]:
        """Return the SOP Instance UIDs that are in the volumes of `series`.

        Of a series that has grown since it was converted, nothing is held: it is converted anew.
        """
        with self._translated_errors(study.in_words()):
            self._node.path.stat()
            return frozenset(uid for one in series for uid in self._held_of(one))

    def deliver(self, instances: Iterable[IncomingInstance]) -> Iterator[Delivery]:
        """Collect instances, convert each series, and yield its instances when it is in its place.

        Raises:
            DestinationFull: No space is left. The series that are in their places stay there.
            OperationFailed: The folder is not there, or may not be written to.
            ConnectionFailed: The folder lies on a network share that does not answer.
        """
        with ExitStack() as stack:
            with self._translated_errors("a working folder"):
                intake = SeriesIntake(stack.enter_context(working_folder(self._node.path)))
            failure: AditError | None = None
            try:
                for instance in instances:
                    series = self._take(instance, intake)
                    if self._is_whole(series):
                        self._convert(series, intake)
                    yield from intake.ready()
            except AditError as error:
                failure = error
            self._finish(intake)
            yield from intake.ready()
            if failure is not None:
                raise failure

    def _held_of(self, series: SeriesReference) -> frozenset[str]:
        uids = read_record(self._node.path / self._placement.series_folder(series), series)
        return uids if uids.issuperset(self._placement.expected_in(series)) else frozenset()

    def _take(self, instance: IncomingInstance, intake: SeriesIntake) -> ArrivingSeries:
        with self._translated_errors(instance.reference.series.study.in_words()):
            return intake.take(instance)

    def _is_whole(self, series: ArrivingSeries) -> bool:
        expected = self._placement.expected_in(series.reference)
        return bool(expected) and series.uids.issuperset(expected)

    def _finish(self, intake: SeriesIntake) -> None:
        for series in list(intake.series.values()):
            if self._placement.expected_in(series.reference):
                intake.settle(series, _INCOMPLETE)
            else:
                self._convert(series, intake)

    def _convert(self, series: ArrivingSeries, intake: SeriesIntake) -> None:
        with self._translated_errors(series.reference.study.in_words()):
            output = intake.new_folder()
            conversion = convert(
                series.folder,
                output,
                count=len(series.uids),
                timeout=self._node.timeout,
                sidecars=self._node.sidecars,
            )
            if conversion is Conversion.NO_SPACE:
                raise OSError(errno.ENOSPC, conversion.value)
            if conversion.is_complete:
                self._publish(series, output)
            intake.settle(series, _verdict(conversion))

    def _publish(self, series: ArrivingSeries, output: Path) -> None:
        finish_volumes(output, self._node.sidecars)
        write_record(output, series.reference, series.uids)
        target = self._node.path / self._placement.series_folder(series.reference)
        publish_folder(output, target, root=self._node.path)

    def _translated_errors(self, what: str) -> AbstractContextManager[None]:
        return translated_errors(f"{self._node.name}: {what} below {self._node.path}")


def _verdict(conversion: Conversion) -> Delivery:
    if conversion is Conversion.DOUBTFUL:
        return Delivery("", warning=conversion.value)
    if conversion.is_complete:
        return Delivery("")
    return Delivery("", failure=conversion.value, retryable=conversion.is_passing)
