"""Markdown that is put together from values."""

from collections.abc import Iterable, Sequence
from html import escape

_BAR = "&#124;"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown, in which bars are escaped and line breaks become spaces."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def code(text: object) -> str:
    """Return text as it is, in the type of code.

    A bar would end the cell of a table, and its escape would be shown, so that takes HTML.
    """
    told = str(text)
    return f"<code>{escape(told).replace('|', _BAR)}</code>" if "|" in told else f"`{told}`"


def code_path(path: str) -> str:
    """Return a path in the type of code, which may be broken where its parts begin."""
    return f"<code>{escape(path).replace('/', '<wbr>/')}</code>"


def sentence(text: str | None) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join((text or "").split("\n\n")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", _BAR)
