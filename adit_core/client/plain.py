"""What is sent, as JSON and forms have it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON has them: days and moments as text, whatever can be iterated as lists.

    Raises:
        TypeError: A value is none of these.
    """
    return json.loads(json.dumps(dict(values), default=_told))


def form_value(value: Any) -> Any:
    """Return a value as a field of a form has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _told(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be sent.")
