"""The folder of a series as NIfTI: compressed volumes, their sidecars, and a record of the instances."""

import gzip
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from adit_core.dicom.conversion import IMAGE_SUFFIX
from adit_core.dicom.durable import sync_folder
from adit_core.dicom.node import SidecarContent
from adit_core.dicom.references import SeriesReference
from adit_core.dicom.sidecar import LONGEST_HEADER, clean_sidecar, cleaned_header

RECORD = "instances.json"
"""The name of the file that says which instances are in the volumes beside it."""

_COMPRESSION = 3
_COPIED_AT_ONCE = 1 << 20


def finish_volumes(folder: Path, sidecars: SidecarContent) -> None:
    """Compress the volumes in a folder, and rid headers and sidecars of what they are not to tell."""
    is_cleaned = sidecars is not SidecarContent.EVERYTHING
    for path in folder.glob(f"*{IMAGE_SUFFIX}"):
        _compress(path, is_cleaned=is_cleaned)
    if is_cleaned:
        for path in folder.glob("*.json"):
            clean_sidecar(path)


def write_record(folder: Path, series: SeriesReference, instances: Collection[str]) -> None:
    """Write the record of what is in a folder, and make all of it durable."""
    record = {
        "SeriesInstanceUID": series.series_instance_uid,
        "SOPInstanceUIDs": sorted(instances),
        "Sizes": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    (folder / RECORD).write_text(json.dumps(record, indent=2))
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)


def read_record(folder: Path, series: SeriesReference) -> frozenset[str]:
    """Return the SOP Instance UIDs in the volumes of a folder; none if one of its files is missing."""
    try:
        record = json.loads((folder / RECORD).read_bytes())
        is_intact = record["SeriesInstanceUID"] == series.series_instance_uid and all(
            (folder / name).stat().st_size == size for name, size in record["Sizes"].items()
        )
        return frozenset(record["SOPInstanceUIDs"]) if is_intact else frozenset()
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def _compress(path: Path, *, is_cleaned: bool) -> None:
    """Replace a volume by a compressed one."""
    with (
        path.open("rb") as volume,
        path.with_name(f"{path.name}.gz").open("wb") as file,
        gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0) as compressed,
    ):
        start = volume.read(LONGEST_HEADER)
        compressed.write(cleaned_header(start) if is_cleaned else start)
        shutil.copyfileobj(volume, compressed, _COPIED_AT_ONCE)
    path.unlink()
