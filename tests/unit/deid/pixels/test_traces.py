import io

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.overlays import numpy_handler
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian

from adit_core.deid.pixels.blank import blank
from adit_core.deid.pixels.preview import preview_png
from adit_core.deid.pixels.regions import Rectangle
from adit_core.errors import DeidentificationFailed, NotFound
from tests.unit.deid.pixels.images import COLUMNS, ROWS, image, noise, real_file


def drawn(*, frames: int = 1, top: int = 1, left: int = 1) -> Dataset:
    """Return an image with an overlay plane of which every bit is set."""
    dataset = image(noise((1, ROWS, COLUMNS)).tobytes())
    dataset.add_new(0x60000010, "US", ROWS)
    dataset.add_new(0x60000011, "US", COLUMNS)
    dataset.add_new(0x60000015, "IS", frames)
    dataset.add_new(0x60000050, "SS", [top, left])
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60003000, "OW", pack_bits(np.ones((frames, ROWS, COLUMNS), dtype=np.uint8)))
    return dataset


def plane(dataset: Dataset) -> np.ndarray:
    return numpy_handler.get_overlay_array(dataset, 0x6000).reshape(-1, ROWS, COLUMNS)


def test_overlays_are_cleared_in_the_regions_of_every_frame():
    result = blank(drawn(frames=3), [Rectangle(2, 0, 5, 4)])

    assert not plane(result)[:, 0:4, 2:7].any()
    assert plane(result).sum() == 3 * (ROWS * COLUMNS - 20)


def test_overlays_that_begin_elsewhere_are_cleared_where_the_region_is_in_the_image():
    result = blank(drawn(top=3, left=-1), [Rectangle(0, 0, 5, 4)])

    assert not plane(result)[0, 0:2, 2:7].any()
    assert plane(result).sum() == ROWS * COLUMNS - 2 * 5


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_overlays_of_big_endian_images_are_cleared_in_their_order(vr):
    dataset = drawn()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    plane = np.frombuffer(dataset[0x60003000].value, np.uint16)
    dataset.add_new(0x60003000, vr, (plane if vr == "OB" else plane.byteswap()).tobytes())

    data = np.frombuffer(blank(dataset, [Rectangle(2, 0, 5, 4)])[0x60003000].value, np.uint16)

    ordered = data if vr == "OB" else data.byteswap()
    bits = np.unpackbits(ordered.view(np.uint8), bitorder="little")[: ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    assert not bits[0:4, 2:7].any()
    assert bits.sum() == ROWS * COLUMNS - 20


def test_an_overlay_without_a_place_fails():
    dataset = drawn()
    del dataset[0x60000050]

    with pytest.raises(DeidentificationFailed, match="overlay 6000"):
        blank(dataset, [Rectangle(0, 0, 5, 4)])


def test_real_overlays_change_only_in_the_region():
    dataset = real_file("examples_overlay.dcm")
    before = dataset.overlay_array(0x6000)

    result = blank(dataset, [Rectangle(0, 0, dataset.Columns, 200)])

    after = result.overlay_array(0x6000)
    assert before[:200].any()
    assert not after[:200].any()
    assert (after[200:] == before[200:]).all()


def test_nothing_keeps_the_former_pixels():
    dataset = image(noise((1, ROWS, COLUMNS)).tobytes())
    icon = Dataset()
    icon.PixelData = b"\1\2"
    dataset.IconImageSequence = Sequence([icon])
    dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = 3, 250

    result = blank(dataset, [Rectangle(0, 0, 5, 4)])

    gone = ("IconImageSequence", "SmallestImagePixelValue", "LargestImagePixelValue")
    assert not any(keyword in result for keyword in gone)


@pytest.mark.parametrize(
    "name", ["examples_ybr_color.dcm", "examples_palette.dcm", "MR_small.dcm", "liver_1frame.dcm"]
)
def test_a_preview_shows_the_image_and_marks_the_regions(name):
    dataset = real_file(name)

    picture = Image.open(io.BytesIO(preview_png(dataset, [Rectangle(4, 4, 20, 10)])))

    assert picture.size == (dataset.Columns, dataset.Rows)
    assert picture.getpixel((4, 4)) == (255, 64, 64)
    assert len(picture.getcolors(1 << 24) or ()) > 2
    assert picture.info == {}


def test_a_preview_of_inverted_grey_is_turned_and_large_images_become_smaller():
    pixels = np.array([[0, 255]], dtype=np.uint8).repeat(100, axis=0).repeat(100, axis=1)
    dataset = image(pixels.tobytes(), photometric="MONOCHROME1", rows=100, columns=200)

    picture = Image.open(io.BytesIO(preview_png(dataset, longest_edge=50)))

    assert picture.size == (50, 25)
    assert picture.getpixel((5, 5)) == (255, 255, 255)
    assert picture.getpixel((45, 5)) == (0, 0, 0)


def test_a_preview_of_a_frame_that_is_not_there_is_refused():
    dataset = image(noise((2, ROWS, COLUMNS)).tobytes(), frames=2)

    assert preview_png(dataset, frame=0) != preview_png(dataset, frame=1)
    with pytest.raises(NotFound):
        preview_png(dataset, frame=2)


def test_what_cannot_be_decoded_cannot_be_shown():
    dataset = image(b"\0" * 10)

    with pytest.raises(DeidentificationFailed, match="cannot be shown"):
        preview_png(dataset)
