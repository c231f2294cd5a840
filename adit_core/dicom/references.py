"""References to what an archive holds: study, series and instance, by their UIDs (PS3.3 A.1)."""

import re
from dataclasses import dataclass

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
_MAX_UID_LENGTH = 64


def is_valid_uid(value: str) -> bool:
    """Tell whether `value` is a UID: digits and dots, no leading zeros, 64 characters at most (PS3.5 9.1)."""
    return len(value) <= _MAX_UID_LENGTH and _UID.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class StudyReference:
    """A study. ``patient_id`` is needed by nodes that know the patient root only (PS3.4 C.6.1)."""

    study_instance_uid: str
    patient_id: str = ""

    def in_words(self) -> str:
        """Name the study in a message, without the Patient ID."""
        return f"study {self.study_instance_uid}"


@dataclass(frozen=True, slots=True)
class SeriesReference:
    """A series and the study that it belongs to."""

    study: StudyReference
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class InstanceReference:
    """An instance and the series that it belongs to."""

    series: SeriesReference
    sop_instance_uid: str
