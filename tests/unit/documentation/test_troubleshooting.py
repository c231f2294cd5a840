"""The page of symptoms quotes what ADIT says; what it does not say any more has to go from there."""

import ast
import re
from pathlib import Path

import pytest

from deployments.stack import HOME

PAGE = (HOME / "docs/troubleshooting.md").read_text(encoding="utf-8")
FOREIGN = {"Connection refused", "database is locked"}
"""What the operating system and SQLite say."""


def literals(path: Path) -> str:
    """Return the texts of a module, in which every value that is filled in is a line break."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "\n" for part in node.values)
            texts.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
    return "\n".join(texts)


SAID = "\n".join(
    literals(path) for folder in ("adit_core", "deployments") for path in (HOME / folder).rglob("*.py")
)


def quoted() -> list[str]:
    symptoms = [line.split(" | ")[0] for line in PAGE.splitlines() if line.startswith("| ")]
    quotes = [quote for symptom in symptoms for quote in re.findall('"([^"]*)"', symptom)]
    parts = [part.strip(" .,:;()") for quote in quotes for part in quote.split("…")]
    return sorted({part for part in parts if len(part) > 4})


@pytest.mark.parametrize("part", quoted())
def test_what_is_quoted_is_said_somewhere(part: str) -> None:
    assert part in SAID or part in FOREIGN


def test_the_page_quotes_messages() -> None:
    assert len(quoted()) > 40
