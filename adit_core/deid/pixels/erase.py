"""Overwriting rectangles in pixels that are not compressed, in place."""

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO

import numpy as np

from adit_core.deid.pixels.layout import Layout
from adit_core.deid.pixels.regions import Rectangle, clipped

_FRAMES_OF_WHOLE_BYTES = 8
"""So many frames of packed bits begin and end at a byte, whatever their size (PS3.5 D)."""

Edit = Callable[[memoryview], None]
"""Changes bytes in place."""
Editor = Callable[[bytes, Edit], bytes]
"""Returns a copy of the bytes that the edit was applied to."""


def edited(value: bytes, edit: Edit) -> bytes:
    """Return a copy of `value` after `edit`; no more than this one copy is made."""
    buffer = BytesIO(value)
    edit(buffer.getbuffer())
    return buffer.getvalue()


def edited_in_swapped_words(value: bytes, edit: Edit) -> bytes:
    """Do as `edited` with bytes that lie in 16-bit words of big endian order (PS3.5 7.3, OW)."""

    def swap_edit_swap(view: memoryview) -> None:
        words = np.frombuffer(view, dtype=np.uint16)
        words.byteswap(inplace=True)
        edit(view)
        words.byteswap(inplace=True)

    return edited(value, swap_edit_swap)


def erase_samples(pixels: np.ndarray, regions: Iterable[Rectangle], values: Sequence[int]) -> None:
    """Set the regions of an array of shape (…, rows, columns, samples) to one value for each sample."""
    rows, columns = pixels.shape[-3:-1]
    for region in clipped(regions, rows=rows, columns=columns):
        pixels[..., region.top : region.bottom, region.left : region.right, :] = values


def erase_native(
    pixel_data: memoryview, layout: Layout, regions: Sequence[Rectangle], values: Sequence[int], *, order: str
) -> None:
    """Overwrite the regions of every frame of native pixel data (PS3.5 8.1.1).

    `order` is the byte order in numpy's notation, `<` or `>`. In YBR_FULL_422 two neighbours share
    their colour, so that regions are widened to whole pairs.
    """
    used = pixel_data[: layout.pixel_bytes]
    if layout.bits_allocated == 1:
        erase_bits(used, layout.rows, layout.columns, regions, value=values[0])
        return
    samples = np.frombuffer(used, dtype=np.dtype(f"{order}u{layout.bits_allocated // 8}"))
    if layout.photometric == "YBR_FULL_422":
        luminance, colour, _ = values
        pairs = samples.reshape(layout.frames, layout.rows, layout.columns // 2, 4)
        erase_samples(pairs, map(_paired, regions), (luminance, luminance, colour, colour))
    elif layout.is_planar and layout.samples > 1:
        planes = samples.reshape(layout.frames, layout.samples, layout.rows, layout.columns)
        erase_samples(np.moveaxis(planes, 1, -1), regions, values)
    else:
        erase_samples(
            samples.reshape(layout.frames, layout.rows, layout.columns, layout.samples), regions, values
        )


def erase_bits(
    packed: memoryview, rows: int, columns: int, regions: Sequence[Rectangle], *, value: int = 0
) -> None:
    """Overwrite the regions of every frame of packed bits, of which the first is the least significant.

    At the most eight frames are unpacked at a time.
    """
    step = rows * columns
    for start in range(0, len(packed), step):
        chunk = np.frombuffer(packed[start : start + step], dtype=np.uint8)
        bits = np.unpackbits(chunk, bitorder="little")
        frames = min(len(bits) // step, _FRAMES_OF_WHOLE_BYTES)
        images = bits[: frames * step].reshape(frames, rows, columns, 1)
        erase_samples(images, regions, (value,))
        chunk[:] = np.packbits(bits, bitorder="little")


def _paired(region: Rectangle) -> Rectangle:
    left, right = region.left // 2, (region.right + 1) // 2
    return Rectangle(left, region.top, right - left, region.height)
