"""NIfTI files read by their specification, without the code under test."""

import gzip
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 128: "3u1", 256: "i1", 512: "u2"}


@dataclass(frozen=True)
class Volume:
    """A NIfTI-1 file."""

    shape: tuple[int, ...]
    data_type: str
    texts: bytes
    """All bytes in the header that may hold text: descrip and aux_file."""
    data: bytes


def read_volume(path: Path) -> Volume:
    content = gzip.decompress(path.read_bytes())
    assert struct.unpack_from("<i", content) == (348,)
    rank, *sizes = struct.unpack_from("<8h", content, 40)
    (data_type,) = struct.unpack_from("<h", content, 70)
    (offset,) = struct.unpack_from("<f", content, 108)
    assert content[344:348] == b"n+1\0"
    return Volume(
        tuple(sizes[:rank]), _DATA_TYPES[data_type], content[148:252].rstrip(b"\0"), content[int(offset) :]
    )


def recorded_instances(folder: Path) -> list[str]:
    """Return the SOP Instance UIDs that the records below a folder name, where there is a volume, too."""
    return [
        uid
        for record in folder.rglob("instances.json")
        if list(record.parent.glob("*.nii.gz"))
        for uid in _read(record)["SOPInstanceUIDs"]
    ]


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
