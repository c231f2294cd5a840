"""Where an instance lies in a folder or an archive file: patient / study / series / instance.

What names are made of comes from outside, so that each is made safe on its own: it cannot climb out
of the folder, it is a valid name on Linux, macOS and Windows, and what is different has different
names even where the file system does not tell the case of letters apart.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from string import Formatter

from adit_core.dicom.query import InstanceResult, SeriesResult, StudyResult
from adit_core.dicom.references import is_valid_uid
from adit_core.errors import InputProblem, InvalidInput, refuse

SUFFIX = ".dcm"

_UNKNOWN = "unknown"
_PLAIN = re.compile(r"[0-9A-Z_-]([0-9A-Z._-]{0,62}[0-9A-Z_-])?")
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)
_UNSAFE = re.compile(r"[^0-9A-Za-z_-]")
_MARK = "~"
_LONGEST_STEM = 40

_NO_TEXT = re.compile(r"[^\w.-]+")
_LONGEST_TEXT = 40
_LONGEST_NAME = 120
"""In bytes of UTF-8; file systems allow 255, and temporary names, marks and suffixes need some."""
_LITERAL = re.compile(r"[0-9A-Za-z_ .()+=,-]*")
_EDGES = " ._-"

_PATIENT_FIELDS = frozenset({"PatientID"})
_STUDY_FIELDS = _PATIENT_FIELDS | {"StudyInstanceUID", "StudyDate", "StudyDescription", "AccessionNumber"}
_SERIES_FIELDS = _STUDY_FIELDS | {"SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality"}
_INSTANCE_FIELDS = _SERIES_FIELDS | {"SOPInstanceUID", "InstanceNumber"}
_DESCRIPTIVE_FIELDS = frozenset({"StudyDate", "StudyDescription", "AccessionNumber"})
"""Of a study, more than what refers to it."""
_IDENTIFIERS = frozenset({"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"})
_NUMBERS = frozenset({"SeriesNumber", "InstanceNumber"})
_NUMBER_FORMAT = re.compile(r"(0[1-9])?")


@dataclass(frozen=True, slots=True)
class Names:
    """How folders and files are named: one template for each level, with attributes in braces.

    ::

        study="{StudyDate} {StudyDescription}"     20240102 CT_Thorax~5b1f0c9a
        series="{SeriesNumber:03}_{Modality}"      003_CT~91c8d0aa
        instance="{InstanceNumber:04}"             0017~0e52aa31.dcm

    A name that does not hold the identifier of what it names (Patient ID or UID) is marked with the
    beginning of its hash: names do not depend on what else is in the folder, or who came first. The
    levels of patient and study may be left out by an empty template.

    Raises:
        InvalidInput: A template cannot be used; the field is the level.
    """

    patient: str = "{PatientID}"
    study: str = "{StudyInstanceUID}"
    series: str = "{SeriesInstanceUID}"
    instance: str = "{SOPInstanceUID}"

    def __post_init__(self) -> None:
        problems = [
            InputProblem(problem, field=level)
            for level, template, allowed, optional in (
                ("patient", self.patient, _PATIENT_FIELDS, True),
                ("study", self.study, _STUDY_FIELDS, True),
                ("series", self.series, _SERIES_FIELDS, False),
                ("instance", self.instance, _INSTANCE_FIELDS, False),
            )
            if (problem := _problem(template, allowed, optional=optional))
        ]
        refuse(*problems)

    @property
    def needs_description(self) -> bool:
        """True if the names hold more of a study than its UID and Patient ID."""
        return any(map(needs_description, (self.patient, self.study, self.series, self.instance)))

    @property
    def names_instances_by_uid(self) -> bool:
        """True if a file is named after its SOP Instance UID and nothing else."""
        return self.instance == "{SOPInstanceUID}"

    def series_folder(self, study: StudyResult, series: SeriesResult) -> PurePosixPath:
        """Return the folder of a series, relative to the root."""
        values = _study_values(study) | _series_values(series)
        parts = (
            _render(self.patient, values, "PatientID"),
            _render(self.study, values, "StudyInstanceUID"),
            _render(self.series, values, "SeriesInstanceUID"),
        )
        return PurePosixPath(*filter(None, parts))

    def file_name(self, study: StudyResult, series: SeriesResult, instance: InstanceResult) -> str:
        """Return the name of an instance's file in the folder of its series."""
        values = _study_values(study) | _series_values(series) | _instance_values(instance)
        return _render(self.instance, values, "SOPInstanceUID") + SUFFIX


def needs_description(template: str) -> bool:
    """Tell whether a name holds more of a study than its UID and Patient ID."""
    return not _DESCRIPTIVE_FIELDS.isdisjoint(_fields(template))


def check_archive_name(template: str) -> None:
    """Raise InvalidInput if `template` cannot name archive files; attributes of studies may be used."""
    if problem := _problem(template, _STUDY_FIELDS, optional=False):
        raise InvalidInput(InputProblem(problem, field="archive"))


