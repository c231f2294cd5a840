"""Frames of instances in files: as they are stored, decoded, and as pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from adit_core.dicom.frames import FrameFile, PictureFormat, View, Window
from adit_core.errors import ActionNotPossible, InvalidInput
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.factories import study


def opened(path) -> FrameFile:
    return FrameFile(io.BytesIO(path.read_bytes()))


def one_file(tmp_path, form, syntax=ExplicitVRLittleEndian, frames=1):
    spec = study(SeriesSpec(form, 1, "Frames", 32, 32, frames, syntax), key=f"frames {form} {syntax}")
    return write_study(spec, tmp_path)[0]


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        JPEG2000Lossless,
        RLELossless,
    ],
)
def test_frames_are_decoded_whatever_the_transfer_syntax(tmp_path, syntax):
    path = one_file(tmp_path, Form.CT, syntax)
    frames = opened(path)
    expected = dcmread(path).pixel_array
    assert frames.native(1) == expected.astype("<u2").tobytes() or frames.native(1) == expected.tobytes()
    assert frames.count == 1


def test_frames_of_a_cine_are_told_apart(tmp_path):
    path = one_file(tmp_path, Form.US_CINE, frames=5)
    frames = opened(path)
    expected = dcmread(path, force=True).pixel_array
    assert frames.count == 5
    assert [frames.native(number) for number in range(1, 6)] == [frame.tobytes() for frame in expected]
    with pytest.raises(InvalidInput, match="no frame 6"):
        frames.check((1, 6))
    with pytest.raises(InvalidInput, match="no frame 0"):
        frames.check((0,))


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "MR_small_bigendian.dcm",
        "JPEG2000.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "examples_palette.dcm",
        "examples_rgb_color.dcm",
        "examples_ybr_color.dcm",
        "liver_1frame.dcm",
    ],
)
def test_pictures_are_made_of_all_kinds_of_pixels(name):
    path = Path(str(get_testdata_file(name)))
    picture = Image.open(io.BytesIO(opened(path).picture(1, View(PictureFormat.PNG))))
    header = dcmread(path, stop_before_pixels=True)
    assert (picture.width, picture.height) == (header.Columns, header.Rows)
    assert np.asarray(picture).max() > np.asarray(picture).min()


def test_window_decides_what_is_black_and_white(tmp_path):
    path = one_file(tmp_path, Form.CT)
    data = dcmread(path)
    values = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    middle = float(np.median(values))
    view = View(PictureFormat.PNG, window=Window(middle, 2))
    picture = np.asarray(Image.open(io.BytesIO(opened(path).picture(1, view))))
    assert set(np.unique(picture[values < middle - 2])) <= {0}
    assert set(np.unique(picture[values > middle + 2])) <= {255}


def test_viewport_keeps_proportions(tmp_path):
    path = one_file(tmp_path, Form.CT)
    view = View(viewport=(64, 16), region=(0, 0, 16, 16))
    picture = Image.open(io.BytesIO(opened(path).picture(1, view)))
    assert picture.format == "JPEG"
    assert picture.size == (16, 16)


def test_instance_without_pixels_says_so(tmp_path):
    path = one_file(tmp_path, Form.REPORT)
    with pytest.raises(ActionNotPossible, match="no pixel data"):
        opened(path)
