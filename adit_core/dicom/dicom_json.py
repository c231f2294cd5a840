"""Data sets in the DICOM JSON model, as far as queries and receipts need them (PS3.18 F)."""

from collections.abc import Iterable
from typing import Any

from pydicom.datadict import tag_for_keyword

from adit_core.dicom.identifier import Answer
from adit_core.dicom.json_encoding import JsonDataSet

MEDIA_TYPE = "application/dicom+json"

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def read_answer(data_set: JsonDataSet, keywords: Iterable[str]) -> Answer:
    """Return the values of `keywords` as text."""
    return Answer(
        {keyword: "\\".join(map(_text, values_of(data_set, keyword))).strip() for keyword in keywords}
    )


def read_items(data_set: JsonDataSet, keyword: str) -> list[JsonDataSet]:
    """Return the items of a sequence."""
    return [item for item in values_of(data_set, keyword) if isinstance(item, dict)]


def has_sequence(data_set: JsonDataSet, keyword: str) -> bool:
    """Tell whether a sequence is there, even if it has no items."""
    element = data_set.get(f"{tag_for_keyword(keyword):08X}")
    return isinstance(element, dict) and isinstance(element.get("Value", []), list)


def values_of(data_set: JsonDataSet, keyword: str) -> list[Any]:
    """Return the values of an attribute, none if it is missing, empty or malformed."""
    element = data_set.get(f"{tag_for_keyword(keyword):08X}")
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def uids_of(data_set: JsonDataSet) -> tuple[str, ...]:
    """Return by which UIDs study, series and instance a data set goes, empty where it does not say."""
    return tuple("".join(map(_text, values_of(data_set, keyword)[:1])) for keyword in _UIDS)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):  # a person name (PS3.18 F.2.2)
        return "=".join(str(value.get(group) or "") for group in _NAME_GROUPS).rstrip("=")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
