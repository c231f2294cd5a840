"""Removes what may tell about a patient from NIfTI files and their JSON sidecars.

It fails closed: of a sidecar, numbers stay and texts that describe the acquisition by the standard's own
terms; everything else goes, descriptions and names of protocols included, since people type into them.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

_TECHNICAL_TEXTS = frozenset(
    {
        "BidsGuess",
        "BodyPart",
        "BodyPartExamined",
        "ConversionSoftware",
        "ConversionSoftwareVersion",
        "ConvolutionKernel",
        "DecayCorrection",
        "ImageType",
        "ImageTypeText",
        "InPlanePhaseEncodingDirectionDICOM",
        "InternalPulseSequenceName",
        "MRAcquisitionType",
        "Manufacturer",
        "ManufacturersModelName",
        "MatrixCoilMode",
        "Modality",
        "ParallelAcquisitionTechnique",
        "PartialFourierDirection",
        "PatientPosition",
        "PhaseEncodingAxis",
        "PhaseEncodingDirection",
        "PulseSequenceType",
        "RandomsCorrectionMethod",
        "ReconstructionMethod",
        "ScanOptions",
        "ScanningSequence",
        "ScatterCorrectionMethod",
        "SequenceVariant",
        "SliceEncodingDirection",
        "SoftwareVersions",
        "SpatialEncoding",
        "Units",
    }
)
_PERSONAL = re.compile(r"^Patient|Accession|Birth|Date|Serial|StudyID|UID")
"""In the names of numbers that are not kept."""

_HEADERS = {
    348: (148, 104),  # NIfTI-1: descrip (80 bytes) and aux_file (24 bytes)
    540: (240, 104),  # NIfTI-2
}
"""By the size that a header begins with: where its texts are, and their length in bytes."""
LONGEST_HEADER = 540


def clean_sidecar(path: Path) -> None:
    """Rewrite a sidecar without anything that may tell about a patient."""
    values = json.loads(path.read_bytes().decode("utf-8", "replace"))
    kept = {name: value for name, value in values.items() if _is_kept(name, value)}
    path.write_text(json.dumps(kept, indent=2))


def cleaned_header(start: bytes) -> bytes:
    """Return the beginning of a NIfTI file without the texts in its header, which hold times and comments.

    Raises:
        ValueError: This is no NIfTI file.
    """
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", start.ljust(4, b"\0"))
        if size in _HEADERS:
            offset, length = _HEADERS[size]
            return start[:offset] + bytes(length) + start[offset + length :]
    raise ValueError("not a NIfTI file")


def _is_kept(name: str, value: Any) -> bool:
    if name in _TECHNICAL_TEXTS:
        return all(isinstance(each, str | int | float) for each in _each(value))
    return not _PERSONAL.search(name) and all(isinstance(each, int | float) for each in _each(value))


def _each(value: Any) -> list[Any]:
    """Return the values of a list of any depth, or the value itself."""
    if not isinstance(value, list):
        return [value]
    return [inner for each in value for inner in _each(each)]
