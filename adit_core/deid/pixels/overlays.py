"""Overlay planes (PS3.3 C.9.2): what they draw into a region goes, too."""

from collections.abc import Callable, Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from adit_core.deid.pixels.erase import Editor, erase_bits
from adit_core.deid.pixels.layout import failure
from adit_core.deid.pixels.regions import Rectangle

_GROUPS = range(0x6000, 0x6020, 2)

EditorOf = Callable[[str], Editor]
"""Returns how values of a value representation are edited."""


def erase_overlays(dataset: Dataset, regions: Sequence[Rectangle], editor_of: EditorOf) -> None:
    """Clear the regions in every overlay plane of `dataset`, in place; positions are those of the image.

    Raises:
        DeidentificationFailed: A plane does not say where it lies.
    """
    for group in _GROUPS:
        if (group, 0x3000) in dataset:
            dataset[group, 0x3000] = _erased(dataset, group, regions, editor_of)


def _erased(dataset: Dataset, group: int, regions: Sequence[Rectangle], editor_of: EditorOf) -> DataElement:
    plane = dataset[group, 0x3000]
    try:
        rows, columns = int(dataset[group, 0x0010].value), int(dataset[group, 0x0011].value)
        top, left = (int(edge) for edge in dataset[group, 0x0050].value)
    except (KeyError, TypeError, ValueError) as error:
        raise failure(dataset, f"overlay {group:04X} has no usable size or place") from error
    if rows < 1 or columns < 1 or len(plane.value) * 8 < rows * columns:
        raise failure(dataset, f"overlay {group:04X} has no usable size or place")
    moved = [region.moved(right=1 - left, down=1 - top) for region in regions]
    erased = editor_of(plane.VR)(plane.value, lambda view: erase_bits(view, rows, columns, moved))
    return DataElement(plane.tag, plane.VR, erased)
