"""Data sets as Part 10 files in memory, and the search for texts in their bytes."""

from collections.abc import Iterable
from io import BytesIO

from pydicom import dcmwrite
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset


def written(dataset: Dataset) -> bytes:
    """Return a data set as a Part 10 file."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def searchable(dataset: Dataset, encoded: bytes) -> bytes:
    """Return the bytes of a data set in lower case, without its pixels."""
    pixels = dataset.get("PixelData", b"")
    return (encoded.replace(pixels, b"") if pixels else encoded).lower()


def is_in_bytes(token: str, searched: bytes, character_set: Iterable[str]) -> bool:
    """Look for a token in bytes in all encodings that may hold it: of the character set, and usual ones."""
    sets = {python_encoding[name] for name in character_set}
    return any(
        token.encode(encoding).lower() in searched
        for encoding in {"utf-8", "latin-1", "utf-16-le", *sets}
        if _fits(token, encoding)
    )


def _fits(token: str, encoding: str) -> bool:
    try:
        token.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
