"""A sign in CSV files that keeps spreadsheet programs from taking text for a formula.

A text that begins with ``=``, ``+``, ``-`` or ``@`` gets an apostrophe before it, which these programs, and
ADIT when it reads the file, take for "what follows is text". So that nothing is lost, a text that begins
with an apostrophe gets another one.
"""

_APOSTROPHE = "'"
_GUARDED = ("=", "+", "-", "@", _APOSTROPHE)


def guarded(text: str) -> str:
    """Return a text as it is written into a CSV file."""
    return _APOSTROPHE + text if text.startswith(_GUARDED) else text


def unguarded(text: str) -> str:
    """Return the text that `guarded` was given."""
    is_guarded = text.startswith(_APOSTROPHE) and text[1:].startswith(_GUARDED)
    return text[1:] if is_guarded else text
