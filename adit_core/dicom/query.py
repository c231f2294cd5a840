"""What is asked of an archive, and what it answers, at each level of the hierarchy (PS3.4 C.6).

Text may hold the wildcards ``*`` and ``?`` (PS3.4 C.2.2.2.4). Archives differ in what they match:
some ignore ModalitiesInStudy, others fold case or umlauts. :meth:`PatientQuery.matches`,
:meth:`StudyQuery.matches` and :meth:`SeriesQuery.matches` therefore decide again on our side.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum

from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference

_TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(?:\.(\d{1,6}))?")
"""A TM value; with colons before 1993 (PS3.5 6.2)."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """Days from ``start`` to ``end``, both included; None is open (PS3.4 C.2.2.2.5)."""

    start: date | None = None
    end: date | None = None

    def to_dicom(self) -> str:
        """Return the value of a DA range matching key, empty if both ends are open."""
        if self.start is None and self.end is None:
            return ""
        start, end = (day.strftime("%Y%m%d") if day else "" for day in (self.start, self.end))
        return start if start == end else f"{start}-{end}"

    def contains(self, day: date | None) -> bool:
        """Tell whether `day` lies in the range; an unknown day lies in the open range only."""
        if day is None:
            return self.start is None and self.end is None
        return (self.start is None or day >= self.start) and (self.end is None or day <= self.end)


Attributes = tuple[tuple[str, str], ...]
"""Further attributes by keyword, with their values as DICOM writes them.

In a query, an empty value only asks what the attribute is. Archives need not know any of these: then they
answer as if it had not been asked for (PS3.4 C.2.2.1.3). ``matches`` leaves them to whoever asks.
"""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Times of day from ``start`` to ``end``, both included; None is open (PS3.4 C.2.2.2.5)."""

    start: time | None = None
    end: time | None = None

    def to_dicom(self) -> str:
        """Return the value of a TM range matching key, empty if both ends are open.

        Some archives compare texts (Orthanc), for which a study at "0815" comes before "081500". So the
        start is as short as it can be.
        """
        if self.start is None and self.end is None:
            return ""
        start = _digits(self.start)
        while len(start) > 2 and start.endswith("00"):
            start = start[:-2]
        return f"{start}-{_digits(self.end)}"

    def contains(self, moment: time | None) -> bool:
        """Tell whether `moment` lies in the range; an unknown time lies in the open range only."""
        if moment is None:
            return self.start is None and self.end is None
        return (self.start is None or moment >= self.start) and (self.end is None or moment <= self.end)


def time_of_day(value: str) -> time | None:
    """Return a TM value as a time, None if there is none or it is not one; what is left out is zero."""
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    hour, minute, second, fraction = (part or "0" for part in match.groups())
    try:
        return time(int(hour), int(minute), min(int(second), 59), int(fraction.ljust(6, "0")))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class PatientQuery:
    """Keys for patients; empty matches all."""

    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: DateRange = DateRange()

    def matches(self, patient: "PatientResult") -> bool:
        """Tell whether `patient` fulfils every key, whatever the archive made of them."""
        return (
            text_matches(self.patient_id, patient.patient_id)
            and name_matches(self.patient_name, patient.patient_name)
            and self.patient_birth_date.contains(patient.patient_birth_date)
        )


@dataclass(frozen=True, slots=True)
class StudyQuery:
    """Keys for studies; empty matches all. A study matches if it has any of ``modalities``."""

    patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: DateRange = DateRange()
    study_instance_uid: str = ""
    accession_number: str = ""
    study_date: DateRange = DateRange()
    study_time: TimeRange = TimeRange()
    """Matched apart from the date: on each day of ``study_date``."""
    study_description: str = ""
    modalities: frozenset[str] = frozenset()
    further: Attributes = ()

    def matches(self, study: "StudyResult") -> bool:
        """Tell whether `study` fulfils every key, whatever the archive made of them."""
        return (
            text_matches(self.patient_id, study.reference.patient_id)
            and name_matches(self.patient_name, study.patient_name)
            and self.patient_birth_date.contains(study.patient_birth_date)
            and self.study_instance_uid in ("", study.reference.study_instance_uid)
            and text_matches(self.accession_number, study.accession_number)
            and self.study_date.contains(study.study_date)
            and self.study_time.contains(time_of_day(study.study_time))
            and text_matches(self.study_description, study.study_description)
            and (not self.modalities or not study.modalities or bool(self.modalities & study.modalities))
        )


