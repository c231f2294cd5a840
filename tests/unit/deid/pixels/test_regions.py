import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from adit_core.deid.pixels.regions import Rectangle, outside, outside_ultrasound_regions
from tests.unit.deid.pixels.images import image

ROWS, COLUMNS = 20, 30
RECTANGLES = st.lists(
    st.builds(
        Rectangle,
        st.integers(0, COLUMNS),
        st.integers(0, ROWS),
        st.integers(1, COLUMNS),
        st.integers(1, ROWS),
    ),
    max_size=4,
)


def painted(rectangles) -> np.ndarray:
    count = np.zeros((ROWS, COLUMNS), dtype=int)
    for each in rectangles:
        count[each.top : each.bottom, each.left : each.right] += 1
    return count


@given(RECTANGLES)
def test_every_pixel_is_either_inside_or_in_exactly_one_rectangle_outside(rectangles):
    rest = painted(outside(rectangles, rows=ROWS, columns=COLUMNS))

    assert (rest == (painted(rectangles) == 0)).all()


def with_regions(*corners: tuple[int, int, int, int], spatial_format: int = 1) -> Dataset:
    dataset = image(rows=ROWS, columns=COLUMNS)
    dataset.SequenceOfUltrasoundRegions = Sequence([region(*each, spatial_format) for each in corners])
    return dataset


def region(left: int, top: int, right: int, bottom: int, spatial_format: int) -> Dataset:
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    item.RegionSpatialFormat = spatial_format
    return item


def test_what_the_device_does_not_call_image_is_outside_and_its_last_pixel_is_inside():
    rest = painted(outside_ultrasound_regions(with_regions((5, 4, 20, 15))))

    assert rest[3].all()
    assert rest[16].all()
    assert rest[4:16, :5].all()
    assert rest[4:16, 21:].all()
    assert not rest[4:16, 5:21].any()


def test_a_region_of_graphics_is_not_image():
    dataset = with_regions((5, 4, 20, 15))
    dataset.SequenceOfUltrasoundRegions.append(region(22, 4, 28, 15, 5))

    assert painted(outside_ultrasound_regions(dataset))[4:16, 22:29].all()


@pytest.mark.parametrize(
    "dataset",
    [
        image(rows=ROWS, columns=COLUMNS),
        with_regions(),
        with_regions((0, 0, COLUMNS - 1, ROWS - 1)),
        with_regions((5, 4, 5, 15)),
        with_regions((5, 4, COLUMNS + 1, 15)),
        with_regions((5, 4, 20, 15), (0, 0, 90, 90)),
        with_regions((5, 4, 20, 15), spatial_format=5),
    ],
)
def test_a_sequence_that_is_missing_impossible_or_says_nothing_blanks_nothing(dataset):
    assert outside_ultrasound_regions(dataset) == ()


def test_an_incomplete_region_blanks_nothing():
    dataset = with_regions((5, 4, 20, 15))
    del dataset.SequenceOfUltrasoundRegions[0].RegionLocationMaxX1

    assert outside_ultrasound_regions(dataset) == ()
