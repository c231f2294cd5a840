"""The facts of the standard that de-identification follows, read from the tables beside this module."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from pydicom.datadict import tag_for_keyword

from adit_core.deid.profile import ProfileOption

_OPTIONS = {
    "uids": ProfileOption.RETAIN_UIDS,
    "device": ProfileOption.RETAIN_DEVICE_IDENTITY,
    "institution": ProfileOption.RETAIN_INSTITUTION_IDENTITY,
    "characteristics": ProfileOption.RETAIN_PATIENT_CHARACTERISTICS,
    "full_dates": ProfileOption.RETAIN_FULL_DATES,
    "modified_dates": ProfileOption.RETAIN_MODIFIED_DATES,
    "descriptors": ProfileOption.CLEAN_DESCRIPTORS,
    "structured": ProfileOption.CLEAN_STRUCTURED_CONTENT,
    "graphics": ProfileOption.CLEAN_GRAPHICS,
}
"""The columns of table E.1-1 and the options that they belong to."""


class Action(StrEnum):
    """What is done to an attribute (PS3.15 table E.1-1a)."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    KEEP = "K"
    CLEAN = "C"
    REPLACE_UID = "U"


class AttributeType(StrEnum):
    """Whether an attribute must be there and have a value (PS3.5 7.4); conditional ones count as such."""

    VALUE = "1"
    MAY_BE_EMPTY = "2"
    OPTIONAL = "3"


@dataclass(frozen=True, slots=True)
class ConfidentialAttribute:
    """A row of table E.1-1. ``basic`` may combine actions, such as ``X/Z/D``."""

    tag: str
    keyword: str
    basic: str
    options: dict[ProfileOption, Action]


@cache
def confidential_attributes() -> dict[int, ConfidentialAttribute]:
    """Return the rows of table E.1-1 by tag; of repeating groups, by the tag of group 5000 or 6000."""
    return {
        int(row["tag"].replace("x", "0"), 16): ConfidentialAttribute(
            row["tag"],
            row["keyword"],
            row["basic"],
            {option: Action(row[column]) for column, option in _OPTIONS.items() if row[column]},
        )
        for row in _rows("confidentiality.csv")
    }


def confidential_attribute(tag: int) -> ConfidentialAttribute | None:
    """Return the row of table E.1-1 for a tag of a standard attribute, None if it has none."""
    group = tag >> 16
    if group & 0xFF00 == 0x5000:  # curves, all of them
        return confidential_attributes()[0x50000000]
    if group & 0xFF00 == 0x6000:
        return confidential_attributes().get(0x60000000 | tag & 0xFFFF)
    return confidential_attributes().get(tag)


@cache
def safe_private_elements() -> dict[tuple[str, int], frozenset[int]]:
    """Return table E.3.10-1: the safe element numbers (last byte) by private creator and group."""
    return {
        (row["creator"], int(row["group"], 16)): frozenset(_element_numbers(row["elements"]))
        for row in _rows("safe_private.csv")
    }


@cache
def iod_of(sop_class_uid: str) -> str:
    """Return the IOD of a storage SOP class (PS3.4 B.5), empty if it is not known."""
    return _iods().get(sop_class_uid, "")


@cache
def attribute_type(iod: str, sequence: str, keyword: str) -> AttributeType:
    """Return the type of an attribute in an IOD, by the keyword of the sequence that it stands in.

    Where the IOD is not known, that is its type in most others; what no IOD requires is optional.
    """
    types = _attribute_types().get((sequence, keyword), {})
    return types.get(iod) or types.get("", AttributeType.OPTIONAL)


def tags(keywords: str) -> frozenset[int]:
    """Return the tags of keywords that stand between spaces; of those that the dictionary knows."""
    return frozenset(tag for keyword in keywords.split() if (tag := tag_for_keyword(keyword)) is not None)


@cache
def vocabulary() -> frozenset[str]:
    """Return the words of radiology that may stay in a text, in lower case."""
    text = _table("vocabulary.txt")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


@cache
def _iods() -> dict[str, str]:
    return {row["sop_class_uid"]: row["iod"] for row in _rows("iods.csv")}


@cache
def _attribute_types() -> dict[tuple[str, str], dict[str, AttributeType]]:
    types: dict[tuple[str, str], dict[str, AttributeType]] = {}
    for row in _rows("attribute_types.csv"):
        for iod in row["iods"].split() or [""]:
            types.setdefault((row["sequence"], row["keyword"]), {})[iod] = AttributeType(row["type"])
    return types


def _element_numbers(text: str) -> Iterator[int]:
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


def _rows(name: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(line for line in _table(name).splitlines() if not line.startswith("#"))


def _table(name: str) -> str:
    return files("adit_core.deid").joinpath("tables", name).read_text("utf-8")