@dataclass(frozen=True, slots=True)
class EveryAnswer(StudyQuery):
    """Keys for studies of which all are wanted that the archive answers with, whether they fit or not."""

    def matches(self, study: "StudyResult") -> bool:  # noqa: ARG002 - that is what it is for
        """Accept everything."""
        return True


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """Keys for the series of one study; empty matches all."""

    study: StudyReference
    series_instance_uid: str = ""
    modality: str = ""
    series_description: str = ""
    series_number: int | None = None
    further: Attributes = ()

    def matches(self, series: "SeriesResult") -> bool:
        """Tell whether `series` fulfils every key, whatever the archive made of them."""
        return (
            self.series_instance_uid in ("", series.reference.series_instance_uid)
            and self.modality in ("", series.modality)
            and text_matches(self.series_description, series.series_description)
            and self.series_number in (None, series.series_number)
        )


class Level(StrEnum):
    """A level of the hierarchy, as Query/Retrieve Level calls it (PS3.4 C.6.2)."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    INSTANCE = "IMAGE"


Keys = Mapping[str, "str | Keys"]
"""Attributes by keyword: what each is to match, empty for anything; of a sequence, the keys of its item."""


@dataclass(frozen=True, slots=True)
class AttributeQuery:
    """Keys of any attributes at one level, for those who know what they ask for.

    Below the study level, ``study`` names the study that is searched in, and at the instance level
    ``series_instance_uid`` the series. Unlike other queries, answers are handed on as they are.
    """

    level: Level
    keys: Keys
    study: StudyReference = field(default_factory=lambda: StudyReference(""))
    series_instance_uid: str = ""
    is_fuzzy: bool = False
    """Whether names that sound alike may match, where the archive can do that (PS3.4 C.2.2.2.1.1).

    By C-FIND that is agreed upon for a whole association, and `DimseFuzzySearcher` is what asks so.
    """


@dataclass(frozen=True, slots=True)
class PatientResult:
    """A patient that an archive knows."""

    patient_id: str
    patient_name: str = ""
    patient_birth_date: date | None = None
    patient_sex: str = ""


@dataclass(frozen=True, slots=True)
class StudyResult:
    """A study that an archive knows. Counts are None where the archive does not tell them."""

    reference: StudyReference
    patient_name: str = ""
    patient_birth_date: date | None = None
    patient_sex: str = ""
    accession_number: str = ""
    study_date: date | None = None
    study_time: str = ""
    study_description: str = ""
    modalities: frozenset[str] = frozenset()
    number_of_series: int | None = None
    number_of_instances: int | None = None
    institution_name: str = ""
    """Empty where the archive does not tell it, or not of studies."""
    further: Attributes = ()
    """What the query asked for besides."""


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """A series that an archive knows."""

    reference: SeriesReference
    modality: str = ""
    series_number: int | None = None
    series_description: str = ""
    number_of_instances: int | None = None
    institution_name: str = ""
    """Empty where the archive does not tell it, or not of series."""
    further: Attributes = ()
    """What the query asked for besides."""


@dataclass(frozen=True, slots=True)
class InstanceResult:
    """An instance that an archive knows. ``sop_class_uid`` is empty where the archive does not tell it."""

    reference: InstanceReference
    sop_class_uid: str = ""
    instance_number: int | None = None


def _digits(moment: time | None) -> str:
    return moment.isoformat().replace(":", "") if moment else ""


def name_matches(pattern: str, name: str) -> bool:
    """Tell whether `pattern` is a whole name, or its alphabetic, ideographic or phonetic group (PS3.5 6.2.1).

    Otherwise as `text_matches`.
    """
    return any(text_matches(pattern, part) for part in (name, *name.split("=")))


def text_matches(pattern: str, value: str) -> bool:
    """Tell whether `value` is what `pattern` says, with its wildcards; an empty pattern is anything.

    Case, accents and empty trailing components of a name do not matter.
    """
    if not pattern:
        return True
    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in _folded(pattern))
    return re.fullmatch(expression, _folded(value), re.DOTALL) is not None


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char)).strip().rstrip("^")
