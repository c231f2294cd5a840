"""What becomes of a single value, by its VR (PS3.5 6.2), where it is to be cleaned.

====================  =========================================================================
VR                    it stays
====================  =========================================================================
UI                    replaced, unless it names something of the standard
DA, DT                moved, or as it is, as the profile wants dates; if neither, not at all
TM                    as it is, if the profile keeps or moves dates
IS, DS                if it is a number
AS                    if it is an age; above 89 years as 90 years (as the HIPAA Safe Harbor has it)
CS                    if it holds no known value and no long number; Specific Character Set always, for
                      texts are read by it, and not at all if it names what does not exist
LO SH UC ST LT UT AE  without the words that are not proven clean (descriptors.py)
PN, UR, and others    never; numbers and bytes are not asked about (walk.py)
====================  =========================================================================
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydicom.datadict import tag_for_keyword

from adit_core.deid.charsets import decode, encode
from adit_core.deid.dates import moved_date, moved_date_time
from adit_core.deid.descriptors import clean_technical_text, clean_text, contains_known
from adit_core.deid.known import KnownValues
from adit_core.deid.profile import DeidProfile, ProfileOption
from adit_core.deid.standard import tags, vocabulary
from adit_core.deid.uids import UidMap

_REMEMBERED = frozenset(["AE", "CS", "DA", "LO", "LT", "SH", "ST", "UC", "UT"])
_MOST_REMEMBERED = 4096
_NOT_OF_NUMBERS = b"0123456789+-.eE \\\0"
_AGE = re.compile(rb"(\d{3})([DWMY]) ?")
_OLDEST = 89
_TIME = re.compile(rb"[0-9.:\\ \0]*")
_CODE_STRING = re.compile(rb"[A-Z0-9 _\\-]*\0?")
_LONG_NUMBER = re.compile(rb"\d{6}")
_CODE_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/^-]*")
_CODES = tags("CodeValue LongCodeValue CodingSchemeDesignator CodingSchemeVersion CodingSchemeRegistry")
_TECHNICAL = tags(
    "Manufacturer ManufacturerModelName SoftwareVersions SequenceName PulseSequenceName ConvolutionKernel"
    " FilterType FilterMaterial ReceiveCoilName TransmitCoilName CollimatorGridName DetectorManufacturerName"
    " DetectorManufacturerModelName ProcessingFunction SecondaryCaptureDeviceManufacturer"
    " SecondaryCaptureDeviceManufacturerModelName SecondaryCaptureDeviceSoftwareVersions"
)
"""What devices say about themselves."""
_MIME_TYPES = tags("MIMETypeOfEncapsulatedDocument ListOfMIMETypes")
_MIME_TYPE = re.compile(r"(application|audio|image|model|multipart|text|video)/[a-z0-9.+-]+")
_SPECIFIC_CHARACTER_SET = tag_for_keyword("SpecificCharacterSet")
_OF_CLASSES = tags(
    "SOPClassUID ReferencedSOPClassUID RelatedGeneralSOPClassUID OriginalSpecializedSOPClassUID"
    " ReferencedRelatedGeneralSOPClassUIDInFile TransferSyntaxUID AvailableTransferSyntaxUID"
    " EncryptedContentTransferSyntaxUID MACCalculationTransferSyntaxUID CodingSchemeUID ContextUID"
    " MappingResourceUID ContextGroupExtensionCreatorUID SOPClassesInStudy SOPClassesSupported"
)
"""UIDs of kinds of things, whoever registered them; they identify no object."""


@dataclass(frozen=True, slots=True)
class Context:
    """What values are cleaned against; ``memory`` is of those that were, as series say the same often."""

    known: KnownValues
    encodings: tuple[str, ...]
    memory: dict[tuple[int, str, bytes], bytes | None] = field(default_factory=dict, compare=False)


class ValueCleaner:
    """Cleans values the way that a profile wants, with the keys of a project and a patient."""

    def __init__(self, profile: DeidProfile, uids: UidMap, days: int) -> None:
        options = profile.options
        self._keeps_uids = ProfileOption.RETAIN_UIDS in options
        self._keeps_dates = ProfileOption.RETAIN_FULL_DATES in options
        self._moves_dates = ProfileOption.RETAIN_MODIFIED_DATES in options
        self._uids = uids
        self._days = days
        self._by_vr: Mapping[str, Callable[[int, bytes, Context], bytes | None]] = {
            "UI": self._uid,
            "DA": self._date,
            "DT": self._date,
            "TM": self._time,
            "IS": _number,
            "DS": _number,
            "AS": _age,
            "CS": _code_string,
            **dict.fromkeys(("LO", "SH", "UC", "AE"), _texts),
            **dict.fromkeys(("ST", "LT", "UT"), _text),
        }

    def cleaned(self, tag: int, vr: str, value: bytes, context: Context) -> bytes | None:
        """Return the value without what is not proven clean; None if nothing of it may stay."""
        key = (tag, vr, value)
        if key in context.memory:
            return context.memory[key]
        clean = self._by_vr.get(vr, _never)
        cleaned = clean(tag, value, context)
        if vr in _REMEMBERED and len(context.memory) < _MOST_REMEMBERED:
            context.memory[key] = cleaned
        return cleaned

    def mapped_uids(self, value: bytes) -> bytes:
        """Return the UIDs of a UI value replaced, but for those of the standard."""
        text = value.decode("latin-1").rstrip("\0 ")
        mapped = "\\".join(self._uids.replaced(uid.strip()) if uid else uid for uid in text.split("\\"))
        encoded = mapped.encode("latin-1")
        return encoded + b"\0" * (len(encoded) % 2)

    def _uid(self, tag: int, value: bytes, _: Context) -> bytes | None:
        if self._keeps_uids or tag in _OF_CLASSES:
            return value if re.fullmatch(rb"[0-9.\\]*[\0 ]*", value) else None
        return self.mapped_uids(value)

    def _date(self, _tag: int, value: bytes, _: Context) -> bytes | None:
        if not (self._keeps_dates or self._moves_dates):
            return None
        days = self._days if self._moves_dates else 0
        text = value.decode("latin-1").rstrip("\0 ")
        moved = [_moved_temporal(part, days) for part in text.split("\\")]
        if None in moved:
            return None
        if not self._moves_dates:
            return value
        encoded = "\\".join(part or "" for part in moved).encode("ascii")
        return encoded + b" " * (len(encoded) % 2)

    def _time(self, _tag: int, value: bytes, _: Context) -> bytes | None:
        keeps = self._keeps_dates or self._moves_dates
        return value if keeps and _TIME.fullmatch(value) else None


def _moved_temporal(text: str, days: int) -> str | None:
    if not text.strip():
        return text
    return moved_date(text, days) or moved_date_time(text, days)


def _number(_tag: int, value: bytes, _: Context) -> bytes | None:
    return value if not value.translate(None, _NOT_OF_NUMBERS) else None


def _age(_tag: int, value: bytes, _: Context) -> bytes | None:
    match = _AGE.fullmatch(value)
    if match is None:
        return None
    return b"090Y" if match[2] == b"Y" and int(match[1]) > _OLDEST else value


def _code_string(tag: int, value: bytes, context: Context) -> bytes | None:
    if tag == _SPECIFIC_CHARACTER_SET:
        return value
    if not _CODE_STRING.fullmatch(value) or _LONG_NUMBER.search(value):
        return None
    words = set(re.split(r"[^a-z0-9]+", value.decode("ascii").casefold()))
    return value if words.isdisjoint(context.known.words - vocabulary()) else None


def _texts(tag: int, value: bytes, context: Context) -> bytes | None:
    """Clean each of the values that stand between backslashes."""
    text = decode(value, context.encodings)
    if text is None:
        return None
    if tag in _CODES or tag in _MIME_TYPES:
        allowed = _CODE_VALUE if tag in _CODES else _MIME_TYPE
        return value if allowed.fullmatch(text) and not contains_known(text, context.known) else None
    clean = clean_technical_text if tag in _TECHNICAL else clean_text
    cleaned = [clean(part, context.known) for part in text.split("\\")]
    return _encoded("\\".join(cleaned), text, value, context)


def _text(_tag: int, value: bytes, context: Context) -> bytes | None:
    text = decode(value, context.encodings)
    return None if text is None else _encoded(clean_text(text, context.known), text, value, context)


def _encoded(cleaned: str, text: str, value: bytes, context: Context) -> bytes | None:
    if cleaned == text:
        return value
    return encode(cleaned, context.encodings) if cleaned.strip("\\ ") else None


def _never(_tag: int, _value: bytes, _: Context) -> bytes | None:
    return None
