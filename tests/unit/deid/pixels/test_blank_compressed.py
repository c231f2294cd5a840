import io
import warnings

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from adit_core.deid.pixels.blank import blank
from adit_core.deid.pixels.regions import Rectangle
from adit_core.errors import DeidentificationFailed
from tests.unit.deid.pixels.images import COLUMNS, ROWS, compressed, noise

BAND = Rectangle(0, 0, COLUMNS, 5)


def assert_only_band_changed(before: np.ndarray, after: np.ndarray, black: object, *, rows: int = 5) -> None:
    assert before.shape == after.shape
    assert (after[:, :rows] == black).all()
    assert (after[:, rows:] == before[:, rows:]).all()


def written_and_read(dataset):
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=False)
    file.seek(0)
    return dcmread(file, force=True)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize(
    ("photometric", "bits", "stored", "signed", "black"),
    [
        ("MONOCHROME2", 8, 8, False, 0),
        ("MONOCHROME1", 16, 12, False, 4095),
        ("MONOCHROME2", 16, 16, True, -32768),
        ("RGB", 8, 8, False, (0, 0, 0)),
        ("YBR_FULL", 8, 8, False, (0, 128, 128)),
    ],
)
def test_lossless_images_stay_in_their_syntax(syntax, frames, photometric, bits, stored, signed, black):
    shape = (frames, ROWS, COLUMNS) + ((3,) if isinstance(black, tuple) else ())
    before = noise(shape, bits=stored, signed=signed)
    dataset = compressed(before, syntax, photometric=photometric, bits=bits, stored=stored, signed=signed)

    result = written_and_read(blank(dataset, [BAND]))

    assert result.file_meta.TransferSyntaxUID == syntax
    assert result.PhotometricInterpretation == photometric
    assert "LossyImageCompression" not in result
    after = pixel_array(result, raw=True).reshape(shape)
    assert_only_band_changed(before, after, black)


def test_the_reversible_colour_transform_of_jpeg_2000_is_kept():
    before = noise((2, ROWS, COLUMNS, 3))
    dataset = compressed(before, JPEG2000Lossless, photometric="YBR_RCT")

    result = written_and_read(blank(dataset, [BAND]))

    assert result.PhotometricInterpretation == "YBR_RCT"
    assert_only_band_changed(before, pixel_array(result, raw=True), (0, 0, 0))


def test_lossy_images_leave_as_decoded_and_say_that_they_were_lossy():
    dataset = compressed(noise((2, ROWS, COLUMNS)), RLELossless)
    from pydicom.pixels.utils import decompress

    with warnings.catch_warnings():
        decompress(dataset, generate_instance_uid=False)
        from pydicom.pixels.utils import compress

        compress(dataset, JPEGLSNearLossless, jls_error=5, generate_instance_uid=False)
    before = pixel_array(dataset)

    result = written_and_read(blank(dataset, [BAND]))

    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (result.LossyImageCompression, result.LossyImageCompressionMethod) == ("01", "ISO_14495_1")
    assert_only_band_changed(before, pixel_array(result), 0)


@pytest.mark.parametrize(
    ("name", "lossy_method"),
    [
        ("SC_rgb_jpeg_dcmtk.dcm", "ISO_10918_1"),
        ("SC_jpeg_no_color_transform.dcm", "ISO_10918_1"),
        ("color3d_jpeg_baseline.dcm", "ISO_10918_1"),
        ("JPEG-lossy.dcm", "ISO_10918_1"),
        ("JPEGExtended_truncated.dcm", None),
        ("JPEG-LL.dcm", ""),
        ("SC_rgb_jpeg_gdcm.dcm", ""),
        ("JPEG2000.dcm", "ISO_15444_1"),
        ("US1_J2KI.dcm", "ISO_15444_1"),
        ("HTJ2K_08_RGB.dcm", "ISO_15444_15"),
        ("HTJ2KLossless_08_RGB.dcm", ""),
        ("examples_ybr_color.dcm", None),
        ("examples_rgb_color.dcm", None),
        ("MR_small_jpeg_ls_lossless.dcm", None),
        ("MR_small_jp2klossless.dcm", None),
        ("GDCMJ2K_TextGBR.dcm", None),
        ("emri_small_RLE.dcm", None),
        ("emri_small_jpeg_2k_lossless.dcm", None),
        ("SC_rgb_rle_2frame.dcm", None),
        ("SC_rgb_rle_32bit.dcm", None),
        ("OBXXXX1A_rle_2frame.dcm", None),
    ],
)
def test_probe(name, lossy_method):
    path = get_testdata_file(name)
    if path is None:
        pytest.fail(f"no file {name}")
    dataset = dcmread(path)
    try:
        before = pixel_array(dataset)
    except Exception as e:
        print("DECODE", type(e), e)
    rows = 7
    result = blank(dataset, [Rectangle(0, 0, dataset.Columns, rows)])
    print(
        name,
        dataset.file_meta.TransferSyntaxUID.name,
        dataset.PhotometricInterpretation,
        "->",
        result.file_meta.TransferSyntaxUID.name,
        result.PhotometricInterpretation,
        result.get("LossyImageCompression"),
        result.get("LossyImageCompressionMethod"),
    )
