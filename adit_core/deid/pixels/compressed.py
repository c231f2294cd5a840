"""Blanking compressed pixel data: frame by frame decoded, erased, and encoded or left uncompressed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from adit_core.deid.pixels.erase import erase_samples
from adit_core.deid.pixels.layout import Layout, black, failure
from adit_core.deid.pixels.regions import Rectangle

_PIXEL_DATA = Tag("PixelData")
_RECOMPRESSED = frozenset({RLELossless, JPEGLSLossless, JPEG2000Lossless})
_LOSSLESS = _RECOMPRESSED | {JPEGLossless, JPEGLosslessSV1, HTJ2KLossless, HTJ2KLosslessRPCL}
_AFTER_DECODING = {"YBR_RCT": "RGB", "YBR_ICT": "RGB", "YBR_FULL_422": "YBR_FULL"}
"""Decoders undo the colour transform of JPEG 2000 and give every pixel its colour."""
_LONGEST_VALUE = 0xFFFFFFFE
_LOSSY_METHODS = (
    ("1.2.840.10008.1.2.4.5", "ISO_10918_1"),
    ("1.2.840.10008.1.2.4.81", "ISO_14495_1"),
    ("1.2.840.10008.1.2.4.9", "ISO_15444_1"),
    ("1.2.840.10008.1.2.4.203", "ISO_15444_15"),
)
"""Defined terms of Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1), by beginnings of UIDs."""


def blank_compressed(dataset: Dataset, layout: Layout, regions: Sequence[Rectangle], syntax: UID) -> None:
    """Replace the pixel data of `dataset` by blanked frames, and what says how they are encoded.

    They are compressed as before where that is possible without loss, otherwise not compressed.

    Raises:
        DeidentificationFailed: A frame cannot be decoded, or the frames are too long for one value.
    """
    if syntax in _RECOMPRESSED:
        try:
            _recompress(dataset, layout, regions, syntax)
        except _NotEncodable:
            _decompress(dataset, layout, regions, syntax)
    else:
        _decompress(dataset, layout, regions, syntax)


class _NotEncodable(Exception):
    """The encoder takes no images of this kind, such as tiny ones or those of 32 bits."""


def _recompress(dataset: Dataset, layout: Layout, regions: Sequence[Rectangle], syntax: UID) -> None:
    frames = [_encoded(layout, syntax, frame) for frame, _ in _blanked(dataset, layout, regions, syntax)]
    element = DataElement(_PIXEL_DATA, "OB", encapsulate(frames))
    element.is_undefined_length = True
    dataset["PixelData"] = element


def _decompress(dataset: Dataset, layout: Layout, regions: Sequence[Rectangle], syntax: UID) -> None:
    if layout.expanded_bytes > _LONGEST_VALUE:
        raise failure(dataset, "the pixels are too long for a value that is not compressed")
    pixels = BytesIO()
    photometric = layout.photometric
    for frame, stated in _blanked(dataset, layout, regions, syntax):
        photometric = stated
        pixels.write(np.ascontiguousarray(frame, dtype=frame.dtype.newbyteorder("<")).data)
    if pixels.tell() % 2:
        pixels.write(b"\0")
    dataset["PixelData"] = DataElement(
        _PIXEL_DATA, "OB" if layout.bits_allocated <= 8 else "OW", pixels.getvalue()
    )
    dataset.PhotometricInterpretation = photometric
    if layout.samples > 1:
        dataset.PlanarConfiguration = 0
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax not in _LOSSLESS:
        _declare_lossy(dataset, syntax)


def _blanked(
    dataset: Dataset, layout: Layout, regions: Sequence[Rectangle], syntax: UID
) -> Iterator[tuple[np.ndarray, str]]:
    """Yield every frame with its photometric interpretation."""
    count = 0
    for frame, stated in _decoded(dataset, syntax):
        count += 1
        photometric = _AFTER_DECODING.get(stated, stated)
        values = black(dataset, replace(layout, photometric=photometric))
        samples = frame if frame.ndim == 3 else frame[..., np.newaxis]
        erase_samples(samples.view(f"u{frame.itemsize}"), regions, values)
        yield frame, photometric
    if count != layout.frames:
        raise failure(dataset, f"there are {count} frames instead of {layout.frames}")


def _decoded(dataset: Dataset, syntax: UID) -> Iterator[tuple[np.ndarray, str]]:
    """Yield the frames; of lossless syntaxes as they were encoded, of others with colours as RGB."""
    try:
        frames = get_decoder(syntax).iter_array(dataset, raw=syntax in _LOSSLESS)
        for frame, properties in frames:
            yield frame, str(properties["photometric_interpretation"])
    except Exception as error:  # codecs raise anything: the instance stays
        raise failure(dataset, f"{syntax.name} cannot be decoded ({type(error).__name__})") from error


def _encoded(layout: Layout, syntax: UID, frame: np.ndarray) -> bytes:
    try:
        return get_encoder(syntax).encode(
            frame,
            rows=layout.rows,
            columns=layout.columns,
            number_of_frames=1,
            samples_per_pixel=layout.samples,
            bits_allocated=layout.bits_allocated,
            bits_stored=layout.bits_stored,
            pixel_representation=int(layout.is_signed),
            photometric_interpretation=layout.photometric,
            planar_configuration=0,
        )
    except (ValueError, RuntimeError) as error:
        raise _NotEncodable from error


def _declare_lossy(dataset: Dataset, syntax: UID) -> None:
    dataset.LossyImageCompression = "01"
    method = next((name for beginning, name in _LOSSY_METHODS if syntax.startswith(beginning)), "")
    if method and not dataset.get("LossyImageCompressionMethod"):
        dataset.LossyImageCompressionMethod = method
