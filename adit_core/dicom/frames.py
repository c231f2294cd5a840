"""The frames of an instance in a file: as they are stored, decoded, or as pictures (PS3.18 8.7, 10.4).

A file is read frame by frame, so that however long it is, only one of them is in memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adit_core.dicom.quiet import quiet_pydicom
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput

_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
_PIECE = 1 << 18
_MEDIA_TYPES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
"""What a compressed frame is by itself (PS3.18 table 8.7.3-4)."""


class PictureFormat(StrEnum):
    """A format of rendered frames, by the name that Pillow gives it."""

    JPEG = "JPEG"
    PNG = "PNG"
    GIF = "GIF"
    JP2 = "JPEG2000"


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are told apart (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True, slots=True)
class View:
    """How a frame is rendered; what is not said is decided by the instance."""

    format: PictureFormat = PictureFormat.JPEG
    window: Window | None = None
    viewport: tuple[int, int] | None = None
    """Columns and rows that the picture is scaled down or up to fit in, its proportions being kept."""
    region: tuple[int, int, int, int] | None = None
    """Left, top, width and height of the part of the image to be shown; negative sizes mirror."""
    quality: int = 90


class FrameFile:
    """The frames of a Part 10 file. It belongs to one thread at a time.

    Methods raise ActionNotPossible where the instance has no such pixel data, or they cannot be decoded.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.seek(0)
        with quiet_pydicom():
            self._header = dcmread(file, stop_before_pixels=True, force=True)
            self._uid = str(self._header.get("SOPInstanceUID", ""))
            self._syntax = UID(self._header.file_meta.TransferSyntaxUID)
            # Deflated data sets are read from a copy without compression.
            self._data: Any = self._header.buffer if self._syntax.is_deflated else file
            self._frames = max(1, int(self._header.get("NumberOfFrames", 1) or 1))
        self._value, self._length = self._find_pixel_data()

    @property
    def count(self) -> int:
        """The number of frames."""
        return self._frames

    @property
    def stored_syntax(self) -> str:
        """The transfer syntax."""
        return str(self._syntax)

    @property
    def stored_media_type(self) -> str | None:
        """What stored frames are by themselves; None if they are not compressed, or for nobody else."""
        return _MEDIA_TYPES.get(self._syntax)

    def check(self, numbers: tuple[int, ...]) -> None:
        """Raise InvalidInput unless there are frames of all these numbers, which count from 1."""
        for number in numbers:
            if not 1 <= number <= self._frames:
                message = f"There is no frame {number}; the instance has {self._frames}, counted from 1."
                raise InvalidInput(InputProblem(message, field="frames"))

    def stored(self, number: int) -> bytes:
        """Return a frame as it is in the file."""
        if self._length == _UNDEFINED:
            self._data.seek(self._value)
            with quiet_pydicom():
                return get_frame(self._data, number - 1, number_of_frames=self._frames)
        length = self._native_length()
        self._data.seek(self._value + (number - 1) * length)
        frame = self._data.read(length)
        if len(frame) < length:
            raise self._unusable(f"ends before frame {number}")
        return frame

    def native(self, number: int) -> bytes:
        """Return a frame without compression, its numbers in little endian."""
        if self._syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian) or self._syntax.is_deflated:
            return self.stored(number)
        pixels = self._pixels(number, raw=True)
        return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()

    def picture(self, number: int, view: View) -> bytes:
        """Return a frame as an image file for people to look at."""
        image = _image(self._visible(number, view))
        image = _framed(image, view)
        buffer = BytesIO()
        options = {"quality": view.quality} if view.format is PictureFormat.JPEG else {}
        image.save(buffer, view.format, **options)
        return buffer.getvalue()

    def stored_value(self) -> Iterator[bytes]:
        """Yield all that Pixel Data hold if they are not compressed, in pieces."""
        self._data.seek(self._value)
        left = self._length
        while left and (piece := self._data.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece

    @property
    def is_compressed(self) -> bool:
        """Whether frames are stored one by one, which takes as many parts to hand them out."""
        return self._length == _UNDEFINED

    def pictures(self, view: View) -> Iterator[bytes]:
        """Yield all frames as image files."""
        return (self.picture(number, view) for number in range(1, self._frames + 1))

    def _find_pixel_data(self) -> tuple[int, int]:
        """Return where the value of Pixel Data begins, and how long it is."""
        position = self._data.tell()
        order = "big" if self._syntax == ExplicitVRBigEndian else "little"
        is_implicit = self._syntax == ImplicitVRLittleEndian
        start = self._data.read(8 if is_implicit else 12)
        group, element = (int.from_bytes(start[at : at + 2], order) for at in (0, 2))
        if group << 16 | element != _PIXEL_DATA:
            raise self._unusable("has no pixel data that can be shown as frames")
        return position + len(start), int.from_bytes(start[-4:], order)

    def _native_length(self) -> int:
        header = self._header
        with self._readable():
            samples = header.Rows * header.Columns * header.SamplesPerPixel
            if header.BitsAllocated == 1:
                if samples % 8 and self._frames > 1:
                    raise self._unusable("has frames that do not begin with a byte")
                return math.ceil(samples / 8)
            length = samples * header.BitsAllocated // 8
            is_halved = header.PhotometricInterpretation in ("YBR_FULL_422", "YBR_PARTIAL_422")
            return length * 2 // 3 if is_halved else length

    def _pixels(self, number: int, *, raw: bool) -> np.ndarray[Any, Any]:
        """Return the decoded samples of one frame; colours as RGB unless they are wanted `raw`."""
        frame = self.stored(number)
        with self._readable():
            single = self._single(frame)
            pixels, properties = get_decoder(self._syntax).as_array(single, raw=raw)
            photometric = str(properties["photometric_interpretation"])
            if not raw and photometric.startswith("YBR"):
                return convert_color_space(pixels, photometric, "RGB")
            return pixels

    def _single(self, frame: bytes) -> Dataset:
        """Return a data set of this frame alone."""
        single = Dataset(self._header)
        single.set_original_encoding(
            self._header.is_implicit_VR, self._header.is_little_endian, self._header.original_character_set
        )
        single.file_meta = FileMetaDataset()
        single.file_meta.TransferSyntaxUID = self._syntax
        single.NumberOfFrames = 1
        single.PixelData = encapsulate([frame]) if self._length == _UNDEFINED else frame
        single["PixelData"].is_undefined_length = self._length == _UNDEFINED
        single["PixelData"].VR = "OB" if self._header.get("BitsAllocated", 16) <= 8 else "OW"
        return single

    def _visible(self, number: int, view: View) -> np.ndarray[Any, Any]:
        """Return a frame as bytes for the screen, grey or in colours."""
        pixels = self._pixels(number, raw=False)
        with self._readable():
            photometric = self._header.get("PhotometricInterpretation", "MONOCHROME2")
            if photometric == "PALETTE COLOR":
                return _scaled(apply_color_lut(pixels, self._header), None)
            if pixels.ndim == 3:
                return pixels if pixels.dtype == np.uint8 else _scaled(pixels, None)
            grey = _grey(pixels, self._of_frame(number), view.window)
            return 255 - grey if photometric == "MONOCHROME1" else grey

    def _of_frame(self, number: int) -> Dataset:
        """Return the header with what functional groups say of a frame (PS3.3 C.7.6.16)."""
        merged = Dataset(self._header)
        groups = [self._header.get("SharedFunctionalGroupsSequence")]
        per_frame = self._header.get("PerFrameFunctionalGroupsSequence")
        groups.append(per_frame[number - 1 : number] if per_frame else None)
        for items in groups:
            for item in items or ():
                for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                    for part in item.get(name) or ():
                        merged.update(part)
        return merged

    def _readable(self) -> "_Readable":
        return _Readable(self)

    def _unusable(self, why: str) -> ActionNotPossible:
        return ActionNotPossible(f"Instance {self._uid} {why}.")


class _Readable:
    """Turns whatever pydicom and its codecs raise into an error of ours, without what they quote."""

    def __init__(self, file: FrameFile) -> None:
        self._file = file
        self._quiet = quiet_pydicom()

    def __enter__(self) -> None:
        self._quiet.__enter__()

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        self._quiet.__exit__(None, None, None)
        if isinstance(error, Exception) and not isinstance(error, ActionNotPossible):
            kind = type(error).__name__
            raise self._file._unusable(f"cannot be decoded ({kind})") from None  # noqa: SLF001


def _grey(pixels: np.ndarray[Any, Any], header: Dataset, window: Window | None) -> np.ndarray[Any, Any]:
    values = apply_modality_lut(pixels, header)
    if window is not None:
        header = Dataset(header)
        for keyword in ("VOILUTSequence", "WindowCenter", "WindowWidth"):
            header.pop(keyword, None)
        header.WindowCenter, header.WindowWidth = window.center, window.width
        header.VOILUTFunction = window.function
    if "VOILUTSequence" not in header and not header.get("WindowWidth"):
        return _scaled(values, None)
    # What the window maps to is as wide as its values, whose ends show what black and white are.
    if "VOILUTSequence" in header:
        return _scaled(apply_voi_lut(values, header), None)
    return _scaled(apply_voi_lut(values.astype(np.float64), header), _range(header))


def _range(header: Dataset) -> tuple[float, float]:
    """Return what `apply_voi_lut` maps black and white to: the ends of the stored values, rescaled."""
    is_signed = bool(header.get("PixelRepresentation", 0))
    bits = int(header.BitsStored)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    ends = sorted((low * slope + intercept, high * slope + intercept))
    return ends[0], ends[1]


def _scaled(values: np.ndarray[Any, Any], ends: tuple[float, float] | None) -> np.ndarray[Any, Any]:
    low, high = ends or (float(values.min()), float(values.max()))
    spread = (high - low) or 1.0
    return np.clip((values.astype(np.float64) - low) * (255 / spread), 0, 255).astype(np.uint8)


def _image(pixels: np.ndarray[Any, Any]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels))


def _framed(image: Image.Image, view: View) -> Image.Image:
    if view.region is not None:
        left, top, width, height = view.region
        right, bottom = min(left + abs(width), image.width), min(top + abs(height), image.height)
        if left >= right or top >= bottom:
            message = f"This is beside the image of {image.width} columns and {image.height} rows."
            raise InvalidInput(InputProblem(message, field="viewport"))
        image = image.crop((left, top, right, bottom))
        if width < 0:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if height < 0:
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if view.viewport is not None:
        columns, rows = view.viewport
        factor = min(columns / image.width, rows / image.height)
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.BILINEAR)
    return image
