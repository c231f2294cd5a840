"""How the pixels of an image lie in its data set (PS3.3 C.7.6.3, Image Pixel Module)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from adit_core.errors import DeidentificationFailed

_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_SAMPLES: dict[str, int] = {
    **dict.fromkeys((*_MONOCHROME, "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", *_YBR), 3),
}
_BITS_ALLOCATED = (1, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Layout:
    """The attributes that say how to read pixel data; sizes in pixels, depths in bits."""

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    photometric: str
    is_planar: bool

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Read the attributes.

        Raises:
            DeidentificationFailed: They are missing, contradict one another, or are of a kind that
                nothing here can blank.
        """
        try:
            layout = cls(
                rows=int(dataset.Rows),
                columns=int(dataset.Columns),
                frames=int(dataset.get("NumberOfFrames") or 1),
                samples=int(dataset.get("SamplesPerPixel") or 1),
                bits_allocated=int(dataset.BitsAllocated),
                bits_stored=int(dataset.get("BitsStored") or dataset.BitsAllocated),
                is_signed=dataset.get("PixelRepresentation") == 1,
                photometric=str(dataset.PhotometricInterpretation),
                is_planar=dataset.get("PlanarConfiguration") == 1,
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise failure(dataset, "the image has no usable size or pixel format") from error
        layout._refuse_unknown(dataset)
        return layout

    @property
    def frame_bits(self) -> int:
        """How many bits a frame takes when it is not compressed."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def expanded_bytes(self) -> int:
        """How many bytes all frames take when every pixel has all samples in whole bytes."""
        return self.frames * self.rows * self.columns * self.samples * self.bits_allocated // 8

    @property
    def pixel_bytes(self) -> int:
        """How many bytes all frames take when they are not compressed, without padding."""
        return (self.frames * self.frame_bits + 7) // 8

    def _refuse_unknown(self, dataset: Dataset) -> None:
        if _SAMPLES.get(self.photometric) != self.samples or self.bits_allocated not in _BITS_ALLOCATED:
            raise failure(dataset, "the pixels are of a kind that cannot be blanked")
        if min(self.rows, self.columns, self.frames) < 1 or not 1 <= self.bits_stored <= self.bits_allocated:
            raise failure(dataset, "the image has no usable size or pixel format")


def black(dataset: Dataset, layout: Layout) -> tuple[int, ...]:
    """Return the stored value of each sample that shows as black, as unsigned integers.

    ===================  ==========================================================
    MONOCHROME2          the least value that can be stored
    MONOCHROME1          the greatest value that can be stored
    RGB                  0, 0, 0
    YBR                  0, and the middle of the range for both colour differences
    PALETTE COLOR        the index of the darkest colour
    ===================  ==========================================================

    Pixel Padding Value is not used: it says that there was no image, which is not what happened.

    Raises:
        DeidentificationFailed: The palette cannot be read.
    """
    if layout.photometric in _MONOCHROME:
        return (_extreme(layout),)
    if layout.photometric in _YBR:
        middle = 1 << (layout.bits_stored - 1)
        return (0, middle, middle)
    return (_darkest(dataset, layout),) if layout.photometric == "PALETTE COLOR" else (0, 0, 0)


def failure(dataset: Dataset, reason: str) -> DeidentificationFailed:
    """Return the error that tells of this instance; `reason` must not hold patient data."""
    return DeidentificationFailed(f"{dataset.get('SOPInstanceUID', 'Unknown instance')}: pixels: {reason}")


def _extreme(layout: Layout) -> int:
    least = -(1 << (layout.bits_stored - 1)) if layout.is_signed else 0
    value = least if layout.photometric == "MONOCHROME2" else least + (1 << layout.bits_stored) - 1
    return value & ((1 << layout.bits_allocated) - 1)


def _darkest(dataset: Dataset, layout: Layout) -> int:
    indices = np.arange(1 << layout.bits_stored, dtype=np.dtype(f"u{layout.bits_allocated // 8}"))
    try:
        colours = apply_color_lut(indices, dataset)
    except Exception as error:  # whatever is wrong with a palette, the instance stays
        raise failure(dataset, "the palette cannot be read") from error
    return int(colours.astype(np.uint64).sum(axis=-1).argmin())
