"""Data sets that were read but not decoded yet, in the DICOM JSON model (PS3.18 F).

Written by hand because pydicom decodes a value before it converts it, and stumbles over bad ones: broken
dates, wrong character sets, numbers that are none. Here these stay what they are, as text. It is also
several times as fast, which counts for every answer to every query.
"""

import base64
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes, default_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

JsonDataSet = Mapping[str, Any]
"""A data set as a JSON parser returns it. What is inside is not trusted to be as it should."""

BulkUri = Callable[[str], str]
"""Returns where the value at a path of tags and item numbers can be had, such as ``00420010``."""

BINARY_NUMBERS = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
}
"""Value representations of numbers in binary form, with the format of struct for each."""

_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_SINGLE = frozenset({"LT", "ST", "UR", "UT"})
_DEFAULT_REPERTOIRE = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_LONGEST_INLINE = 1 << 10
"""Bytes of a binary value that are part of the metadata; longer ones are bulk data."""
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS": "US", "US or SS or OW": "OW"}
SPECIFIC_CHARACTER_SET = 0x00080005
_PIXEL_REPRESENTATION = 0x00280103
_TEXT_DELIMITERS = frozenset(b"^=\\\r\n\f\t")
"""After which a value is back in its first character set (PS3.5 6.1.2.5.3)."""
_DEEPEST = 64


def json_data_set(data_set: Dataset, bulk_uri: BulkUri | None = None) -> JsonDataSet:
    """Return a data set in the DICOM JSON model; long binary values by `bulk_uri`, or not at all.

    Raises whatever pydicom raises for sequences that are damaged.
    """
    return _Converter(bulk_uri, _is_signed(data_set)).converted(
        data_set, encodings_of(data_set), "", _DEEPEST
    )


def json_of_texts(texts: Mapping[str, str]) -> JsonDataSet:
    """Return values that are known as text, by their keywords, in the DICOM JSON model."""
    converted: dict[str, JsonDataSet] = {}
    for keyword, text in sorted(texts.items()):
        vr = dictionary_VR(keyword)
        values = [_text_value(vr, part) for part in text.split("\\")] if text else []
        converted[f"{tag_for_keyword(keyword):08X}"] = {"vr": vr, "Value": values} if values else {"vr": vr}
    return dict(sorted(converted.items()))


def encodings_of(data_set: Dataset) -> list[str]:
    """Return the codecs of the text of a data set, as its Specific Character Set says (PS3.3 C.12.1.1.2)."""
    value = data_set.get_item(SPECIFIC_CHARACTER_SET).value if SPECIFIC_CHARACTER_SET in data_set else b""
    if isinstance(value, bytes):
        return encodings_named(value)
    # pydicom decodes this element at once where it reads a whole file.
    names = value.split("\\") if isinstance(value, str) else map(str, value or [""])
    return _encodings(names)


def encodings_named(value: bytes) -> list[str]:
    """Return the codecs that a Specific Character Set names."""
    return _encodings(value.decode("ascii", "replace").split("\\"))


def _encodings(names: Iterable[str]) -> list[str]:
    return convert_encodings([name.strip("\0 ") for name in names])


def text_of(value: bytes, encodings: list[str]) -> str:
    """Return what a value says, without its padding, whether it is encoded as it should be or not."""
    try:
        text = decode_bytes(value, encodings, set(_TEXT_DELIMITERS))
    except (LookupError, UnicodeError):  # a character set that is a codec of Python, but not of text
        text = value.decode(default_encoding)
    return text.strip("\0 ")


