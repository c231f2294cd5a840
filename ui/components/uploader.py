"""A place to drop files and folders, which the browser sends to the API itself: none passes through here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

from adit_core.api.authentication import CSRF_HEADER
from adit_core.services.uploads import RefusedFile, UploadLimits

_HERE = Path(__file__).parent
_PATH = "/api/v1/uploads"
_render = component(
    "adit_uploader",
    html=(_HERE / "uploader.html").read_text(encoding="utf-8"),
    css=(_HERE / "uploader.css").read_text(encoding="utf-8"),
    js=(_HERE / "uploader.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An upload that has just ended, as the browser tells of it."""

    id: str
    refused: tuple[RefusedFile, ...]
    problems: tuple[str, ...]


def uploader(*, csrf_token: str, limits: UploadLimits, key: str) -> Uploaded | None:
    """Show the place; return what was uploaded when that has just ended."""
    data = {
        "path": _PATH,
        "csrfHeader": CSRF_HEADER,
        "csrfToken": csrf_token,
        "mostFiles": limits.files,
        "mostBytes": limits.total_bytes,
    }
    answer: Any = _render(key=key, data=data, on_uploaded_change=_rerun_only)
    return None if answer.uploaded is None else _uploaded(answer.uploaded)


def _uploaded(told: dict[str, Any]) -> Uploaded:
    refused = tuple(RefusedFile(str(one["name"]), str(one["reason"])) for one in told["refused"])
    return Uploaded(str(told["id"]), refused, tuple(map(str, told["problems"])))


def _rerun_only() -> None:
    """Exist, because Streamlit hands out what was told only where there is a callback."""
