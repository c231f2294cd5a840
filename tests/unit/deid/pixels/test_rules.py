import pytest

from adit_core.deid.pixels.regions import Rectangle
from adit_core.deid.pixels.rules import BUILTIN_RULE_SETS, Action, Looks, builtin_rule_set, read_rule_set
from adit_core.errors import InvalidInput
from tests.unit.deid.pixels.images import image


def rule(text: str):
    return read_rule_set(f"name: ours\nversion: 1\nrules:\n  - {text}").rules[0]


def ultrasound(**attributes: object):
    dataset = image(rows=600, columns=800)
    dataset.Modality = "US"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize("name", BUILTIN_RULE_SETS)
def test_the_rule_sets_that_come_with_adit_can_be_read_and_name_their_sources(name):
    rule_set = builtin_rule_set(name)

    assert rule_set.name == name
    assert all(each.source for each in rule_set.rules)
    assert len({each.name for each in rule_set.rules}) == len(rule_set.rules)


def test_known_devices_blank_only_what_was_found_and_vouch_for_nothing():
    rules = builtin_rule_set("known-devices").rules

    assert all(each.action is Action.BLANK and not each.clears_all_text for each in rules)
    assert all(each.when.rows or each.when.columns for each in rules)


def test_an_unknown_rule_set_is_refused_by_name():
    with pytest.raises(InvalidInput, match="known-devices"):
        builtin_rule_set("unknown")


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("{modality: US}", True),
        ("{modality: [CT, US]}", True),
        ("{modality: USX}", False),
        ("{manufacturer: philips}", True),
        ("{manufacturer: [Siemens, Philips]}", True),
        ("{manufacturer: Siemens}", False),
        ("{model: iu22, rows: 600}", True),
        ("{model: iU22, rows: 480}", False),
        ("{model: iU22, columns: [640, 800]}", True),
        ("{software: 6.0}", None),
        ('{software: "6.0"}', True),
        ("{image_type: secondary}", True),
        ("{image_type: PRIMARY}", False),
        ('{burned_in_annotation: "YES"}', True),
        ('{burned_in_annotation: "NO"}', False),
        ("{series_description: Report}", False),
    ],
)
def test_a_rule_fits_when_all_that_it_says_is_so(when, fits):
    dataset = ultrasound(
        Manufacturer="Philips Medical Systems",
        ManufacturerModelName="iU22",
        SoftwareVersions=["PMS5.1", "6.0.1"],
        ImageType=["DERIVED", "SECONDARY"],
        BurnedInAnnotation="YES",
    )

    if fits is None:
        with pytest.raises(InvalidInput, match="software"):
            rule(f"{{name: x, when: {when}, action: hold}}")
    else:
        assert rule(f"{{name: x, when: {when}, action: hold}}").when.fits(Looks.of(dataset)) is fits


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{name: x, when: {}, action: hold}", "which images"),
        ("{name: x, when: {modality: US}}", "what to blank"),
        ("{name: x, when: {modality: US}, action: pass, blank: {top: 4}}", "not both"),
        ("{name: x, when: {modality: US, rows: 600}, blank: {top: 4}}", "differ from device"),
        ("{name: x, when: {model: iU22}, blank: {top: 4}}", "differ from device"),
        ("{name: x, when: {model: iU22, rows: 600}, blank: {}}", "nothing is named"),
        ("{name: x, when: {model: iU22, rows: 600}, blank: {rectangles: [[0, 0, 0, 5]]}}", "rectangles"),
        ("{name: x, when: {modell: iU22}, action: hold}", "modell"),
        ("{name: x, source: nowhere, when: {modality: US}, action: hold}", "nowhere"),
        ('{name: "", when: {modality: US}, action: hold}', "name"),
    ],
)
def test_a_rule_that_says_too_little_or_too_much_is_refused_with_its_place(text, place):
    with pytest.raises(InvalidInput, match=place):
        rule(text)


def test_text_that_is_not_yaml_is_refused_with_its_line():
    with pytest.raises(InvalidInput, match="line 2"):
        read_rule_set("name: x\nversion: [1")


def test_bands_follow_the_edges_of_the_image_and_rectangles_end_with_it():
    area = rule(
        "{name: x, when: {model: iU22, rows: 600},"
        " blank: {top: 10, bottom: 20, left: 30, right: 40,"
        " rectangles: [[790, 590, 50, 50], [900, 0, 9, 9]]}}"
    ).blank

    assert area is not None
    assert area.regions(ultrasound()) == (
        Rectangle(0, 0, 800, 10),
        Rectangle(0, 580, 800, 20),
        Rectangle(0, 0, 30, 600),
        Rectangle(760, 0, 40, 600),
        Rectangle(790, 590, 10, 10),
    )
