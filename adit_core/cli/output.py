"""What the command line prints: results on standard output, everything else on standard error.

With --json, results and errors are JSON, and nothing else is on standard output.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic_core import to_json
from rich.console import RenderableType

from adit_core.errors import AditError, InputProblem, InvalidInput
from adit_core.terminal import cell, new_console, new_table

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def present(value: T, shown: Callable[[T], RenderableType], *, as_json: bool) -> None:
    """Print a result, for people as `shown` makes it."""
    if as_json:
        typer.echo(to_json(value, indent=2))
    else:
        new_console().print(shown(value))


def warn(message: str, *, as_json: bool) -> None:
    """Tell what the user should know besides the result, on standard error."""
    if as_json:
        typer.echo(to_json({"warning": message}, indent=2), err=True)
    else:
        new_console(stderr=True).print(cell(f"Warning: {message}", "yellow"), soft_wrap=True)


def report_error(error: AditError, *, as_json: bool) -> None:
    """Print an error, with all its problems if it has several, on standard error."""
    problems = error.problems if isinstance(error, InvalidInput) else ()
    if as_json:
        _print_json(str(error), problems)
        return
    console = new_console(stderr=True)
    if any(problem.row for problem in problems):
        console.print(cell("Error: nothing was done, because of these problems:", "red"))
        console.print(_problems_table(problems))
    else:
        for line in str(error).splitlines():
            console.print(cell(f"Error: {line}", "red"), soft_wrap=True)


def report_misuse(message: str) -> None:
    """Print as JSON, on standard error, how the command line itself was used wrongly."""
    _print_json(message, ())


def write_file(path: Path, content: bytes, *, as_json: bool) -> None:
    """Write what a command was asked to write, and say so; raises InvalidInput if that cannot be done."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(
            InputProblem(f"{path} cannot be written: {error.strerror}.", field="output")
        ) from error
    present({"output": path}, lambda _: cell(f"Wrote {path}."), as_json=as_json)


def _print_json(message: str, problems: Sequence[InputProblem]) -> None:
    typer.echo(to_json({"error": message, "problems": problems}, indent=2), err=True)


def _problems_table(problems: Sequence[InputProblem]) -> RenderableType:
    table = new_table("row", "column", "message")
    for problem in problems:
        table.add_row(cell(problem.row), cell(problem.field), cell(problem.message))
    return table
