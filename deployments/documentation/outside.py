"""What a page would make a browser fetch from another host, without anybody following a link.

Hospitals read this documentation where no other host can be reached, and what is read is nobody's business.
"""

from collections.abc import Iterator
from html.parser import HTMLParser

_FETCHING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Which attributes of which elements are fetched."""
_OUTSIDE = ("http://", "https://", "//")
_DIAGRAM = "mermaid"
"""The class of diagrams for which the theme's script loads Mermaid from another host."""


def outside_requests(html: str) -> list[str]:
    """Return what a page fetches from elsewhere, as ``element: address``."""
    finder = _Finder()
    finder.feed(html)
    return finder.found


class _Finder(HTMLParser):
    """Notes every element that fetches something from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found += (f"{tag}: {address}" for address in _addresses(tag, given))
        if _DIAGRAM in given.get("class", "").split():
            self.found.append(f"{tag}: a diagram of {_DIAGRAM}")


def _addresses(tag: str, given: dict[str, str]) -> Iterator[str]:
    for name in _FETCHING.get(tag, ()):
        address = given.get(name, "")
        # A srcset is a list of addresses with sizes.
        for part in address.split(",") if name == "srcset" else [address]:
            if part.strip().lower().startswith(_OUTSIDE):
                yield part.strip()
