"""The cells of spreadsheets, and what can be wrong with one whatever it means.

Upper and lower case, spaces and underscores in the name of a column do not matter.
"""

import re
from enum import StrEnum

from adit_core.dicom.references import is_valid_uid

MAX_TEXT_LENGTH = 64  # VR LO, PS3.5 6.2


class CellKind(StrEnum):
    """What a cell holds that is not, or no longer, text."""

    NUMBER = "number"
    ROUNDED = "rounded number"
    """Digits are lost."""
    DATE = "date"
    ERROR = "error"
    """What a formula shows that could not be calculated, such as #N/A."""


_NOT_IN_TEXT = re.compile(r"[\\\x00-\x1f\x7f]")
_AS_TEXT = "Format the column as text in your spreadsheet program and enter the value again."
_FLAWS = {
    CellKind.ROUNDED: f"Your spreadsheet program has made a number of this and rounded it. {_AS_TEXT}",
    CellKind.DATE: f"Your spreadsheet program has made a date of this. {_AS_TEXT}",
    CellKind.ERROR: "The formula in this cell shows an error. Replace it by a value.",
}


def folded(title: str) -> str:
    """Return the name of a column in the one form that all its spellings have."""
    return re.sub(r"[\s_]", "", title).casefold()


def flaw(kind: CellKind | None) -> str:
    """Return what a spreadsheet program has spoilt in a cell, empty if nothing."""
    return _FLAWS.get(kind, "") if kind else ""


def uid_problem(text: str, kind: CellKind | None) -> str:
    """Return why this is no UID, empty if it is one."""
    if kind is CellKind.NUMBER:
        return f"Your spreadsheet program has made a number of this UID. {_AS_TEXT}"
    if is_valid_uid(text):
        return ""
    return (
        "This is not a UID: those are numbers with dots between them, 64 characters at most, one in a cell."
    )


def text_problem(text: str) -> str:
    """Return why this cannot be the text of an attribute, empty if it can."""
    if len(text) > MAX_TEXT_LENGTH:
        return f"This is longer than {MAX_TEXT_LENGTH} characters."
    if _NOT_IN_TEXT.search(text):
        return "This has a backslash, a line break or another control character; remove it."
    return ""
