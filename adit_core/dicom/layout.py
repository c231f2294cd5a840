"""Where an instance lies in a folder or an archive file: patient / study / series / instance.

Identifiers come from outside and become names of files, so that each is made safe on its own: it
cannot climb out of the folder, it is a valid name on Linux, macOS and Windows, and different
identifiers have different names even where the file system does not tell the case of letters apart.
"""

import hashlib
import re
from pathlib import PurePosixPath

from adit_core.dicom.references import SeriesReference

SUFFIX = ".dcm"

_UNKNOWN_PATIENT = "unknown"
_PLAIN = re.compile(r"[0-9A-Z_-]([0-9A-Z._-]{0,62}[0-9A-Z_-])?")
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?")
_UNSAFE = re.compile(r"[^0-9A-Za-z_-]")
_MARK = "~"
_LONGEST_STEM = 40


def series_folder(series: SeriesReference) -> PurePosixPath:
    """Return the folder of a series, relative to the root."""
    study = series.study
    patient = safe_name(study.patient_id.strip()) if study.patient_id.strip() else _UNKNOWN_PATIENT
    return PurePosixPath(patient, safe_name(study.study_instance_uid), safe_name(series.series_instance_uid))


def file_name(sop_instance_uid: str) -> str:
    """Return the name of an instance's file in the folder of its series."""
    return safe_name(sop_instance_uid) + SUFFIX


def safe_name(identifier: str) -> str:
    """Return a file name for `identifier`, always the same one.

    An identifier of digits, capital letters and ``-_.`` stays as it is, unless Windows reserves it or
    it begins or ends with a dot. Any other is changed where it must be, and marked with the beginning
    of its hash::

        DEMO0001     DEMO0001
        1.2.840.1    1.2.840.1
        demo0001     demo0001~c83b04fc
        ../etc       ___etc~f7f9121f
    """
    if _PLAIN.fullmatch(identifier) and not _RESERVED.fullmatch(identifier):
        return identifier
    digest = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_UNSAFE.sub('_', identifier)[:_LONGEST_STEM]}{_MARK}{digest}"


def is_identifier(name: str) -> bool:
    """Tell whether a name made by :func:`safe_name` is the identifier itself."""
    return _MARK not in name
