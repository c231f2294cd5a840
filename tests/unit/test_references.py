"""UIDs and references."""

import pickle

import pytest

from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference, is_valid_uid


@pytest.mark.parametrize(
    "uid", ["1.2", "0.0", "1.2.840.10008.1.2", "2.25." + "1" * 39, "1." * 31 + "12", "1.0.3"]
)
def test_uid_of_digits_and_dots_is_valid(uid: str):
    assert is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid",
    [
        "",
        "1",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.02",
        "01.2",
        "1.2 ",
        " 1.2",
        "1.2\n",
        "1.2\x00",
        "1.a",
        "1.2/3",
        "1.٣",
        "1." * 32 + "1",
        "2.25." + "1" * 60,
    ],
)
def test_anything_else_is_not(uid: str):
    assert not is_valid_uid(uid)


def test_references_are_values_that_travel_between_processes():
    reference = InstanceReference(SeriesReference(StudyReference("1.2", "P1"), "1.3"), "1.4")
    assert pickle.loads(pickle.dumps(reference)) == reference
    assert len({reference, pickle.loads(pickle.dumps(reference))}) == 1
