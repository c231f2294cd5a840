"""A second look at what de-identification made, with other eyes: is anything identifying left?

It shares no code with the engine, only facts: the dictionary and the vocabulary of radiology. It takes
what identifies from the original and looks for it in the result, in every value at every depth.

=================  ==================================  =====================================
of the original    is found                            in
=================  ==================================  =====================================
parts of names     as a word                           text
words of places    as a word of 4 letters or more      text
identifiers        as a word; without punctuation and  text
                   anywhere if 5 characters or more
dates              in the usual spellings              text, and date attributes: their own
birth date         likewise                            text, and all date attributes
UIDs               as a UID                            text and UIDs
all but dates      in its own bytes if 6 or more       whatever is no text
=================  ==================================  =====================================

What the profile keeps on purpose is not looked for, and attributes that it overrides are not looked at;
nor are numbers (IS, DS), for any slice position may contain the digits of an identifier.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary
from pydicom.charset import convert_encodings, python_encoding
from pydicom.datadict import dictionary_keyword, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from adit_core.deid.profile import DeidProfile, ProfileOption
from adit_core.deid.standard import vocabulary

_TEXT_VRS = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DATE_VRS = frozenset({"DA", "DT"})
_UNSEARCHED_VRS = frozenset({"DS", "IS", "TM"})
_BULK = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010, 0x56000020})
"""Pixel data and spectra, whose text, if any, is for those who look at pixels."""


def _tags(keywords: str) -> frozenset[int]:
    return frozenset(tag for keyword in keywords.split() if (tag := tag_for_keyword(keyword)) is not None)


_NAMES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "PN")
_IDENTIFIERS = _tags(
    "PatientID OtherPatientIDs AccessionNumber AdmissionID ServiceEpisodeID StudyID RequestedProcedureID"
    " ScheduledProcedureStepID PerformedProcedureStepID PlacerOrderNumberImagingServiceRequest"
    " FillerOrderNumberImagingServiceRequest MedicalRecordLocator InsurancePlanIdentification"
    " PatientTelephoneNumbers PatientTelecomInformation PersonTelephoneNumbers PersonTelecomInformation"
    " ReferringPhysicianTelephoneNumbers IssuerOfPatientID"
)
_DEVICES = _tags("DeviceSerialNumber StationName PlateID CassetteID GantryID DetectorID")
_ADDRESSES = _tags(
    "PatientAddress PersonAddress ReferringPhysicianAddress CurrentPatientLocation Occupation"
    " PatientInstitutionResidence RegionOfResidence CountryOfResidence RequestingService"
)
_INSTITUTIONS = _tags("InstitutionName InstitutionAddress InstitutionalDepartmentName ClinicalTrialSiteName")
_BIRTH_DATE = frozenset({0x00100030})
_OF_THE_PROJECT = _tags(
    "PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence"
    " LongitudinalTemporalInformationModified ClinicalTrialSponsorName ClinicalTrialProtocolID"
    " ClinicalTrialProtocolName SpecificCharacterSet"
)
"""What is written into every object that leaves; character sets are defined terms, else nothing leaves."""
_KINDS = re.compile("Class|TransferSyntax|CodingScheme|MappingResource|ContextUID|ContextGroup")
"""Keywords of UIDs that name kinds of things."""
_WORD = re.compile(r"[^\W_]+")
_UID = re.compile(r"[0-9]+(?:\.[0-9]+){3,}")
_ESCAPE = re.compile(rb"\x1b[$()\-]{1,2}[@-Z]")
_DIGRAPHS = {"ä": "ae", "ö": "oe", "ü": "ue"}
_NAMING_COMPONENTS = 3
_SHORTEST_PART_OF_NAME = 2
_SHORTEST_WORD_OF_PLACE = 4
_SHORTEST_IDENTIFIER = 3
_SHORTEST_ANYWHERE = 5
_SHORTEST_BYTES = 6
_MONTHS = (
    "january february march april may june july august september october november december",
    "januar februar märz april mai juni juli august september oktober november dezember",
)


@dataclass(frozen=True, slots=True)
class Residue:
    """Something of the original that is left: of which attribute, and where. It tells no value."""

    of: str
    path: str


@dataclass(frozen=True, slots=True)
class _Value:
    path: str
    tag: int
    vr: str
    value: bytes


@dataclass(frozen=True, slots=True)
class _Needles:
    """What to look for, in lower case; the attribute that each comes from."""

    words: dict[str, str]
    anywhere: dict[str, str]
    encoded: dict[bytes, str]


def residual_identifiers(original: Dataset, result: Dataset, profile: DeidProfile) -> list[Residue]:
    """Return what identifies in `original` and is left in `result`, none if it is clean.

    Raises what pydicom raises for a data set that cannot be read: that is no clean one either.
    """
    skipped = _OF_THE_PROJECT | _tags(" ".join(override.attribute for override in profile.overrides))
    before = list(_values(original, "", frozenset()))
    after = list(_values(result, "", skipped))
    encodings = _encodings_in(before)
    needles = _needles(_identifying(before, profile), encodings)
    return [
        *_left_in_text(needles, _dates_to_find(before, profile), after, encodings),
        *_left_in_bytes(needles, after),
        *_left_dates(before, after, profile),
        *_left_uids(before, after, profile),
    ]


def _values(dataset: Dataset, path: str, skipped: frozenset[int]) -> Iterator[_Value]:
    """Yield all values that are no sequences, as they are encoded."""
    for tag, element in dataset.items():
        if tag in skipped or tag in _BULK:
            continue
        vr = element.VR
        if vr is None or vr == "UN":
            vr = _dictionary_vr(tag) or "UN"
        if vr == "SQ":
            name = f"{path}{_name(tag)}"
            for number, item in enumerate(_items(element, dataset)):
                yield from _values(item, f"{name}[{number}].", skipped)
        else:
            yield _Value(path, int(tag), vr, _encoded(element))


def _items(element: DataElement | RawDataElement, dataset: Dataset) -> Iterable[Dataset]:
    if isinstance(element, RawDataElement):
        if not element.value:
            return ()
        element = convert_raw_data_element(
            element, encoding=dataset.original_character_set or None, ds=dataset
        )
    return element.value or ()


def _encoded(element: DataElement | RawDataElement) -> bytes:
    value = element.value
    if value is None or isinstance(value, bytes):
        return value or b""
    if isinstance(value, PersonName):
        return str(value).encode("utf-8")
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        return "\\".join(str(part) for part in value).encode("utf-8")
    return str(value).encode("utf-8")


@lru_cache(maxsize=4096)
def _dictionary_vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _name(tag: int) -> str:
    try:
        return dictionary_keyword(tag)
    except KeyError:
        return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _encodings_in(values: Iterable[_Value]) -> tuple[str, ...]:
    """Return the encodings that text of the original may be in: all that it names, and the usual ones."""
    names = {
        name.strip()
        for found in values
        if found.tag == 0x00080005
        for name in found.value.decode("ascii", "replace").rstrip("\0 ").split("\\")
    }
    known = sorted(name for name in names if name in python_encoding)
    declared = convert_encodings(known) if known else []
    return tuple(dict.fromkeys([*declared, "utf-8", "latin-1"]))


@lru_cache(maxsize=4096)
def _readings(value: bytes, encodings: tuple[str, ...]) -> tuple[str, ...]:
    """Return what bytes may say, in lower case, in each encoding that they decode in."""
    if b"\x1b" in value:
        plain = _ESCAPE.sub(b"", value)
        texts = [value.decode("iso2022_jp_2", "replace")]
        texts += [plain.decode(encoding, "replace") for encoding in ("euc_kr", "gb18030", *encodings)]
    elif value.isascii():
        texts = [value.decode("ascii")]
    else:
        texts = []
        for encoding in encodings:
            try:
                texts.append(value.decode(encoding))
            except UnicodeDecodeError:
                continue
    return tuple(dict.fromkeys(text.casefold() for text in texts))


def _squeezed(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def _identifying(before: Iterable[_Value], profile: DeidProfile) -> frozenset[tuple[int, str, bytes]]:
    """Return the identifying values as (tag, kind, value)."""
    kinds = dict.fromkeys(_NAMES, "name") | dict.fromkeys(_IDENTIFIERS, "identifier")
    kinds |= dict.fromkeys(_ADDRESSES, "place")
    if ProfileOption.RETAIN_DEVICE_IDENTITY not in profile.options:
        kinds |= dict.fromkeys(_DEVICES, "identifier")
    if ProfileOption.RETAIN_INSTITUTION_IDENTITY not in profile.options:
        kinds |= dict.fromkeys(_INSTITUTIONS, "place")
    for override in profile.overrides:
        if override.action == "keep":
            kinds.pop(tag_for_keyword(override.attribute) or 0, None)
    return frozenset(
        (found.tag, kinds[found.tag], stripped)
        for found in before
        if found.tag in kinds and (stripped := found.value.strip(b"\0 "))
    )


@lru_cache(maxsize=64)
def _needles(identifying: frozenset[tuple[int, str, bytes]], encodings: tuple[str, ...]) -> _Needles:
    needles = _Needles({}, {}, {})
    for tag, kind, value in sorted(identifying):
        keyword = _name(tag)
        for text in _readings(value, encodings):
            for part in text.split("\\"):
                _add(needles, kind, keyword, part)
        for piece in re.split(rb"[\\^=]", value):
            if len(piece.strip()) >= _SHORTEST_BYTES:
                needles.encoded[piece.strip().lower()] = keyword
    return needles


def _add(needles: _Needles, kind: str, keyword: str, text: str) -> None:
    if kind == "name":
        named = " ".join(" ".join(group.split("^")[:_NAMING_COMPONENTS]) for group in text.split("="))
        words = {word for word in _WORD.findall(named) if len(word) >= _SHORTEST_PART_OF_NAME}
    elif kind == "place":
        words = {word for word in _WORD.findall(text) if len(word) >= _SHORTEST_WORD_OF_PLACE}
        words = {word for word in words if not word.isdigit()} - vocabulary()
    else:
        words = {word for word in _WORD.findall(text) if len(word) >= _SHORTEST_IDENTIFIER} - vocabulary()
        squeezed = _squeezed(text)
        if len(squeezed) >= _SHORTEST_ANYWHERE and any(char.isdigit() for char in squeezed):
            needles.anywhere[squeezed] = keyword
    needles.words.update(dict.fromkeys(map(_without_accents, words), keyword))
    needles.words.update(dict.fromkeys(words, keyword))


def _without_accents(word: str) -> str:
    spelled = "".join(_DIGRAPHS.get(char, char) for char in word)
    return "".join(char for char in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(char))


def _dates_to_find(before: Iterable[_Value], profile: DeidProfile) -> dict[str, str]:
    """Return spellings of the dates that must not stand in texts, and the attributes they come from."""
    keeps = ProfileOption.RETAIN_FULL_DATES in profile.options
    spellings: dict[str, str] = {}
    for found in before:
        if found.vr in _DATE_VRS and (found.tag in _BIRTH_DATE or not keeps):
            for part in found.value.decode("latin-1").split("\\"):
                spellings.update(dict.fromkeys(_spellings(part.strip()[:8]), _name(found.tag)))
    return spellings


@lru_cache(maxsize=1024)
def _spellings(value: str) -> tuple[str, ...]:
    try:
        day = date(int(value[:4]), int(value[4:6]), int(value[6:8]))
    except ValueError:
        return ()
    year, month, number = f"{day.year:04}", day.month, day.day
    found = [value, f"{year}-{month:02}-{number:02}", f"{year}/{month:02}/{number:02}"]
    for separator in "./-":
        for parts in ((number, month), (month, number)):
            found.append(f"{parts[0]:02}{separator}{parts[1]:02}{separator}{year}")
            found.append(f"{parts[0]}{separator}{parts[1]}{separator}{year}")
    for names in _MONTHS:
        full = names.split()[month - 1]
        for name in (full, full[:3]):
            found += [f"{number} {name} {year}", f"{number:02}-{name}-{year}", f"{number}. {name} {year}"]
            found += [f"{name} {number}, {year}", f"{name} {number} {year}"]
    return tuple(found)


def _left_in_text(
    needles: _Needles, dates: dict[str, str], after: list[_Value], encodings: tuple[str, ...]
) -> Iterator[Residue]:
    texts = [found for found in after if found.vr in _TEXT_VRS and found.value]
    whole = b"\n".join(found.value for found in texts)
    if next(_in_text(needles, dates, whole, encodings), None) is None:
        return
    for found in texts:
        for keyword, word in _in_text(needles, dates, found.value, encodings):
            # The name of a patient may be a defined term, such as HEAD.
            if found.vr != "CS" or word not in vocabulary():
                yield Residue(keyword, found.path + _name(found.tag))


def _in_text(
    needles: _Needles, dates: dict[str, str], value: bytes, encodings: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """Yield what is found in a text, and the attribute that it comes from."""
    for text in _readings(value, encodings):
        for word in needles.words.keys() & set(_WORD.findall(text)):
            yield needles.words[word], word
        squeezed = "\n".join(map(_squeezed, text.split("\n"))) if needles.anywhere else ""
        for needle, keyword in needles.anywhere.items():
            if needle in squeezed:
                yield keyword, needle
        for spelling, keyword in dates.items():
            if spelling in text:
                yield keyword, spelling


def _left_in_bytes(needles: _Needles, after: list[_Value]) -> Iterator[Residue]:
    """Look into the bytes of what is neither text nor number: an identifier may hide there."""
    searched = _TEXT_VRS | _DATE_VRS | _UNSEARCHED_VRS | {"UI"}
    for found in after:
        if found.vr not in searched and len(found.value) >= _SHORTEST_BYTES:
            lowered = found.value.lower()
            for needle, keyword in needles.encoded.items():
                if needle in lowered:
                    yield Residue(keyword, found.path + _name(found.tag))


def _left_dates(before: list[_Value], after: list[_Value], profile: DeidProfile) -> Iterator[Residue]:
    keeps = ProfileOption.RETAIN_FULL_DATES in profile.options
    dates = {
        (found.tag, found.value[:8]) for found in before if found.vr in _DATE_VRS and found.value.strip()
    }
    births = {day for tag, day in dates if tag in _BIRTH_DATE}
    for found in after:
        if found.vr in _DATE_VRS:
            day = found.value[:8]
            if day in births or (not keeps and (found.tag, day) in dates and not day.startswith(b"1900")):
                yield Residue(_name(found.tag), found.path + _name(found.tag))


def _left_uids(before: list[_Value], after: list[_Value], profile: DeidProfile) -> Iterator[Residue]:
    if ProfileOption.RETAIN_UIDS in profile.options:
        return
    uids = {
        uid: _name(found.tag)
        for found in before
        if found.vr == "UI" and not _KINDS.search(_name(found.tag))
        for uid in found.value.decode("latin-1").strip("\0 ").split("\\")
        if uid and uid not in UID_dictionary
    }
    for found in after:
        if (found.vr == "UI" and not _KINDS.search(_name(found.tag))) or found.vr in _TEXT_VRS:
            for uid in _UID.findall(found.value.decode("latin-1")):
                if uid in uids:
                    yield Residue(uids[uid], found.path + _name(found.tag))
