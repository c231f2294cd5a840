"""A picture in which rectangles can be drawn; they are told in pixels of the image, at any size."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

from adit_core.deid.pixels.regions import Rectangle, clipped

_HERE = Path(__file__).parent
_render = component(
    "adit_regions",
    html=(_HERE / "regions.html").read_text(encoding="utf-8"),
    css=(_HERE / "regions.css").read_text(encoding="utf-8"),
    js=(_HERE / "regions.js").read_text(encoding="utf-8"),
)


def draw_regions(
    png: bytes, drawn: Sequence[Rectangle], *, rows: int, columns: int, description: str, key: str
) -> Rectangle | None:
    """Show a picture with the rectangles that are `drawn`; return the one that was just drawn."""
    data = {
        "picture": f"data:image/png;base64,{b64encode(png).decode()}",
        "rows": rows,
        "columns": columns,
        "description": description,
        "regions": [list(one) for one in drawn],
    }
    answer: Any = _render(key=key, data=data, on_drawn_change=_rerun_only)
    if answer.drawn is None:
        return None
    left, top, width, height = (int(value) for value in answer.drawn)
    return next(iter(clipped([Rectangle(left, top, width, height)], rows=rows, columns=columns)), None)


def _rerun_only() -> None:
    """Exist, because Streamlit hands out what was drawn only where there is a callback."""
