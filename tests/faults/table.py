"""The table of faults and outcomes in docs/reliability.md, which a run of the tests writes."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.faults.outcome import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"

NOT_COUNTED = "\N{EN DASH}"
"""What stands in place of a number that nobody has counted."""
_BEGIN, _END = "<!-- written by `make faults` -->", "<!-- end -->"
_HEAD = (
    "| fault | job | tasks | instances: planned = delivered + filtered + failed | attempts | sent twice | s |"
)
_RULE = "|---|---|---|---|---|---|---|"
_ROW = re.compile(r"\| (.+?) \|")


def row(name: str, outcome: Outcome) -> str:
    """Return the row of a fault."""
    tasks = ", ".join(f"{number} {status.value}" for status, number in sorted(outcome.tasks.items()))
    account = f"{outcome.planned} = {outcome.delivered} + {outcome.filtered} + {outcome.failed}"
    cells = (
        name,
        outcome.status.value,
        tasks,
        account,
        str(outcome.attempts),
        NOT_COUNTED if outcome.sent_again is None else str(outcome.sent_again),
        f"{outcome.seconds:.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def fault_names() -> list[str]:
    """Return the names of all faults that there are tests for, in the order of the page."""
    return [
        marker.args[0]
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for marker in _markers(import_module(f"tests.faults.{path.stem}"))
        if marker.name == "fault"
    ]


def _markers(module: ModuleType) -> Iterator[pytest.Mark]:
    """Yield what the tests of a module, and the parameters that they are run with, are marked with."""
    for name, function in vars(module).items():
        if name.startswith("test_"):
            for marker in getattr(function, "pytestmark", []):
                yield marker
                if marker.name == "parametrize":
                    for parameters in marker.args[1]:
                        yield from getattr(parameters, "marks", ())


def table(rows: Mapping[str, str]) -> str:
    """Return the table of the rows, which are given by the names of their faults."""
    return "\n".join([_HEAD, _RULE, *rows.values(), ""])


def rows_of(page: str) -> dict[str, str]:
    """Return the rows on a page by the names of their faults."""
    lines = page.partition(_BEGIN)[2].partition(_END)[0].strip().splitlines()
    return {match[1]: line for line in lines[2:] if (match := _ROW.match(line))}


def with_rows(page: str, rows: Mapping[str, str]) -> str:
    """Return a page with these rows put in; of others, those stay whose faults there still are."""
    known = {**rows_of(page), **rows}
    chosen = {name: known[name] for name in fault_names() if name in known}
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{table(chosen)}{_END}{rest.partition(_END)[2]}"
