"""Numbers as people write them, with runs drawn together: ``2-9, 12``."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from adit_core.errors import InputProblem, refuse

_PART = re.compile(r"(\d{1,9})(?:\s*[-\u2013]\s*(\d{1,9}))?", re.ASCII)


def in_ranges(numbers: Collection[int]) -> str:
    """Return numbers in ascending order, with runs of them drawn together, such as ``2-9, 12``."""
    known = frozenset(numbers)
    starts = sorted(number for number in known if number - 1 not in known)
    ends = sorted(number for number in known if number + 1 not in known)
    return ", ".join(
        str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends, strict=True)
    )


def numbers_in(text: str, known: Collection[int]) -> frozenset[int]:
    """Return those of the `known` numbers that `text` names, such as ``2-9, 12``; none if it is blank.

    A range may have gaps, as spreadsheets have rows that are left out, but may not go beyond what is known.

    Raises:
        InvalidInput: Something is no number and no range, or names what is not there; says all of it.
    """
    ascending = sorted(known)
    parts = [_read(part.strip(), ascending) for part in re.split(r"[,;\n]", text) if part.strip()]
    refuse(*(InputProblem(part.problem) for part in parts if part.problem))
    return frozenset(number for part in parts for number in part.numbers)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a number or a range names, or what is wrong with it."""

    numbers: Sequence[int] = ()
    problem: str = ""


def _read(text: str, known: Sequence[int]) -> _Part:
    match = _PART.fullmatch(text)
    if match is None:
        return _Part(problem=f"“{text[:20]}” is no number and no range such as 2-10.")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        return _Part(problem=f"{text} counts downwards: write {last}-{first}.")
    named = known[bisect_left(known, first) : bisect_right(known, last)]
    if not named:
        return _Part(problem=f"There is no {text}; there are {known[0]} to {known[-1]}.")
    if first < known[0] or last > known[-1]:
        return _Part(problem=f"{text} goes beyond what there is: {known[0]} to {known[-1]}.")
    return _Part(named)
