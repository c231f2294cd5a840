"""What a de-identified object says about itself (PS3.15 E.2, PS3.3 C.12.1 and C.7.1.1, CID 7050)."""

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from adit_core.deid.profile import DeidProfile, Mode, ProfileOption
from adit_core.deid.subject import Project, Subject

_BASIC = ("113100", "Basic Application Confidentiality Profile")
_CODES = {
    ProfileOption.CLEAN_PIXEL_DATA: ("113101", "Clean Pixel Data Option"),
    ProfileOption.CLEAN_GRAPHICS: ("113103", "Clean Graphics Option"),
    ProfileOption.CLEAN_STRUCTURED_CONTENT: ("113104", "Clean Structured Content Option"),
    ProfileOption.CLEAN_DESCRIPTORS: ("113105", "Clean Descriptors Option"),
    ProfileOption.RETAIN_FULL_DATES: (
        "113106", "Retain Longitudinal Temporal Information Full Dates Option",
    ),
    ProfileOption.RETAIN_MODIFIED_DATES: (
        "113107", "Retain Longitudinal Temporal Information Modified Dates Option",
    ),
    ProfileOption.RETAIN_PATIENT_CHARACTERISTICS: ("113108", "Retain Patient Characteristics Option"),
    ProfileOption.RETAIN_DEVICE_IDENTITY: ("113109", "Retain Device Identity Option"),
    ProfileOption.RETAIN_UIDS: ("113110", "Retain UIDs Option"),
    ProfileOption.RETAIN_SAFE_PRIVATE: ("113111", "Retain Safe Private Option"),
    ProfileOption.RETAIN_INSTITUTION_IDENTITY: ("113112", "Retain Institution Identity Option"),
}  # fmt: skip
UNSPECIFIED = "UNSPECIFIED"
"""The Clinical Trial Sponsor Name, which the Clinical Trial Subject Module demands (PS3.3 C.7.1.3)."""


def marks(project: Project, subject: Subject) -> list[DataElement]:
    """Return the attributes that say who this is now, what was done to the object, and for which trial."""
    profile = project.profile
    found = Dataset()
    found.PatientName = subject.pseudonym
    found.PatientID = subject.pseudonym
    found.PatientIdentityRemoved = "YES"
    found.DeidentificationMethod = [f"ADIT {profile.name} {profile.version}", *_allow_list(profile)]
    found.DeidentificationMethodCodeSequence = [
        _code(*code)
        for code in (_BASIC, *(code for option, code in _CODES.items() if option in profile.options))
    ]
    found.LongitudinalTemporalInformationModified = _what_happened_to_dates(profile)
    if project.trial_protocol_id:
        found.ClinicalTrialSponsorName = UNSPECIFIED
        found.ClinicalTrialProtocolID = project.trial_protocol_id
        found.ClinicalTrialProtocolName = project.trial_protocol_name
        found.ClinicalTrialSiteID = ""
        found.ClinicalTrialSiteName = ""
        found.ClinicalTrialSubjectID = subject.pseudonym
    return list(found)


def _allow_list(profile: DeidProfile) -> list[str]:
    return ["allow-list"] if profile.mode is Mode.ALLOW_LIST else []


def _what_happened_to_dates(profile: DeidProfile) -> str:
    if ProfileOption.RETAIN_FULL_DATES in profile.options:
        return "UNMODIFIED"
    return "MODIFIED" if ProfileOption.RETAIN_MODIFIED_DATES in profile.options else "REMOVED"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item
