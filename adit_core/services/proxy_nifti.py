"""NIfTI volumes of what an archive has, series by series as they are converted."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from adit_core.dicom.conversion import Conversion
from adit_core.dicom.manifest import Manifest
from adit_core.dicom.nifti import NiftiDestination
from adit_core.dicom.node import NiftiNode
from adit_core.dicom.ports import Delivery
from adit_core.dicom.query import SeriesResult, StudyResult
from adit_core.dicom.volumes import RECORD
from adit_core.errors import ActionNotPossible, OperationFailed
from adit_core.services.proxy_retrieval import Retrieval
from adit_core.temporary_folders import temporary_folder

_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """A volume, or its sidecar, under a name that no other one of the study has."""

    name: str
    path: Path

    def pieces(self) -> Iterator[bytes]:
        """Yield its content."""
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def nifti_files(retrieval: Retrieval) -> Iterator[VolumeFile]:
    """Retrieve, and yield the files of each series as soon as it was converted. They are gone afterwards.

    Series that hold no images are left out, as long as others do.

    Raises:
        ActionNotPossible: There is no image in any of them.
        OperationFailed: A series could not be converted, or not all of it.
        AditError: What `Retrieval` raises.
    """
    manifest = retrieval.start()
    with ExitStack() as stack:
        root = stack.enter_context(temporary_folder())
        destination = stack.enter_context(NiftiDestination(NiftiNode("NIfTI", root)))
        # What gets other UIDs on its way cannot be announced: it is converted when all has come.
        expected = None if retrieval.renames else manifest.expected(StudyResult(manifest.study))
        batch = _Batch(manifest, root, destination.expect(expected) if expected else ())
        instances = (one for one in retrieval.instances() if batch.holds_image(one.header.sop_instance_uid))
        for delivery in destination.deliver(instances):
            yield from batch.new_files(delivery)
        if not batch.has_files:
            raise ActionNotPossible("There are no images in this that NIfTI can hold.")


class _Batch:
    """Knows which files are new, and of which series they are."""

    def __init__(self, manifest: Manifest, root: Path, excluded: Iterable[str]) -> None:
        self.has_files = False
        self._root = root
        self._told: set[Path] = set()
        self._excluded = frozenset(excluded)
        self._series: dict[str, SeriesResult] = {
            one.reference.sop_instance_uid: entry.series
            for entry in manifest.series
            for one in entry.instances
        }
        self._settled: set[str] = set()

    def holds_image(self, source_uid: str) -> bool:
        """Tell whether an instance may go into a volume; those with other names than planned may."""
        series = self._series.get(source_uid)
        return series is None or series.reference.series_instance_uid not in self._excluded

    def new_files(self, delivery: Delivery) -> Iterator[VolumeFile]:
        """Yield the files of the series that was converted just now."""
        if delivery.failure and delivery.failure != Conversion.NO_IMAGES.value:
            raise OperationFailed(f"A series could not be converted to NIfTI: {delivery.failure}.")
        series = self._series.get(delivery.sop_instance_uid)
        uid = series.reference.series_instance_uid if series else delivery.sop_instance_uid
        if delivery.failure or uid in self._settled:
            return
        self._settled.add(uid)
        number = series.series_number if series else None
        prefix = f"{number:03}" if number is not None else "series"
        for path in sorted(self._root.rglob("*")):
            if path.is_file() and path.name != RECORD and path not in self._told and _is_result(path):
                self._told.add(path)
                self.has_files = True
                yield VolumeFile(f"{prefix}-{len(self._settled)}-{path.name}", path)


def _is_result(path: Path) -> bool:
    return path.name.endswith((".nii.gz", ".json", ".bval", ".bvec")) and not path.parent.name.startswith(".")
