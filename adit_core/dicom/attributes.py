"""The attributes of an instance as people read them: one line each, items below their sequence."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from adit_core.dicom.quiet import quiet_pydicom

_LONGEST = 400
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


@dataclass(frozen=True, slots=True)
class ShownAttribute:
    """One attribute. ``value`` is patient data: it is for who may see the study, and belongs in no log."""

    tag: str
    """Such as ``(0010,0020)``."""
    keyword: str
    """Empty for private attributes, and for those that nobody knows."""
    name: str
    vr: str
    value: str = field(repr=False)
    depth: int = 0
    """How many sequences it is inside of."""
    path: str = ""
    """The keywords and item numbers that lead to it, such as ``RequestAttributesSequence[0].StudyID``."""


def attributes_of(dataset: Dataset, *, most: int) -> list[ShownAttribute]:
    """Return the attributes of an instance, those of its file first, at most so many."""
    with quiet_pydicom():
        meta = getattr(dataset, "file_meta", None)
        lines = [*_lines(meta)] if meta is not None else []
        return [*lines, *islice(_lines(dataset), max(most - len(lines), 0))][:most]


def _lines(dataset: Dataset, depth: int = 0, path: str = "") -> Iterator[ShownAttribute]:
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: BLE001 - pydicom raises anything for values that are not what they claim
            yield ShownAttribute(_tag(tag), "", "", "", "cannot be read", depth, f"{path}{_tag(tag)}")
            continue
        here = path + (element.keyword or _tag(tag))
        yield ShownAttribute(
            _tag(tag), element.keyword, element.name, str(element.VR), _shown(element), depth, here
        )
        if isinstance(element.value, Sequence):
            for number, item in enumerate(element.value):
                yield from _lines(item, depth + 1, f"{here}[{number}].")


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _shown(element: DataElement) -> str:
    value = element.value
    if isinstance(value, Sequence):
        return f"{len(value)} item" + ("" if len(value) == 1 else "s")
    if str(element.VR) in _BINARY or isinstance(value, bytes):
        return f"{len(value or b'')} bytes"
    text = "" if value is None else "\\".join(map(str, value)) if element.VM > 1 else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
