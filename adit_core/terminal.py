"""Text and tables for terminals, made so that nothing in a text can steer the terminal."""

from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

_WIDE = 1000
"""The width of what is not shown on a screen, in characters: nothing in it is cut or wrapped."""


def new_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Return a console that takes text as it is: no markup, no emoji, nothing highlighted."""
    console = Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)
    if not console.is_terminal and not console.is_jupyter:
        console.width = _WIDE
    return console


def new_table(*columns: str | Column, padding: int = 1) -> Table:
    """Return a table in the one style that all have, with `padding` more spaces between its columns.

    It has a footer if one of its columns has.
    """
    return Table(
        *columns,
        box=SIMPLE_HEAD,
        padding=(0, padding, 0, 0),
        show_edge=False,
        show_footer=any(isinstance(column, Column) and column.footer for column in columns),
    )


def numbers(header: str, footer: object = "") -> Column:
    """Return a column of numbers."""
    return Column(header, str(footer), justify="right", no_wrap=True)


def identifiers(header: str, footer: str = "") -> Column:
    """Return a column of identifiers, which are folded rather than cut."""
    return Column(header, footer, overflow="fold")


def cell(value: object, style: str = "") -> Text:
    """Return a value as the text of a cell; None is empty.

    Archives and users can put anything into their texts, also what would steer the terminal.
    """
    text = "" if value is None else str(value)
    return Text("".join(map(_harmless, text)), style)


def local_time(moment: datetime | None) -> str:
    """Return a time as the clock on the wall shows it, to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def _harmless(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else "�"
