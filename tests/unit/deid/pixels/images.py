"""Images of every pixel format, with noise everywhere: what should not change is known exactly."""

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import compress
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

ROWS, COLUMNS = 20, 26


def noise(shape: tuple[int, ...], *, bits: int = 8, signed: bool = False) -> np.ndarray:
    """Return reproducible values that use all of the bits."""
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32
    least = -(1 << (bits - 1)) if signed else 0
    values = np.random.default_rng(7).integers(least, least + (1 << bits), size=shape)
    return values.astype(f"<{'i' if signed else 'u'}{size // 8}")


def image(
    pixel_data: bytes = b"",
    *,
    photometric: str = "MONOCHROME2",
    bits: int = 8,
    stored: int | None = None,
    signed: bool = False,
    frames: int = 1,
    planar: int = 0,
    syntax: UID = ExplicitVRLittleEndian,
    rows: int = ROWS,
    columns: int = COLUMNS,
) -> Dataset:
    """Return a secondary capture with this pixel data."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.Modality = "OT"
    dataset.SamplesPerPixel = 3 if photometric.startswith(("RGB", "YBR")) else 1
    dataset.PhotometricInterpretation = photometric
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = planar
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored = bits, stored or bits
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = pixel_data
    dataset["PixelData"].VR = "OB" if bits <= 8 else "OW"
    return dataset


def real_file(name: str) -> Dataset:
    """Return one of the files that come with pydicom and pydicom-data."""
    path = get_testdata_file(name)
    assert isinstance(path, str), f"pydicom does not have {name}"
    return dcmread(path)


def compressed(pixels: np.ndarray, syntax: UID, **attributes: object) -> Dataset:
    """Return an image whose frames are compressed in `syntax`; `pixels` is (frames, rows, columns[, 3])."""
    _, rows, columns = pixels.shape[:3]
    dataset = image(frames=len(pixels), rows=rows, columns=columns, **attributes)  # pyright: ignore[reportArgumentType]
    compress(dataset, syntax, pixels if len(pixels) > 1 else pixels[0], generate_instance_uid=False)
    return dataset


def palette(dataset: Dataset, *, darkest: int) -> Dataset:
    """Give a PALETTE COLOR image a table in which one index is the darkest."""
    table = np.full(256, 200, dtype=np.uint8)
    table[darkest] = 3
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", table.tobytes())
    return dataset
