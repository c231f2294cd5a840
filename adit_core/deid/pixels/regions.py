"""Rectangles of pixels, and those that the Sequence of Ultrasound Regions leaves over."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field

if TYPE_CHECKING:
    # The database holds rectangles, and starts sooner without it.
    from pydicom.dataset import Dataset

_GRAPHICS = 5
"""Region Spatial Format of scales, colour bars and text (PS3.3 C.8.5.5.1.2)."""


class Rectangle(NamedTuple):
    """A part of every frame, in pixels; the origin is the top left pixel (0, 0)."""

    left: Annotated[int, Field(ge=0)]
    top: Annotated[int, Field(ge=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]

    @property
    def right(self) -> int:
        """The first column behind it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height

    def moved(self, *, right: int, down: int) -> "Rectangle":
        """Return it elsewhere; it may then begin outside of the image."""
        return Rectangle(self.left + right, self.top + down, self.width, self.height)


def clipped(rectangles: Iterable[Rectangle], *, rows: int, columns: int) -> tuple[Rectangle, ...]:
    """Return what of `rectangles` lies within an image of this size; what lies outside is left out."""
    inside = (
        (max(each.left, 0), max(each.top, 0), min(each.right, columns), min(each.bottom, rows))
        for each in rectangles
    )
    return tuple(
        Rectangle(left, top, right - left, bottom - top)
        for left, top, right, bottom in inside
        if left < right and top < bottom
    )


def outside(rectangles: Sequence[Rectangle], *, rows: int, columns: int) -> tuple[Rectangle, ...]:
    """Return rectangles that cover every pixel of an image of this size that `rectangles` do not cover."""
    kept = clipped(rectangles, rows=rows, columns=columns)
    row_edges = sorted({0, rows, *(each.top for each in kept), *(each.bottom for each in kept)})
    column_edges = sorted({0, columns, *(each.left for each in kept), *(each.right for each in kept)})
    return tuple(
        Rectangle(left, top, right - left, bottom - top)
        for top, bottom in pairwise(row_edges)
        for left, right in pairwise(column_edges)
        if not any(_holds(each, left, top) for each in kept)
    )


def outside_ultrasound_regions(dataset: "Dataset") -> tuple[Rectangle, ...]:
    """Return what the device itself does not call image (PS3.3 C.8.5.5, Ultrasound Region Calibration).

    Regions of graphics (scales, colour bars) do not count as image. Empty where the sequence says
    nothing useful: it is missing, a region of it is impossible, or the regions are the whole image.
    """
    rows, columns = dataset.get("Rows") or 0, dataset.get("Columns") or 0
    items = dataset.get("SequenceOfUltrasoundRegions") or ()
    regions = [_ultrasound_region(item, rows, columns) for item in items]
    if None in regions:
        return ()
    images = [
        region
        for region, item in zip(regions, items, strict=True)
        if region and item.get("RegionSpatialFormat") != _GRAPHICS
    ]
    return outside(images, rows=rows, columns=columns) if images else ()


def _ultrasound_region(item: "Dataset", rows: int, columns: int) -> Rectangle | None:
    """Return the region of an item; None if it cannot be one of an image of this size."""
    left, top, right, bottom = (
        item.get(f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")
    )
    if not all(isinstance(edge, int) for edge in (left, top, right, bottom)):
        return None
    # Devices write the last pixel, as the standard says, or the one behind it.
    if not (0 <= left < right <= columns and 0 <= top < bottom <= rows):
        return None
    return Rectangle(left, top, right - left + 1, bottom - top + 1)


def _holds(rectangle: Rectangle, column: int, row: int) -> bool:
    return rectangle.left <= column < rectangle.right and rectangle.top <= row < rectangle.bottom
