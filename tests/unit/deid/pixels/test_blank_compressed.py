import io

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from adit_core.deid.pixels.blank import blank
from adit_core.deid.pixels.regions import Rectangle
from adit_core.errors import DeidentificationFailed
from tests.unit.deid.pixels.images import compressed, noise, real_file

ROWS, COLUMNS = 40, 52
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
    ("pixel", "black"),
    [
        ({"photometric": "MONOCHROME2"}, 0),
        ({"photometric": "MONOCHROME1", "bits": 16, "stored": 12}, 4095),
        ({"photometric": "MONOCHROME2", "bits": 16, "signed": True}, -32768),
        ({"photometric": "RGB"}, (0, 0, 0)),
        ({"photometric": "YBR_FULL"}, (0, 128, 128)),
    ],
)
def test_lossless_images_stay_in_their_syntax(syntax, frames, pixel, black):
    shape = (frames, ROWS, COLUMNS) + ((3,) if isinstance(black, tuple) else ())
    bits = pixel.get("stored") or pixel.get("bits", 8)
    before = noise(shape, bits=bits, signed=pixel.get("signed", False))
    dataset = compressed(before, syntax, **pixel)

    result = written_and_read(blank(dataset, [BAND]))

    assert result.file_meta.TransferSyntaxUID == syntax
    assert result.PhotometricInterpretation == pixel["photometric"]
    assert "LossyImageCompression" not in result
    after = pixel_array(result, raw=True).reshape(shape)
    assert_only_band_changed(before, after, black)


def test_the_reversible_colour_transform_of_jpeg_2000_is_kept():
    before = noise((2, ROWS, COLUMNS, 3))
    dataset = compressed(before, JPEG2000Lossless, photometric="YBR_RCT")

    result = written_and_read(blank(dataset, [BAND]))

    assert result.PhotometricInterpretation == "YBR_RCT"
    assert_only_band_changed(before, pixel_array(result, raw=True), (0, 0, 0))


REAL_FILES = {
    # JPEG, which is lossy
    "SC_rgb_jpeg_dcmtk.dcm": (ExplicitVRLittleEndian, "ISO_10918_1"),
    "SC_rgb_small_odd_jpeg.dcm": (ExplicitVRLittleEndian, "ISO_10918_1"),
    "SC_jpeg_no_color_transform.dcm": (ExplicitVRLittleEndian, "ISO_10918_1"),
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": (ExplicitVRLittleEndian, "ISO_10918_1"),
    "examples_ybr_color.dcm": (ExplicitVRLittleEndian, "ISO_10918_1"),
    # JPEG Lossless
    "JPEG-LL.dcm": (ExplicitVRLittleEndian, None),
    "SC_rgb_jpeg_gdcm.dcm": (ExplicitVRLittleEndian, None),
    # JPEG-LS
    "JPEGLSNearLossless_08.dcm": (ExplicitVRLittleEndian, "ISO_14495_1"),
    "JPEGLSNearLossless_16.dcm": (ExplicitVRLittleEndian, "ISO_14495_1"),
    "SC_rgb_jls_lossy_sample.dcm": (ExplicitVRLittleEndian, "ISO_14495_1"),
    "MR_small_jpeg_ls_lossless.dcm": (JPEGLSLossless, None),
    # JPEG 2000
    "JPEG2000.dcm": (ExplicitVRLittleEndian, "ISO_15444_1"),
    "US1_J2KI.dcm": (ExplicitVRLittleEndian, "ISO_15444_1"),
    "MR_small_jp2klossless.dcm": (JPEG2000Lossless, None),
    "GDCMJ2K_TextGBR.dcm": (JPEG2000Lossless, None),
    "emri_small_jpeg_2k_lossless.dcm": (JPEG2000Lossless, None),
    # RLE
    "MR_small_RLE.dcm": (RLELossless, None),
    "emri_small_RLE.dcm": (RLELossless, None),
    "SC_rgb_rle_16bit_2frame.dcm": (RLELossless, None),
    "OBXXXX1A_rle_2frame.dcm": (RLELossless, None),
    "SC_rgb_rle_32bit.dcm": (  # pydicom encodes 16 bits at the most
        ExplicitVRLittleEndian,
        None,
    ),
    # native
    "SC_rgb_small_odd.dcm": (ExplicitVRLittleEndian, None),
    "SC_rgb_small_odd_big_endian.dcm": (ExplicitVRBigEndian, None),
    "SC_ybr_full_422_uncompressed.dcm": (ExplicitVRLittleEndian, None),
    "MR_small_bigendian.dcm": (ExplicitVRBigEndian, None),
    "examples_palette.dcm": (ExplicitVRLittleEndian, None),
    "liver_expb_1frame.dcm": (ExplicitVRBigEndian, None),
    "image_dfl.dcm": (DeflatedExplicitVRLittleEndian, None),
}


@pytest.mark.parametrize("name", REAL_FILES)
def test_of_real_files_only_the_band_changes(name):
    dataset = real_file(name)
    rows = max(1, dataset.Rows // 4)
    before = pixel_array(dataset)

    result = written_and_read(blank(dataset, [Rectangle(0, 0, dataset.Columns, rows)]))

    after = pixel_array(result)
    frames = int(dataset.get("NumberOfFrames") or 1)
    shape = (frames, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    bands = after.reshape(shape)[:, :rows]
    assert (bands == bands[0, 0, 0]).all()
    assert (after.reshape(shape)[:, rows:] == before.reshape(shape)[:, rows:]).all()
    syntax, method = REAL_FILES[name]
    assert result.file_meta.TransferSyntaxUID == syntax
    if method:
        assert (result.LossyImageCompression, result.LossyImageCompressionMethod) == ("01", method)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_what_no_codec_decodes_fails(name):
    dataset = real_file(name)

    with pytest.raises(DeidentificationFailed, match="JPEG Extended"):
        blank(dataset, [Rectangle(0, 0, 64, 64)])


def test_damaged_frames_fail():
    dataset = compressed(noise((2, ROWS, COLUMNS)), JPEGLSLossless)
    first, second = generate_frames(dataset.PixelData, number_of_frames=2)
    dataset.PixelData = encapsulate([first, second[: len(second) // 2]])

    with pytest.raises(DeidentificationFailed, match="cannot be decoded"):
        blank(dataset, [BAND])


@pytest.mark.parametrize("stated", [1, 3])
def test_another_number_of_frames_than_stated_fails(stated):
    dataset = compressed(noise((2, ROWS, COLUMNS)), RLELossless)
    dataset.NumberOfFrames = stated

    with pytest.raises(DeidentificationFailed):
        blank(dataset, [BAND])
