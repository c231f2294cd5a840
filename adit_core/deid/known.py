"""What a data set says about who is who: the values that must not stand in any text of it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary

from adit_core.deid.charsets import decode
from adit_core.deid.opened import Opened, raw_value
from adit_core.deid.standard import tags, vocabulary

_NAMES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "PN")
_IDENTIFIERS = tags(
    "PatientID OtherPatientIDs AccessionNumber AdmissionID ServiceEpisodeID StudyID RequestedProcedureID"
    " ScheduledProcedureStepID PerformedProcedureStepID PlacerOrderNumberImagingServiceRequest"
    " FillerOrderNumberImagingServiceRequest MedicalRecordLocator InsurancePlanIdentification"
    " PatientTelephoneNumbers PatientTelecomInformation PersonTelephoneNumbers PersonTelecomInformation"
    " ReferringPhysicianTelephoneNumbers IssuerOfPatientID MilitaryRank DeviceSerialNumber PlateID"
    " CassetteID GantryID DetectorID ClinicalTrialSubjectID ClinicalTrialSubjectReadingID"
)
_PLACES = tags(
    "PatientAddress PersonAddress ReferringPhysicianAddress InstitutionName InstitutionAddress"
    " InstitutionalDepartmentName RegionOfResidence CountryOfResidence PatientReligiousPreference Occupation"
    " CurrentPatientLocation PatientInstitutionResidence StationName RequestingService ClinicalTrialSiteName"
    " ClinicalTrialSiteID"
)
_IDENTIFYING = _NAMES | _IDENTIFIERS | _PLACES

_WORD = re.compile(r"[^\W_]+")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae"})
_COMPONENTS_THAT_NAME = 3
"""Family, given and middle name; prefix and suffix name nobody (PS3.5 6.2.1)."""
_SHORTEST_IDENTIFIER = 3
_SHORTEST_ANYWHERE = 5
_SHORTEST_WORD = 2


@dataclass(frozen=True, slots=True)
class KnownValues:
    """Words, in lower case, that stand for a person or place; identifiers without their punctuation."""

    words: frozenset[str]
    identifiers: frozenset[str]


def known_values(data: Opened) -> KnownValues:
    """Return what the identifying attributes of a data set tell, at every depth.

    Words of radiology count where they are somebody's name, but not in an identifier or place.
    """
    return _told(frozenset(_identifying_texts(data)))


def _identifying_texts(data: Opened) -> Iterator[tuple[int, str]]:
    for tag in data.dataset.keys() & _IDENTIFYING:
        value = raw_value(data.dataset.get_item(tag), data.encodings)
        # What does not decode is searched for as Latin-1: so it would stand in texts that do not decode.
        if text := decode(value, data.encodings) or value.decode("latin-1"):
            yield int(tag), text
    for items in data.sequences.values():
        for item in items:
            yield from _identifying_texts(item)


@lru_cache(maxsize=64)
def _told(texts: frozenset[tuple[int, str]]) -> KnownValues:
    names = [text for tag, text in texts if tag in _NAMES]
    identifiers = [text for tag, text in texts if tag in _IDENTIFIERS]
    places = [text for tag, text in texts if tag in _PLACES]
    squeezed = {squeeze(value) for text in identifiers for value in text.split("\\")}
    words = {word for word in _words([*identifiers, *places]) if len(word) >= _SHORTEST_IDENTIFIER}
    words = set(_words(_naming(names))) | words - vocabulary()
    return KnownValues(frozenset(words), frozenset(filter(_is_telling, squeezed)))


def _is_telling(squeezed: str) -> bool:
    """Tell whether an identifier is recognized within a text: shorter ones only are as words of their own."""
    return len(squeezed) >= _SHORTEST_ANYWHERE and any(char.isdigit() for char in squeezed)


def squeeze(text: str) -> str:
    """Return text in lower case without anything but letters and digits."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _naming(names: Iterable[str]) -> Iterator[str]:
    for text in names:
        for name in text.split("\\"):
            for representation in name.split("="):
                yield from representation.split("^")[:_COMPONENTS_THAT_NAME]


def _words(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for match in _WORD.finditer(text.casefold()):
            if len(match[0]) >= _SHORTEST_WORD or not match[0].isascii():
                yield from {match[0], match[0].translate(_UMLAUTS)}
