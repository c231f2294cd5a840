"""What heals a page that Streamlit's browser side has broken.

Streamlit updates a page by changes at numbered places. If a part of a page is renewed while the browser
goes to another one and the server is slow, the browser can throw away what it has of the new page. Then it
gets changes at places that it no longer has, and stops drawing.
"""

from pathlib import Path

from streamlit.components.v2 import component

_render = component("adit_mending", js=Path(__file__).with_suffix(".js").read_text(encoding="utf-8"))


def mend_broken_pages() -> None:
    """Have the browser load a page again if it breaks; has to be called on each page."""
    _render(key="mending")  # takes no room, see style.css
