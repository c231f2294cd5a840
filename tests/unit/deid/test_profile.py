"""Profiles: what people write, and what ADIT brings."""

import pytest

from adit_core.deid.profile import Mode, ProfileOption, builtin_profiles, read_profile
from adit_core.errors import InvalidInput


def test_a_profile_is_read_from_yaml_and_from_json():
    text = """
    name: trial 7
    version: 3
    options: [clean descriptors, retain full dates]
    overrides:
      - {attribute: StationName, action: keep}
      - {attribute: BodyPartExamined, action: replace, value: CHEST}
    safe_private:
      - {creator: ACME 1.0, group: 0x0019, elements: [0x10, 0x11]}
    """
    found = read_profile(text)
    assert found.options == {ProfileOption.CLEAN_DESCRIPTORS, ProfileOption.RETAIN_FULL_DATES}
    assert [override.attribute for override in found.overrides] == ["StationName", "BodyPartExamined"]
    assert found.safe_private[0].group == 0x19
    assert read_profile('{"name": "trial 7", "version": 3}').version == 3


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: x\noptions: [keep everything]", "options.0"),
        ("name: x\ncolour: red", "colour"),
        ("version: 1", "name"),
        ("name: x\noverrides: [{attribute: NoSuchThing, action: keep}]", "overrides.0.attribute"),
        ("name: x\noverrides: [{attribute: StationName, action: replace}]", "overrides.0"),
        ("name: x\nsafe_private: [{creator: A, group: 0x20, elements: [1]}]", "safe_private.0"),
        ("name: x\nmode: guess", "mode"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(text, field):
    with pytest.raises(InvalidInput) as caught:
        read_profile(text)
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    "text",
    [
        "name: x\noptions: [retain full dates, retain modified dates]",
        "name: x\nallowed: [Rows]",
        "name: x\noverrides: [{attribute: Rows, action: keep}, {attribute: Rows, action: remove}]",
        "[1, 2]",
        "{",
        "",
    ],
)
def test_what_contradicts_itself_or_is_no_profile_is_refused(text):
    with pytest.raises(InvalidInput):
        read_profile(text)


def test_the_profiles_that_adit_brings():
    profiles = builtin_profiles()
    assert set(profiles) == {"adit-compatible", "allow-list", "research"}
    assert ProfileOption.RETAIN_FULL_DATES in profiles["adit-compatible"].options
    assert profiles["research"].excluded_modalities == {"SR", "PR"}
    assert profiles["allow-list"].mode is Mode.ALLOW_LIST
    assert {"Rows", "PixelData"} <= profiles["allow-list"].allowed
    assert not {"PatientName", "StudyDescription"} & profiles["allow-list"].allowed
