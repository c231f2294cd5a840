"""What is done to an attribute: table, options, types and overrides."""

import pytest
from pydicom.datadict import dictionary_has_tag, keyword_for_tag, tag_for_keyword
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from adit_core.deid.profile import DeidProfile, Override, ProfileOption, builtin_profiles
from adit_core.deid.rules import Place, Rule, RuleBook
from adit_core.deid.standard import (
    Action,
    AttributeType,
    attribute_type,
    confidential_attribute,
    confidential_attributes,
    iod_of,
    safe_private_elements,
    vocabulary,
)
from tests.deid import profile

CT, ENHANCED_CT = iod_of(CTImageStorage), iod_of(EnhancedCTImageStorage)


def rule(keyword: str, of: DeidProfile | None = None, place: Place = Place(CT)) -> Rule:  # noqa: B008
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return RuleBook(of or profile()).rule(tag, place)


def test_the_table_has_every_row_and_names_the_attributes_of_the_dictionary():
    rows = confidential_attributes()
    assert len(rows) == 655
    named = {tag: row for tag, row in rows.items() if "x" not in row.tag and dictionary_has_tag(tag)}
    assert all(keyword_for_tag(tag) == row.keyword for tag, row in named.items())
    assert {part for row in rows.values() for part in row.basic.split("/")} == {"D", "Z", "X", "U", "U*"}


def test_curves_and_overlays_are_confidential_in_every_group_that_they_may_have():
    for group in (0x5000, 0x501E):
        row = confidential_attribute(group << 16 | 0x3000)
        assert row is not None
        assert row.keyword == "CurveData"
    assert confidential_attribute(0x60023000) is not None
    assert confidential_attribute(0x60020010) is None


def test_types_depend_on_the_iod_and_on_the_sequence():
    assert attribute_type(CT, "", "DeviceSerialNumber") is AttributeType.OPTIONAL
    assert attribute_type(ENHANCED_CT, "", "DeviceSerialNumber") is AttributeType.VALUE
    assert attribute_type(CT, "", "PatientID") is AttributeType.MAY_BE_EMPTY
    assert attribute_type(CT, "GroupOfPatientsIdentificationSequence", "PatientID") is AttributeType.VALUE
    assert attribute_type("", "", "NoSuchThing") is AttributeType.OPTIONAL


@pytest.mark.parametrize(
    ("keyword", "place", "action"),
    [
        ("DeviceSerialNumber", Place(CT), Action.REMOVE),  # X/Z/D, type 3
        ("DeviceSerialNumber", Place(ENHANCED_CT), Action.DUMMY),  # X/Z/D, type 1
        ("ContentDate", Place(ENHANCED_CT), Action.DUMMY),  # Z/D, type 1
        ("ContentDate", Place(CT), Action.EMPTY),  # Z/D, type 2C
        ("StudyDescription", Place(CT), Action.REMOVE),
        ("AccessionNumber", Place(CT), Action.EMPTY),
        ("AcquisitionDate", Place(CT), Action.REMOVE),  # X/Z, type 3
        ("SOPInstanceUID", Place(CT), Action.REPLACE_UID),
        ("ReferencedImageSequence", Place(CT), Action.REPLACE_UID),  # X/Z/U*
        ("Rows", Place(CT), Action.CLEAN),
    ],
)
def test_combined_actions_are_resolved_by_the_type(keyword, place, action):
    assert rule(keyword, place=place).action is action


@pytest.mark.parametrize(
    ("keyword", "option", "action"),
    [
        ("StudyInstanceUID", ProfileOption.RETAIN_UIDS, Action.KEEP),
        ("StationName", ProfileOption.RETAIN_DEVICE_IDENTITY, Action.KEEP),
        ("InstitutionName", ProfileOption.RETAIN_INSTITUTION_IDENTITY, Action.KEEP),
        ("PatientAge", ProfileOption.RETAIN_PATIENT_CHARACTERISTICS, Action.KEEP),
        ("StudyDate", ProfileOption.RETAIN_FULL_DATES, Action.KEEP),
        ("StudyDate", ProfileOption.RETAIN_MODIFIED_DATES, Action.CLEAN),
        ("StudyDescription", ProfileOption.CLEAN_DESCRIPTORS, Action.CLEAN),
        ("ContentSequence", ProfileOption.CLEAN_STRUCTURED_CONTENT, Action.CLEAN),
        ("GraphicAnnotationSequence", ProfileOption.CLEAN_GRAPHICS, Action.CLEAN),
    ],
)
def test_an_option_changes_what_its_column_says(keyword, option, action):
    assert rule(keyword, profile(option)).action is action
    assert rule(keyword).action is not action
    assert rule(keyword, profile(option)).reason == f"{option} {action}"


def test_moving_dates_wins_over_keeping_what_identifies_a_device():
    both = profile(ProfileOption.RETAIN_DEVICE_IDENTITY, ProfileOption.RETAIN_MODIFIED_DATES)
    assert rule("DateOfLastCalibration", both).action is Action.CLEAN


def test_what_the_dictionary_does_not_know_is_removed():
    for tag in (0x00081F01, 0x00020010, 0x00000110, 0x00080000, 0x00041130):
        assert RuleBook(profile()).rule(tag, Place(CT)).action is Action.REMOVE


def test_a_project_overrides_the_table():
    overrides = (
        Override(attribute="StudyDescription", action="keep"),
        Override(attribute="BodyPartExamined", action="replace", value="CHEST"),
        Override(attribute="Rows", action="remove"),
    )
    of = profile(overrides=overrides)
    assert rule("StudyDescription", of).action is Action.KEEP
    assert rule("BodyPartExamined", of).replacement == "CHEST"
    assert rule("Rows", of).action is Action.REMOVE


def test_in_allow_list_mode_the_rest_goes_but_what_validity_needs():
    of = builtin_profiles()["allow-list"]
    assert rule("Rows", of).action is Action.CLEAN
    assert rule("StudyDescription", of).action is Action.REMOVE
    assert rule("PatientComments", of).action is Action.REMOVE
    assert rule("ReferringPhysicianName", of).action is Action.EMPTY


def test_inside_of_a_sequence_that_is_replaced_no_text_stays():
    inside = Place(CT).inside(rule("ContentSequence"))
    assert inside.replaced
    assert rule("TextValue", place=inside).action is Action.DUMMY
    assert rule("RelationshipType", place=inside).action is Action.CLEAN


def test_safe_private_attributes_are_known_by_creator_group_and_element():
    safe = safe_private_elements()
    assert safe["SIEMENS MR HEADER", 0x19] == {0x0C, 0x0D, 0x0E, 0x27}
    assert 0x20 not in safe["Philips Imaging DD 001", 0x2001]


def test_the_vocabulary_names_no_people_months_or_streets():
    assert {"thorax", "abdomen", "schädel", "contrast", "kv"} <= vocabulary()
    assert not {"smith", "müller", "march", "street", "hospital", "mr"} & vocabulary() - {"mr"}
