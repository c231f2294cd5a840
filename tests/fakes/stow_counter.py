"""Counts the instances that are sent by STOW-RS, by reading along."""

import re
from collections import Counter
from collections.abc import Callable

_NAMED = re.compile(rb"\x02\x00\x03\x00UI..([0-9.]{1,64})\x00?\x02\x00\x10\x00", re.DOTALL)
"""The Media Storage SOP Instance UID, and the tag of the Transfer Syntax UID behind it (PS3.10 7.1)."""
_LONGEST = 8 + 64 + 4
"""Bytes of what `_NAMED` matches, at most."""


class StowCounter:
    """Knows how often each SOP Instance UID was sent as a file of a body, over all connections that it taps.

    An instance counts once its file meta information has passed, whatever becomes of the rest. It is told
    by what no other request has; the boundaries of bodies do not matter.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def tap(self) -> Callable[[bytes], None]:
        """Return what is to be shown what one client sends, from the beginning of its connection."""
        unread = bytearray()

        def show(data: bytes) -> None:
            unread.extend(data)
            read = 0
            for named in _NAMED.finditer(unread):
                self.sent[named[1].decode("ascii")] += 1
                read = named.end()
            del unread[: max(read, len(unread) - _LONGEST)]

        return show
