"""A sign in CSV files that keeps spreadsheet programs from taking text for a formula.

A text that begins with ``=``, ``+``, ``-`` or ``@`` (also in full width, as in Japan) gets an apostrophe
before it, which these programs, and ADIT when it reads the file, take for "what follows is text". So does
what begins like that after a semicolon: in many countries that parts cells, whatever the file has between
them. So that nothing is lost, what begins with an apostrophe gets another one.
"""

import re

_APOSTROPHE = "'"
_BEGINNING = r"(^|;)([\" ]*)"  # quotation marks are taken away by those who read a cell
_FORMULA = r"(?=[=+\-@\uff1d\uff0b\uff0d\uff20'])"
_UNGUARDED = re.compile(_BEGINNING + _FORMULA)
_GUARDED = re.compile(_BEGINNING + _APOSTROPHE + _FORMULA)


def guarded(text: str) -> str:
    """Return a text as it is written into a CSV file."""
    return _UNGUARDED.sub(rf"\1\2{_APOSTROPHE}", text)


def unguarded(text: str) -> str:
    """Return the text that `guarded` was given."""
    return _GUARDED.sub(r"\1\2", text)
