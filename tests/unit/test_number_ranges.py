"""Numbers as people write them."""

import pytest

from adit_core.errors import InvalidInput
from adit_core.services.number_ranges import in_ranges, numbers_in

KNOWN = (2, 3, 4, 7, 8, 20)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((), ""), ((7,), "7"), ((2, 3, 4), "2-4"), ((20, 4, 2, 3, 7), "2-4, 7, 20")],
)
def test_runs_are_drawn_together(numbers: tuple[int, ...], words: str):
    assert in_ranges(numbers) == words


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", set()),
        (" , ", set()),
        ("7", {7}),
        ("2-4, 20", {2, 3, 4, 20}),
        ("2 - 3;8", {2, 3, 8}),
        ("2\N{EN DASH}4", {2, 3, 4}),
        ("3-8", {3, 4, 7, 8}),
        ("2-3, 3-4", {2, 3, 4}),
        ("8\n20", {8, 20}),
    ],
)
def test_numbers_and_ranges_are_read(text: str, numbers: set[int]):
    assert numbers_in(text, KNOWN) == numbers


def test_what_was_written_is_read_again():
    numbers = frozenset(range(1, 10_000, 3)) | frozenset(range(500, 900))

    assert numbers_in(in_ranges(numbers), range(1, 10_001)) == numbers


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("two", "“two” is no number and no range such as 2-10."),
        ("-3", "“-3” is no number"),
        ("2-", "“2-” is no number"),
        ("2-3-4", "“2-3-4” is no number"),
        ("²", "“²” is no number"),
        ("4-2", "4-2 counts downwards: write 2-4."),
        ("5", "There is no 5; there are 2 to 20."),
        ("1", "There is no 1; there are 2 to 20."),
        ("2-999999999", "2-999999999 goes beyond what there is: 2 to 20."),
        ("9" * 30, "is no number"),
    ],
)
def test_what_names_nothing_is_told(text: str, problem: str):
    with pytest.raises(InvalidInput, match=problem):
        numbers_in(text, KNOWN)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(InvalidInput) as raised:
        numbers_in("2, two, 5", KNOWN)

    assert len(raised.value.problems) == 2
