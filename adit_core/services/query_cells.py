"""The cells of a batch query: what is wrong with them, and what they ask for."""

import re
from collections.abc import Callable
from datetime import date

from adit_core.dicom.query import name_matches, text_matches
from adit_core.services.cells import CellKind, flaw, text_problem, uid_problem
from adit_core.services.query_columns import MODALITY, CellForm, Level, QueryColumn

ANYTHING = "*"
"""The cell that asks for an attribute without choosing by it."""

_WITH_EXPRESSIONS = frozenset({CellForm.TEXT, CellForm.NAME, CellForm.CODES})
_LONGEST_EXPRESSION = 500
_WILDCARDS = re.compile(r"[*?]")
_BETWEEN_CODES = re.compile(r"[\s,;]+")
_CODE = re.compile(r"[A-Za-z0-9_ *?]{1,16}")  # VR CS (PS3.5 6.2), with wildcards
_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_DAYS = (
    re.compile(
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)( 00:00:00)?", re.ASCII
    ),  # as workbooks give it
    re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)", re.ASCII),
    re.compile(r"(?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<year>\d{4})", re.ASCII),
)


def cell_problem(column: QueryColumn, text: str, kind: CellKind | None) -> str:
    """Return what is wrong with a cell that is not empty, and how to mend it; empty if nothing is."""
    if column.form is CellForm.DAY:
        return _day_problem(column, text)
    if problem := flaw(kind):
        return problem
    if text == ANYTHING and (column.is_further or column.level is Level.SERIES):
        return ""
    if column.form in _WITH_EXPRESSIONS and is_expression(text):
        return _expression_problem(text)
    match column.form:
        case CellForm.UID:
            return uid_problem(text, kind)
        case CellForm.CODES:
            return _codes_problem(text)
        case CellForm.WHOLE_NUMBER:
            return "" if _WHOLE_NUMBER.fullmatch(text) else "This is not a whole number."
        case CellForm.NUMBER:
            return "" if _number(text) is not None else "This is not a number."
        case _:
            return text_problem(text)


def normalised(column: QueryColumn, text: str) -> str:
    """Return the text of a cell without problems as it is kept: days as DICOM writes them."""
    if column.form is CellForm.DAY and (day := parse_day(text)):
        return f"{day:%Y%m%d}"
    return text


def parse_day(text: str) -> date | None:
    """Return the day that a cell names, None if it is none."""
    for form in _DAYS:
        if match := form.fullmatch(text):
            try:
                return date(int(match["year"]), int(match["month"]), int(match["day"]))
            except ValueError:
                return None
    return None


def is_expression(text: str) -> bool:
    """Tell whether a cell holds a regular expression, which stands between slashes."""
    return len(text) > 1 and text.startswith("/") and text.endswith("/")


def is_exact(text: str) -> bool:
    """Tell whether a cell names one value: it has no wildcard and is no regular expression."""
    return bool(text) and not is_expression(text) and not _WILDCARDS.search(text)


def is_selective(text: str) -> bool:
    """Tell whether an archive that is asked for a cell leaves anything out."""
    return bool(_WILDCARDS.sub("", text)) and not is_expression(text)


def codes_of(text: str) -> tuple[str, ...]:
    """Return the codes that a cell lists, in upper case."""
    return tuple(code.upper() for code in _BETWEEN_CODES.split(text) if code)


def condition_of(column: QueryColumn, text: str) -> Callable[[str], bool] | None:
    """Return what tells whether a value is what a cell asks for; None if any value is, or archives decide.

    Values are as archives write them; of several values, separated by backslashes, one has to do.
    """
    if not text or text == ANYTHING or column.form in (CellForm.AS_IS, CellForm.LABEL):
        return None
    if is_expression(text) and column.form in _WITH_EXPRESSIONS:
        expression = _compiled(text)
        return lambda value: expression.search(value) is not None
    fits = _comparison(column, text)
    return lambda value: any(fits(part.strip()) for part in value.split("\\"))


def _comparison(column: QueryColumn, text: str) -> Callable[[str], bool]:
    match column.form:
        case CellForm.NAME:
            return lambda value: name_matches(text, value)
        case CellForm.CODES:
            return lambda value: any(text_matches(code, value) for code in codes_of(text))
        case CellForm.WHOLE_NUMBER | CellForm.NUMBER:
            return lambda value: _number(value) == _number(text)
        case CellForm.UID | CellForm.DAY:
            return lambda value: value == text
        case _:
            return lambda value: text_matches(text, value)


def _day_problem(column: QueryColumn, text: str) -> str:
    is_any = column.is_further and text == ANYTHING
    if is_any or parse_day(text):
        return ""
    return "This is not a day. Write it as 2024-01-31, 20240131 or 31.01.2024."


def _codes_problem(text: str) -> str:
    if all(_CODE.fullmatch(code) for code in codes_of(text)):
        return ""
    return f"Name modalities by their codes, with commas between them: CT, MR. This is the column {MODALITY}."


def _expression_problem(text: str) -> str:
    if len(text) > _LONGEST_EXPRESSION:
        return f"This is longer than {_LONGEST_EXPRESSION} characters."
    try:
        _compiled(text)
    except (re.error, OverflowError, RecursionError) as error:
        reason = error.msg if isinstance(error, re.error) else "it is too deep"
        return f"This is not a regular expression: {reason}."
    return "" if len(text) > len("//") else "This is an empty regular expression; leave the cell empty."


def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(text[1:-1], re.IGNORECASE)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
