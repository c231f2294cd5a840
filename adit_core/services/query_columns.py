"""The columns of a batch query: what each asks for, and at which level of the hierarchy.

================== ====== ======================================================================
column             level  a cell may hold
================== ====== ======================================================================
PatientID          study  text
PatientName        study  text, as DICOM writes it: ``Miller^Susan``
PatientBirthDate   study  a day
StudyInstanceUID   study  a UID
AccessionNumber    study  text
From, Until        study  the first and the last day of the study; one may be empty
Modality           both   one or more: ``CT, MR``
StudyDescription   study  text
SeriesInstanceUID  series a UID
SeriesDescription  series text
SeriesNumber       series a number
Pseudonym                 what the patient is to be called after a transfer
any other keyword  either what fits its value representation (PS3.6)
================== ====== ======================================================================

- Text may hold the wildcards ``*`` (any characters) and ``?`` (one character). Archives differ in whether
  case and accents matter to them.
- Text between slashes, such as ``/chest|thorax/``, is a regular expression of Python. It has to fit
  somewhere in the value, and case does not matter. Archives cannot be asked for it, so ADIT sifts what they
  find by the other columns.
- A day is written ``2024-01-31``, ``20240131`` or ``31.01.2024``.
- If a row has anything in a column of the series level, its results are series, else studies. ``*`` asks
  for the series without choosing among them, and what an archive tells of any further attribute.
- A column whose name begins with ``#`` is ignored.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from pydicom.datadict import dictionary_VR, keyword_dict

from adit_core.services.cells import folded

PATIENT_ID = "PatientID"
PATIENT_NAME = "PatientName"
PATIENT_BIRTH_DATE = "PatientBirthDate"
STUDY_INSTANCE_UID = "StudyInstanceUID"
ACCESSION_NUMBER = "AccessionNumber"
FROM = "From"
UNTIL = "Until"
MODALITY = "Modality"
STUDY_DESCRIPTION = "StudyDescription"
SERIES_INSTANCE_UID = "SeriesInstanceUID"
SERIES_DESCRIPTION = "SeriesDescription"
SERIES_NUMBER = "SeriesNumber"
PSEUDONYM = "Pseudonym"


class Level(StrEnum):
    """Where in the hierarchy an attribute belongs; patients are asked for with their studies."""

    STUDY = "study"
    SERIES = "series"


class CellForm(StrEnum):
    """What a cell may hold."""

    TEXT = "text"
    NAME = "name"
    DAY = "day"
    UID = "UID"
    CODES = "codes"
    WHOLE_NUMBER = "whole number"
    NUMBER = "number"
    LABEL = "label"
    """Text that asks nothing."""
    AS_IS = "as it is"
    """What only archives can match: times, which may be ranges."""


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """A column. ``is_further`` tells that ADIT gives no meaning of its own to the attribute."""

    name: str
    level: Level
    form: CellForm
    is_further: bool = False


KNOWN_COLUMNS = {
    column.name: column
    for column in (
        QueryColumn(PATIENT_ID, Level.STUDY, CellForm.TEXT),
        QueryColumn(PATIENT_NAME, Level.STUDY, CellForm.NAME),
        QueryColumn(PATIENT_BIRTH_DATE, Level.STUDY, CellForm.DAY),
        QueryColumn(STUDY_INSTANCE_UID, Level.STUDY, CellForm.UID),
        QueryColumn(ACCESSION_NUMBER, Level.STUDY, CellForm.TEXT),
        QueryColumn(FROM, Level.STUDY, CellForm.DAY),
        QueryColumn(UNTIL, Level.STUDY, CellForm.DAY),
        QueryColumn(MODALITY, Level.STUDY, CellForm.CODES),
        QueryColumn(STUDY_DESCRIPTION, Level.STUDY, CellForm.TEXT),
        QueryColumn(SERIES_INSTANCE_UID, Level.SERIES, CellForm.UID),
        QueryColumn(SERIES_DESCRIPTION, Level.SERIES, CellForm.TEXT),
        QueryColumn(SERIES_NUMBER, Level.SERIES, CellForm.WHOLE_NUMBER),
        QueryColumn(PSEUDONYM, Level.STUDY, CellForm.LABEL),
    )
}

_FORMS_OF_VR = {
    **dict.fromkeys(("AE", "AS", "CS", "LO", "LT", "SH", "ST", "UC", "UT", "UR"), CellForm.TEXT),
    "PN": CellForm.NAME,
    "DA": CellForm.DAY,
    "UI": CellForm.UID,
    "IS": CellForm.WHOLE_NUMBER,
    "DS": CellForm.NUMBER,
    **dict.fromkeys(("TM", "DT"), CellForm.AS_IS),
}
"""By value representation; what is missing is binary, or a sequence, and no key of a query."""
_INSTEAD = {
    "StudyDate": f"{FROM} and {UNTIL}",
    "ModalitiesInStudy": MODALITY,
    "QueryRetrieveLevel": "",
    "SpecificCharacterSet": "",
    "SOPInstanceUID": "",
}
"""Keywords that are no columns, and what to use for them."""

# Patient, Patient Study and General Study Module (PS3.3 C.7), and the attributes of PS3.4 C.6.2.1.2.
_STUDY_GROUPS = frozenset({0x0010, 0x0032, 0x0038})
_STUDY_KEYWORDS = frozenset(
    {
        "AdmittingDiagnosesDescription",
        "ConsultingPhysicianName",
        "NameOfPhysiciansReadingStudy",
        "NumberOfPatientRelatedInstances",
        "NumberOfPatientRelatedSeries",
        "NumberOfPatientRelatedStudies",
        "NumberOfStudyRelatedInstances",
        "NumberOfStudyRelatedSeries",
        "OtherStudyNumbers",
        "PhysiciansOfRecord",
        "ReferringPhysicianAddress",
        "ReferringPhysicianName",
        "ReferringPhysicianTelephoneNumbers",
        "SOPClassesInStudy",
        "StudyID",
        "StudyTime",
    }
)
_META_GROUPS = frozenset({0x0000, 0x0002})


def column_of(title: str) -> QueryColumn | None:
    """Return the column that a title names; None if it is no column of a query."""
    known = _known_by_folded_name().get(folded(title))
    if known is not None:
        return known
    keyword = _keywords_by_folded_name().get(folded(title))
    return None if keyword is None else _further_column(keyword)


def title_problem(title: str) -> str:
    """Return why a title names no column, and what to do about it; empty if it does."""
    if column_of(title) is not None:
        return ""
    keyword = _keywords_by_folded_name().get(folded(title))
    if keyword is None:
        return (
            "This is neither a column of a query nor a keyword of DICOM. Put # before it to have it ignored."
        )
    instead = _INSTEAD.get(keyword)
    if instead:
        return f"Use {instead} instead."
    return "Archives cannot be asked for this attribute. Put # before it to have it ignored."


def _further_column(keyword: str) -> QueryColumn | None:
    form = _FORMS_OF_VR.get(dictionary_VR(keyword))
    if form is None or keyword in _INSTEAD or keyword_dict[keyword] >> 16 in _META_GROUPS:
        return None
    return QueryColumn(keyword, _level_of(keyword), form, is_further=True)


def _level_of(keyword: str) -> Level:
    belongs_to_study = keyword in _STUDY_KEYWORDS or keyword_dict[keyword] >> 16 in _STUDY_GROUPS
    return Level.STUDY if belongs_to_study else Level.SERIES


@cache
def _known_by_folded_name() -> dict[str, QueryColumn]:
    return {folded(name): column for name, column in KNOWN_COLUMNS.items()}


@cache
def _keywords_by_folded_name() -> dict[str, str]:
    return {folded(keyword): keyword for keyword in keyword_dict}
