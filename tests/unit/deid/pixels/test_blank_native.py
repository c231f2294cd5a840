import numpy as np
import pytest
from pydicom.pixels.utils import pack_bits
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from adit_core.deid.pixels.blank import blank
from adit_core.deid.pixels.regions import Rectangle
from adit_core.errors import DeidentificationFailed
from tests.unit.deid.pixels.images import COLUMNS, ROWS, image, noise, palette

REGIONS = (Rectangle(0, 0, COLUMNS, 4), Rectangle(3, 9, 5, 2))


def in_regions(*, columns: int = COLUMNS) -> np.ndarray:
    mask = np.zeros((ROWS, columns), dtype=bool)
    mask[0:4] = True
    mask[9:11, 3:8] = True
    return mask


def assert_blanked(before: np.ndarray, after: np.ndarray, black: object) -> None:
    mask = in_regions()
    assert (after[:, mask] == black).all()
    assert (after[:, ~mask] == before[:, ~mask]).all()


@pytest.mark.parametrize(
    ("photometric", "bits", "stored", "signed", "black"),
    [
        ("MONOCHROME2", 8, 8, False, 0),
        ("MONOCHROME1", 8, 8, False, 255),
        ("MONOCHROME2", 16, 12, False, 0),
        ("MONOCHROME1", 16, 12, False, 4095),
        ("MONOCHROME2", 16, 16, True, -32768),
        ("MONOCHROME1", 16, 16, True, 32767),
        ("MONOCHROME2", 16, 12, True, -2048),
        ("MONOCHROME2", 32, 32, False, 0),
        ("MONOCHROME2", 32, 32, True, -(1 << 31)),
    ],
)
def test_grey_regions_become_black_and_nothing_else_changes(photometric, bits, stored, signed, black):
    before = noise((3, ROWS, COLUMNS), bits=stored, signed=signed)
    dataset = image(
        before.tobytes(), photometric=photometric, bits=bits, stored=stored, signed=signed, frames=3
    )

    after = np.frombuffer(blank(dataset, REGIONS).PixelData, before.dtype).reshape(before.shape)

    assert_blanked(before, after, black)


@pytest.mark.parametrize(("photometric", "black"), [("RGB", (0, 0, 0)), ("YBR_FULL", (0, 128, 128))])
@pytest.mark.parametrize("planar", [0, 1])
def test_colour_regions_become_black_whatever_the_planar_configuration(photometric, black, planar):
    before = noise((2, ROWS, COLUMNS, 3))
    stored = np.moveaxis(before, -1, 1) if planar else before
    dataset = image(stored.tobytes(), photometric=photometric, frames=2, planar=planar)

    raw = np.frombuffer(blank(dataset, REGIONS).PixelData, np.uint8).reshape(stored.shape)

    assert_blanked(before, np.moveaxis(raw, 1, -1) if planar else raw, black)


