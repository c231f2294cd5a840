"""Pixel data of synthetic instances, drawn, described (PS3.3 C.7.6.3) and encoded (PS3.5 A.4)."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from deployments.demo import phantoms
from deployments.demo.specs import Form, SeriesSpec

_SLICES_OF_A_BODY = 120
_COMPRESSED_VARIANTS = 4


def add_pixels(dataset: Dataset, series: SeriesSpec, index: int) -> None:
    """Add the Image Pixel module for the instance with this index.

    Compressed series repeat after four instances, because encoding is slow.
    """
    if series.transfer_syntax_uid in _ENCODERS:
        index %= _COMPRESSED_VARIANTS
        dataset.PixelData = _compressed(series, index)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        pixels = _draw(series, index)
    else:
        pixels = _draw(series, index)
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    _describe(dataset, series, pixels)


def _draw(series: SeriesSpec, index: int) -> NDArray[np.generic]:
    rows, columns = series.rows, series.columns
    match series.form:
        case Form.CR:
            return phantoms.projection(rows, columns, index)
        case Form.US_CINE:
            return phantoms.beating_fan(rows, columns, series.frames)
        case Form.SECONDARY_CAPTURE:
            return phantoms.coloured_map(rows, columns, index)
        case Form.ENHANCED_CT:
            slices = [_slice(rows, columns, index * series.frames + frame) for frame in range(series.frames)]
            return np.stack(slices)
        case Form.MR:
            return (_slice(rows, columns, index) + 1100).astype(np.uint16)
        case _:
            return _slice(rows, columns, index)


def _slice(rows: int, columns: int, index: int) -> NDArray[np.int16]:
    position = (index % _SLICES_OF_A_BODY) / _SLICES_OF_A_BODY
    return phantoms.slice_of_body(rows, columns, position, index)


def _describe(dataset: Dataset, series: SeriesSpec, pixels: NDArray[np.generic]) -> None:
    colour = series.form is Form.SECONDARY_CAPTURE
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.Rows = series.rows
    dataset.Columns = series.columns
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = _bits_stored(series.form, pixels)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))


def _bits_stored(form: Form, pixels: NDArray[np.generic]) -> int:
    return 12 if form is Form.CR else 8 * pixels.itemsize


@lru_cache(maxsize=64)
def _compressed(series: SeriesSpec, index: int) -> bytes:
    return encapsulate([_ENCODERS[UID(series.transfer_syntax_uid)](_draw(series, index))])


def _as_rle(frame: NDArray[np.generic]) -> bytes:
    return get_encoder(RLELossless).encode(
        frame,
        rows=frame.shape[0],
        columns=frame.shape[1],
        number_of_frames=1,
        samples_per_pixel=3 if frame.ndim == 3 else 1,
        bits_allocated=8 * frame.itemsize,
        bits_stored=8 * frame.itemsize,
        pixel_representation=int(np.issubdtype(frame.dtype, np.signedinteger)),
        photometric_interpretation="RGB" if frame.ndim == 3 else "MONOCHROME2",
        planar_configuration=0,
    )


def _as_jpeg2000(frame: NDArray[np.generic]) -> bytes:
    # The demo does without JPEG 2000, so that its encoder is a dependency of the tests only.
    from openjpeg.utils import encode_array  # noqa: PLC0415

    return encode_array(frame, photometric_interpretation=1 if frame.ndim == 3 else 2, use_mct=False)


_ENCODERS = {RLELossless: _as_rle, JPEG2000Lossless: _as_jpeg2000}