class _Converter:
    def __init__(self, bulk_uri: BulkUri | None, is_signed: bool) -> None:
        self._bulk_uri = bulk_uri
        self._is_signed = is_signed

    def converted(self, data_set: Dataset, encodings: list[str], path: str, depth: int) -> JsonDataSet:
        if not depth:
            raise ValueError("sequences are nested too deeply")
        return {
            f"{tag:08X}": self._element(data_set, tag, encodings, f"{path}{tag:08X}", depth)
            for tag in sorted(data_set.keys())
            if tag.element and tag.group > 2
        }

    def _element(
        self, data_set: Dataset, tag: BaseTag, encodings: list[str], path: str, depth: int
    ) -> JsonDataSet:
        if tag == SPECIFIC_CHARACTER_SET:
            return {"vr": "CS", "Value": ["ISO_IR 192"]}
        element = data_set.get_item(tag)
        vr = self._vr(element)
        if vr == "SQ":
            items = data_set[tag].value or ()
            converted = [
                self.converted(item, _encodings_of_item(item, encodings), f"{path}.{number}.", depth - 1)
                for number, item in enumerate(items)
            ]
            return {"vr": vr, "Value": converted} if converted else {"vr": vr}
        value = element.value if isinstance(element.value, bytes) else b""
        if not value:
            return {"vr": vr}
        if vr in _BULK:
            return {"vr": vr, **self._binary(value, path)}
        values = _values(vr, value, encodings, little=_is_little(element))
        return {"vr": vr, "Value": values} if values else {"vr": vr}

    def _binary(self, value: bytes, path: str) -> JsonDataSet:
        if len(value) <= _LONGEST_INLINE:
            return {"InlineBinary": base64.b64encode(value).decode("ascii")}
        return {"BulkDataURI": self._bulk_uri(path)} if self._bulk_uri else {}

    def _vr(self, element: DataElement | RawDataElement) -> str:
        vr = element.VR
        if vr is None or (vr == "UN" and not element.tag.is_private):
            vr = _vr_of(element.tag)
        if vr == "US or SS" and self._is_signed:
            return "SS"
        return _AMBIGUOUS.get(str(vr), str(vr))


def _vr_of(tag: BaseTag) -> str:
    if tag.is_private:
        return "LO" if tag.is_private_creator else "UN"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _encodings_of_item(item: Dataset, inherited: list[str]) -> list[str]:
    return encodings_of(item) if SPECIFIC_CHARACTER_SET in item else inherited


def _is_signed(data_set: Dataset) -> bool:
    if _PIXEL_REPRESENTATION not in data_set:
        return False
    value = data_set.get_item(_PIXEL_REPRESENTATION).value
    return any(value) if isinstance(value, bytes) else bool(value)


def _is_little(element: DataElement | RawDataElement) -> bool:
    return not isinstance(element, RawDataElement) or element.is_little_endian


def _values(vr: str, value: bytes, encodings: list[str], *, little: bool) -> list[Any]:
    if vr in BINARY_NUMBERS or vr == "AT":
        return _numbers(vr, value, order="<" if little else ">")
    text = value.decode("latin-1").strip("\0 ") if vr in _DEFAULT_REPERTOIRE else text_of(value, encodings)
    if not text:
        return []
    if vr in _SINGLE:
        return [text]
    return [_text_value(vr, part.strip()) for part in text.split("\\")]


def _text_value(vr: str, text: str) -> Any:
    if not text:
        return None
    if vr == "PN":
        return {name: group for name, group in zip(_NAME_GROUPS, text.split("="), strict=False) if group}
    if vr in ("DS", "IS"):
        return _number(vr, text)
    return text


def _number(vr: str, text: str) -> int | float | str:
    """Return the number that a text is, or the text if it is none."""
    try:
        number = int(text) if vr == "IS" else float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _numbers(vr: str, value: bytes, *, order: str) -> list[Any]:
    if vr == "AT":
        words = _unpacked("H", value[: len(value) // 4 * 4], order)
        return [f"{group:04X}{element:04X}" for group, element in zip(words[::2], words[1::2], strict=True)]
    numbers = _unpacked(BINARY_NUMBERS[vr], value, order)
    return [number if math.isfinite(number) else str(number) for number in numbers]


def _unpacked(letter: str, value: bytes, order: str) -> tuple[Any, ...]:
    size = struct.calcsize(f"<{letter}")
    count = len(value) // size
    return struct.unpack_from(f"{order}{count}{letter}", value)
