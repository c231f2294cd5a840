"""A picture of an instance for a reviewer, with the regions that would be blanked marked in it."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from adit_core.deid.pixels.layout import failure
from adit_core.deid.pixels.regions import Rectangle
from adit_core.errors import NotFound

_MARK = (255, 64, 64)
_LONGEST_EDGE = 1600


def preview_png(
    dataset: Dataset, regions: Sequence[Rectangle] = (), *, frame: int = 0, longest_edge: int = _LONGEST_EDGE
) -> bytes:
    """Return one frame as PNG, at the most `longest_edge` pixels wide or high, with the regions outlined.

    Grey values are spread from the least to the greatest, whatever the window says: nothing is so
    bright that text could hide in it. The image is all that the PNG holds.

    Raises:
        NotFound: There is no such frame; the first is 0.
        DeidentificationFailed: The pixels cannot be decoded, so that nobody can look at them.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not 0 <= frame < frames:
        raise NotFound(f"The instance has {frames} frames; there is none with the index {frame}.")
    picture = Image.fromarray(_rendered(dataset, frame)).convert("RGB")
    drawing = ImageDraw.Draw(picture)
    for region in regions:
        drawing.rectangle(
            (region.left, region.top, region.right - 1, region.bottom - 1), outline=_MARK, width=2
        )
    picture.thumbnail((longest_edge, longest_edge))
    file = BytesIO()
    picture.save(file, format="PNG")
    return file.getvalue()


def _rendered(dataset: Dataset, frame: int) -> np.ndarray:
    """Return the frame as 8 bit grey or RGB."""
    try:
        pixels = pixel_array(dataset, index=frame)
        if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
            pixels = apply_color_lut(pixels, dataset)
    except Exception as error:  # codecs raise anything: it cannot be shown
        raise failure(dataset, f"cannot be shown ({type(error).__name__})") from error
    shown = pixels if pixels.dtype == np.uint8 and pixels.ndim == 3 else _spread(pixels)
    return 255 - shown if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else shown


def _spread(pixels: np.ndarray) -> np.ndarray:
    values = pixels.astype(np.float64) - pixels.min()
    return (values * (255 / (values.max() or 1))).astype(np.uint8)