def test_pixels_that_share_their_colour_are_blanked_in_pairs():
    before = noise((1, ROWS, COLUMNS // 2, 4))
    dataset = image(before.tobytes(), photometric="YBR_FULL_422")

    after = np.frombuffer(blank(dataset, REGIONS).PixelData, np.uint8).reshape(before.shape)

    pairs = np.zeros((ROWS, COLUMNS // 2), dtype=bool)
    pairs[0:4] = True
    pairs[9:11, 1:4] = True
    assert (after[0, pairs] == (0, 0, 128, 128)).all()
    assert (after[0, ~pairs] == before[0, ~pairs]).all()


def test_a_palette_image_gets_the_index_of_its_darkest_colour():
    before = noise((1, ROWS, COLUMNS))
    dataset = palette(image(before.tobytes(), photometric="PALETTE COLOR"), darkest=77)

    after = np.frombuffer(blank(dataset, REGIONS).PixelData, np.uint8).reshape(before.shape)

    assert_blanked(before, after, 77)


@pytest.mark.parametrize(("photometric", "black"), [("MONOCHROME2", 0), ("MONOCHROME1", 1)])
@pytest.mark.parametrize("frames", [1, 11])
@pytest.mark.parametrize("columns", [24, 25])
def test_single_bit_frames_are_blanked_though_they_begin_within_a_byte(photometric, black, frames, columns):
    before = noise((frames, ROWS, columns), bits=1)
    dataset = image(pack_bits(before), photometric=photometric, bits=1, frames=frames, columns=columns)

    after = blank(dataset, REGIONS)

    bits = np.unpackbits(np.frombuffer(after.PixelData, np.uint8), bitorder="little")
    shown = bits[: before.size].reshape(before.shape)
    mask = in_regions(columns=columns)
    assert (shown[:, mask] == black).all()
    assert (shown[:, ~mask] == before[:, ~mask]).all()
    assert len(after.PixelData) == len(dataset.PixelData)


def test_big_endian_words_are_written_in_their_order():
    before = noise((1, ROWS, COLUMNS), bits=12).astype(">u2")
    dataset = image(
        before.tobytes(), bits=16, stored=12, photometric="MONOCHROME1", syntax=ExplicitVRBigEndian
    )

    after = np.frombuffer(blank(dataset, REGIONS).PixelData, ">u2").reshape(before.shape)

    assert_blanked(before, after, 4095)


def test_big_endian_bytes_that_lie_in_words_are_found():
    before = noise((1, ROWS, COLUMNS))
    dataset = image(before.view("<u2").byteswap().tobytes(), syntax=ExplicitVRBigEndian)
    dataset["PixelData"].VR = "OW"

    after = np.frombuffer(blank(dataset, REGIONS).PixelData, "<u2").byteswap().view(np.uint8)

    assert_blanked(before, after.reshape(before.shape), 0)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_native_syntaxes_stay_what_they_are(syntax):
    before = noise((1, ROWS, COLUMNS))
    dataset = image(before.tobytes(), syntax=syntax)

    result = blank(dataset, REGIONS)

    assert result.file_meta.TransferSyntaxUID == syntax
    assert_blanked(before, np.frombuffer(result.PixelData, np.uint8).reshape(before.shape), 0)


def test_the_padding_of_an_odd_number_of_bytes_stays():
    before = noise((1, 5, 5))
    dataset = image(before.tobytes() + b"\0", rows=5, columns=5)

    assert len(blank(dataset, [Rectangle(0, 0, 5, 1)]).PixelData) == 26


def test_the_instance_that_was_given_is_not_changed():
    before = noise((1, ROWS, COLUMNS))
    dataset = image(before.tobytes())
    dataset.SmallestImagePixelValue = 0

    result = blank(dataset, REGIONS)
    result.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    assert dataset.PixelData == before.tobytes()
    assert "SmallestImagePixelValue" in dataset
    assert dataset.file_meta.TransferSyntaxUID != ImplicitVRLittleEndian


@pytest.mark.parametrize(
    "spoil",
    [
        lambda dataset: setattr(dataset, "PixelData", dataset.PixelData[:-2]),
        lambda dataset: setattr(dataset, "PixelData", dataset.PixelData + b"hidden"),
        lambda dataset: dataset.__delattr__("PixelData"),
        lambda dataset: dataset.__delattr__("Rows"),
        lambda dataset: setattr(dataset, "BitsAllocated", 12),
        lambda dataset: setattr(dataset, "PhotometricInterpretation", "HSV"),
        lambda dataset: setattr(dataset, "PhotometricInterpretation", "RGB"),
        lambda dataset: setattr(dataset, "PhotometricInterpretation", "PALETTE COLOR"),
        lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", "1.2.3"),
        lambda dataset: dataset.__delattr__("file_meta"),
    ],
)
def test_what_cannot_be_blanked_with_certainty_fails_and_names_the_instance(spoil):
    dataset = image(noise((1, ROWS, COLUMNS)).tobytes())
    spoil(dataset)

    with pytest.raises(DeidentificationFailed, match=r"1\.2\.3\.4"):
        blank(dataset, REGIONS)


def test_regions_outside_of_the_image_are_no_blanking():
    with pytest.raises(DeidentificationFailed):
        blank(image(noise((1, ROWS, COLUMNS)).tobytes()), [Rectangle(0, ROWS, 5, 5)])