def archive_name(template: str, study: StudyResult) -> str:
    """Return the name of the archive that a study belongs in; others may belong in the same."""
    return _made_safe(_filled(template, _study_values(study)))


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
    return f"{_UNSAFE.sub('_', identifier)[:_LONGEST_STEM]}{_MARK}{_digest(identifier)}"


def is_identifier(name: str) -> bool:
    """Tell whether a name made by :func:`safe_name` is the identifier itself."""
    return _MARK not in name


def _problem(template: str, allowed: frozenset[str], *, optional: bool) -> str:
    """Say in words why a template cannot be used, empty if it can."""
    if not template:
        return "" if optional else "This level cannot be left out."
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return "The braces do not match."
    if template[0] in " ." or template[-1] in " .":
        return "A name cannot begin or end with a space or a dot."
    problems = (_part_problem(*part, allowed=allowed) for part in parts)
    return next(filter(None, problems), "")


def _part_problem(
    literal: str, field: str | None, form: str | None, conversion: str | None, *, allowed: frozenset[str]
) -> str:
    if not _LITERAL.fullmatch(literal):
        return "Beside attributes, use letters and digits of ASCII, spaces and _.()+=,- only."
    if field is None:
        return ""
    if field not in allowed:
        return f"Attributes that can be used here: {', '.join(sorted(allowed))}."
    if conversion or not (_NUMBER_FORMAT.fullmatch(form or "") if field in _NUMBERS else not form):
        return "Only numbers have a format, which is 0 and how many digits they have at least, as in 03."
    return ""


def _fields(template: str) -> list[str]:
    return [field for _, field, _, _ in Formatter().parse(template) if field]


def _study_values(study: StudyResult) -> dict[str, str | int | None]:
    return {
        "PatientID": study.reference.patient_id.strip(),
        "StudyInstanceUID": study.reference.study_instance_uid,
        "StudyDate": study.study_date.strftime("%Y%m%d") if study.study_date else "",
        "StudyDescription": study.study_description,
        "AccessionNumber": study.accession_number,
    }


def _series_values(series: SeriesResult) -> dict[str, str | int | None]:
    return {
        "SeriesInstanceUID": series.reference.series_instance_uid,
        "SeriesNumber": series.series_number,
        "SeriesDescription": series.series_description,
        "Modality": series.modality,
    }


def _instance_values(instance: InstanceResult) -> dict[str, str | int | None]:
    return {
        "SOPInstanceUID": instance.reference.sop_instance_uid,
        "InstanceNumber": instance.instance_number,
    }


def _render(template: str, values: Mapping[str, str | int | None], identifier: str) -> str:
    """Return a name in which `identifier` shows, as itself or by its hash; empty for an empty template."""
    if not template:
        return ""
    name = _filled(template, values)
    if name == _made_safe(name) and _tells_apart(template, identifier, str(values[identifier])):
        return name
    return f"{_made_safe(name.strip(_EDGES))}{_MARK}{_digest(str(values[identifier]))}"


def _filled(template: str, values: Mapping[str, str | int | None]) -> str:
    return "".join(
        literal + (_value(field, form or "", values[field]) if field else "")
        for literal, field, form, _ in Formatter().parse(template)
    )


def _made_safe(name: str) -> str:
    """Return a name that is not too long, not empty, and not reserved; itself if it is none of these."""
    cut = _cut(name, _LONGEST_NAME).strip(" .") or _UNKNOWN
    return f"_{cut}" if _RESERVED.fullmatch(cut) else cut


def _tells_apart(template: str, identifier: str, value: str) -> bool:
    """Tell whether names that a template makes for different values of `identifier` always differ.

    =====================================================  ====
    the template holds                                     then
    =====================================================  ====
    the identifier and no other attribute                  yes
    a UID that nothing else in the name can be a part of   yes
    anything else                                          no
    =====================================================  ====
    """
    if _fields(template) == [identifier]:
        return True
    bounded = re.search(rf"(?:^|[^0-9.}}])\{{{identifier}\}}(?:$|[^0-9.{{])", template)
    return identifier != "PatientID" and bounded is not None and is_valid_uid(value)


def _value(field: str, form: str, value: str | int | None) -> str:
    if field in _IDENTIFIERS:
        return safe_name(str(value)) if value else _UNKNOWN
    if isinstance(value, int):
        return format(value, form)
    return _safe_text(value or "")


def _safe_text(text: str) -> str:
    """Return free text without what some file system does not bear; texts may become the same."""
    # Lone surrogates stand for bytes that were no text.
    composed = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode("utf-8"))
    return _cut(_NO_TEXT.sub("_", composed.strip())[:_LONGEST_TEXT], _LONGEST_NAME).strip(_EDGES)


def _cut(text: str, length: int) -> str:
    """Return as many characters of the beginning as fit into so many bytes."""
    return text.encode("utf-8")[:length].decode("utf-8", "ignore")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
