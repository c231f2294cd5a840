"""Decoding text without guessing: what does not decode is not read, and so never taken for clean.

pydicom replaces what it cannot decode and warns of it, quoting the value (PS3.5 6.1.2).
"""

import re
from collections.abc import Iterable
from functools import cache

from pydicom.charset import CODES_TO_ENCODINGS, convert_encodings, python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

_SPECIFIC_CHARACTER_SET = 0x00080005
_ESCAPED = re.compile(rb"(\x1b(?:\$\)[A-C]|\$\([A-D]|\$[@AB]|[()\-][@-Z]))")
_RESET = re.compile(rb"[\\^=\r\n\f\t]")
"""Delimiters after which text is again in the first character set (PS3.5 6.1.2.5.3)."""
_DECODED_WITH_ESCAPE = frozenset({"iso2022_jp", "iso2022_jp_2"})

DEFAULT = ("iso8859",)
"""What pydicom takes for the default repertoire: ASCII, and Latin-1 of those who did not declare it."""


def encodings_of(dataset: Dataset, inherited: tuple[str, ...]) -> tuple[str, ...]:
    """Return the encodings of a data set's text by its Specific Character Set, or those inherited.

    Raises LookupError if it names a character set that does not exist.
    """
    element = dataset.get_item(_SPECIFIC_CHARACTER_SET) if _SPECIFIC_CHARACTER_SET in dataset else None
    if element is None or not element.value:
        return inherited
    if isinstance(element, RawDataElement):
        assert element.value is not None
        names = element.value.decode("ascii", "replace").rstrip("\0 ").split("\\")
    else:
        names = [element.value] if isinstance(element.value, str) else [str(name) for name in element.value]
    return _encodings(tuple(name.strip() for name in names))


def decode(value: bytes, encodings: tuple[str, ...]) -> str | None:
    """Return the text of a value without its padding, None if it does not decode."""
    try:
        if b"\x1b" not in value:
            return value.decode(encodings[0]).rstrip("\0 ")
        return "".join(_decoded_pieces(value, encodings[0])).rstrip("\0 ")
    except (UnicodeDecodeError, LookupError):
        return None


def encode(text: str, encodings: tuple[str, ...]) -> bytes | None:
    """Return text as a value of even length, None if the first character set lacks its letters."""
    try:
        value = text.encode(encodings[0])
    except UnicodeEncodeError:
        return None
    return value + b" " * (len(value) % 2)


def _decoded_pieces(value: bytes, first: str) -> Iterable[str]:
    pieces = _ESCAPED.split(value)
    yield pieces[0].decode(first)
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        encoding = CODES_TO_ENCODINGS[escape]
        if encoding in _DECODED_WITH_ESCAPE:
            yield (escape + piece).decode(encoding)
            continue
        end = delimiter.start() if (delimiter := _RESET.search(piece)) else len(piece)
        yield piece[:end].decode(encoding)
        yield piece[end:].decode(first)


@cache
def _encodings(names: tuple[str, ...]) -> tuple[str, ...]:
    # pydicom falls back to the default for names that it does not know; that would be a guess.
    unknown = [name for name in names if name not in python_encoding]
    if unknown:
        raise LookupError("unknown character set")
    return tuple(convert_encodings(list(names)))
