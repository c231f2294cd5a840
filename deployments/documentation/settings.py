"""The reference of settings, from the fields of `adit_core.settings.Settings` and what is said below each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adit_core.settings import Settings
from deployments.documentation.fields import meanings
from deployments.documentation.markdown import code, table

_PREFIX = str(Settings.model_config.get("env_prefix", ""))


def settings_table(beginning: str = "") -> str:
    """Return the table of environment variables whose names begin so, in the order of the code."""
    told = meanings(Settings)
    defaults = Settings.model_construct()  # which does not look into the environment
    rows = (
        (code(f"{_PREFIX}{name.upper()}"), _default(getattr(defaults, name)), told.get(name, ""))
        for name in Settings.model_fields
        if name.startswith(beginning)
    )
    return table(("variable", "default", "meaning"), rows)


def _default(value: Any) -> str:
    if value is None or value in ("", ()):
        return "—"
    if isinstance(value, Path):
        return code(_without_home(value))
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, int | float):
        return _amount(value)
    return code(value)


def _without_home(path: Path) -> str:
    """Return a path as every reader may have it; the builder's home is nobody's business."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


_UNITS: Mapping[int, str] = {1 << 30: "GiB", 1 << 20: "MiB"}


def _amount(value: float) -> str:
    text = code(f"{value:g}" if isinstance(value, float) else value)
    for unit, name in _UNITS.items():
        if value >= unit and value % unit == 0:
            return f"{text} ({int(value // unit)} {name})"
    return text
