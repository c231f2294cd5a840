"""compose.yaml as Docker Compose reads it: variables put in, and what each container would be given."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[1]
FILES = ("compose.yaml", "deployments/compose.tls.yaml")
EXAMPLE = ROOT / "deployments/example.env"

_VARIABLE = re.compile(r"\$(?:\{(?P<name>\w+)(?:(?P<rule>:?[-?])(?P<rest>[^}]*))?\}|(?P<escaped>\$))")


class VariableMissing(Exception):
    """A variable without a default is not set; the message is what the file says to do about it."""


def read_compose(file: str = "compose.yaml", variables: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return a file with these variables put in, in the syntax of the Compose specification."""
    return _interpolated(yaml.safe_load((ROOT / file).read_text()), variables)


def example_variables() -> dict[str, str]:
    """Return what the example of `.env` sets, with what it only proposes set, too."""
    text = re.sub(r"^# (?=[A-Z_]+=)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    values = dotenv_values(stream=StringIO(text))
    assert values
    return {name: value for name, value in values.items() if value is not None}


def ours(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the services that run our image."""
    return {name: service for name, service in compose["services"].items() if "build" in service}


def secret_names(service: Mapping[str, Any]) -> Sequence[str]:
    return service.get("secrets", [])


def seconds(duration: str) -> float:
    """Return a duration such as ``60s``."""
    assert re.fullmatch(r"\d+s", duration)
    return float(duration[:-1])


def _interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each, variables) for each in value]
    return (
        _VARIABLE.sub(lambda match: _resolved(match, variables), value) if isinstance(value, str) else value
    )


def _resolved(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["escaped"]:
        return "$"
    name, rule, rest = match["name"], match["rule"] or "", match["rest"] or ""
    found = variables.get(name)
    if found is not None and (found or not rule.startswith(":")):
        return found
    if rule.endswith("?"):
        raise VariableMissing(f"{name}: {rest}")
    return rest
