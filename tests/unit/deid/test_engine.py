"""De-identification of data sets."""

from copy import deepcopy
from datetime import date
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from adit_core.deid.engine import Deidentifier
from adit_core.deid.profile import Override, ProfileOption, SafePrivate, builtin_profiles
from adit_core.deid.subject import Project, Subject
from adit_core.errors import DeidentificationFailed
from tests.deid import (
    PATIENT_ID,
    PSEUDONYM,
    RESEARCH,
    SECRET,
    deidentifier,
    encoded,
    patient_data,
    profile,
    read_back,
)
from tests.factories import dataset

BASIC = profile()


def made(original: Dataset, of=RESEARCH, **options) -> Dataset:
    return deidentifier(of, **options).deidentify(original)


def test_the_patient_is_the_pseudonym():
    found = made(patient_data())
    assert found.PatientID == found.PatientName == PSEUDONYM
    assert found.PatientBirthDate == found.AccessionNumber == found.ReferringPhysicianName == ""
    assert "InstitutionName" not in found


def test_the_object_says_what_was_done_to_it():
    found = made(patient_data())
    assert found.PatientIdentityRemoved == "YES"
    assert found.DeidentificationMethod == "ADIT research 1"
    codes = [item.CodeValue for item in found.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107", "113108"]
    assert found.LongitudinalTemporalInformationModified == "MODIFIED"
    assert all(len(item.CodeMeaning) <= 64 for item in found.DeidentificationMethodCodeSequence)


@pytest.mark.parametrize(
    ("options", "said", "date"),
    [
        ((), "REMOVED", ""),
        ((ProfileOption.RETAIN_FULL_DATES,), "UNMODIFIED", "20240229"),
    ],
)
def test_what_happened_to_dates_is_said_and_so(options, said, date):
    found = made(patient_data(), profile(*options))
    assert found.LongitudinalTemporalInformationModified == said
    assert found.StudyDate == date


def test_dates_move_by_the_same_days_at_every_depth_and_times_stay():
    original = patient_data(
        AcquisitionDateTime="20240301080910.5+0100",
        RequestAttributesSequence=[dataset(ScheduledProcedureStepID="X")],
        SeriesDate="20240302",
        PerformedProcedureStepStartDate="20240303",
    )
    item = dataset(AcquisitionDate="20240304", SOPInstanceUID="1.2.3")
    original.SourceImageSequence = [item]
    found = made(original)
    days = (_day(original.StudyDate) - _day(found.StudyDate)).days
    assert 1 <= days <= 3650
    for before, after in (
        (original.SeriesDate, found.SeriesDate),
        (original.PerformedProcedureStepStartDate, found.PerformedProcedureStepStartDate),
        (item.AcquisitionDate, found.SourceImageSequence[0].AcquisitionDate),
        (original.AcquisitionDateTime[:8], found.AcquisitionDateTime[:8]),
    ):
        assert (_day(before) - _day(after)).days == days
    assert found.AcquisitionDateTime.endswith("080910.5+0100")
    assert found.StudyTime == original.StudyTime


def test_references_stay_consistent_across_instances_and_jobs():
    first = patient_data(ReferencedImageSequence=[dataset(ReferencedSOPInstanceUID="1.2.826.0.1.99.7")])
    second = patient_data(SOPInstanceUID="1.2.826.0.1.99.7")
    by = deidentifier()
    referring, referred = by.deidentify(first), deidentifier().deidentify(second)
    assert referring.ReferencedImageSequence[0].ReferencedSOPInstanceUID == referred.SOPInstanceUID
    assert referring.StudyInstanceUID == referred.StudyInstanceUID == by.mapped_uid("1.2.826.0.1.99.2")
    assert referred.SOPClassUID == second.SOPClassUID


def test_retained_uids_are_retained_everywhere():
    of = profile(ProfileOption.RETAIN_UIDS)
    original = patient_data(FrameOfReferenceUID="1.2.3.4")
    found = made(original, of)
    assert found.SOPInstanceUID == original.SOPInstanceUID == deidentifier(of).mapped_uid("1.2.826.0.1.99.1")
    assert found.FrameOfReferenceUID == "1.2.3.4"


def test_the_result_is_the_same_bytes_every_time():
    original = read_back(patient_data(StudyDescription="CT Thorax Löwenherz"))
    assert encoded(made(original)) == encoded(made(read_back(original)))


def test_the_original_is_not_changed():
    original = patient_data(StudyDescription="Löwenherz", SourceImageSequence=[dataset(PatientID="1")])
    before = deepcopy(original)
    made(original)
    assert original == before


def test_pixel_data_are_passed_by_reference():
    original = patient_data()
    original.add_new("PixelData", "OW", b"\x01\x02" * 100)
    assert made(original)["PixelData"].value is original["PixelData"].value


def test_text_is_cleaned_of_everybody_that_the_data_set_knows():
    found = made(
        patient_data(
            StudyDescription="CT Thorax",
            SeriesDescription="Thorax LOEWENHERZ PID-4711-08 nativ",
            ProtocolName="Annegret",
            ImageComments="seen by Quacksalber, Hohenfels, ACC 0815",
        )
    )
    assert found.StudyDescription == "CT Thorax"
    assert found.SeriesDescription == "Thorax nativ"
    assert "ProtocolName" not in found
    assert not {"quacksalber", "hohenfels", "0815"} & set(found.get("ImageComments", "").casefold().split())


def test_nested_and_unlisted_attributes_are_cleaned_as_well():
    original = patient_data(
        PerFrameFunctionalGroupsSequence=[
            dataset(
                FrameContentSequence=[dataset(FrameComments="Löwenherz coughs", FrameAcquisitionNumber=3)]
            )
        ],
        PatientState="Löwenherz",
        FrameComments="Annegret",
    )
    found = made(original)
    content = found.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    assert content.FrameAcquisitionNumber == 3
    assert "wenherz" not in str(found)
    assert "Annegret" not in str(found)


@pytest.mark.parametrize(
    ("age", "kept"), [("089Y", "089Y"), ("090Y", "090Y"), ("103Y", "090Y"), ("012M", "012M"), ("old ", None)]
)
def test_ages_above_89_are_90(age, kept):
    original = read_back(patient_data())
    original.add_new("PatientAge", "AS", "001Y")
    encoded_age = encoded(original).replace(b"001Y", age.encode())
    found = made(dcmread(BytesIO(encoded_age)))
    assert found.get("PatientAge") == kept


def test_private_attributes_go_with_their_creators():
    original = patient_data()
    original.private_block(0x19, "ACME", create=True).add_new(0x01, "LO", "Löwenherz")
    assert not [tag for tag in made(original).keys() if tag.is_private]  # noqa: SIM118 - tags, not elements


def test_safe_private_attributes_stay_and_are_cleaned():
    original = patient_data()
    siemens = original.private_block(0x19, "SIEMENS MR HEADER", create=True)
    siemens.add_new(0x0C, "IS", "1000")
    siemens.add_new(0x50, "LO", "Löwenherz")
    philips = original.private_block(0x2001, "Philips Imaging DD 001", create=True)
    philips.add_new(0x63, "CS", "ELSEWHERE")
    philips.add_new(0x6D, "LO", "Löwenherz")
    philips.add_new(0x5F, "SQ", [dataset(PatientName="Löwenherz", Rows=7)])
    found = made(read_back(original), profile(ProfileOption.RETAIN_SAFE_PRIVATE))
    assert found.private_block(0x19, "SIEMENS MR HEADER")[0x0C].value == 1000
    assert 0x50 not in found.private_block(0x19, "SIEMENS MR HEADER")
    block = found.private_block(0x2001, "Philips Imaging DD 001")
    assert 0x6D not in block
    assert block[0x5F].value[0].Rows == 7
    assert block[0x5F].value[0].PatientName == ""
    assert "wenherz" not in str(found)


def test_a_safe_private_sequence_that_is_not_told_to_be_one_goes():
    original = patient_data()
    block = original.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x5F, "UN", b"\xfe\xff\x00\xe0\x12\x00\x00\x00\x10\x00\x10\x00PN\x0a\x00Quacksalb ")
    found = made(read_back(original), profile(ProfileOption.RETAIN_SAFE_PRIVATE))
    assert b"Quack" not in encoded(found)


def test_a_project_may_know_more_safe_private_attributes():
    original = patient_data()
    block = original.private_block(0x21, "ACME", create=True)
    block.add_new(0x01, "DS", "1.5")
    block.add_new(0x02, "DS", "2.5")
    safe = SafePrivate(creator="ACME", group=0x21, elements=frozenset({1}))
    found = made(original, profile(safe_private=(safe,)))
    assert found.private_block(0x21, "ACME")[1].value == 1.5
    assert 2 not in found.private_block(0x21, "ACME")


def test_a_private_value_in_disguise_of_a_number_goes():
    raw = encoded(patient_data(SliceLocation="1.25")).replace(b"1.25", b"Anne")
    assert "SliceLocation" not in made(dcmread(BytesIO(raw)))


def test_an_attribute_with_a_wrong_vr_goes():
    raw = encoded(patient_data(SliceThickness="1.25")).replace(b"\x18\x00\x50\x00DS", b"\x18\x00\x50\x00LO")
    found = made(dcmread(BytesIO(raw)))
    assert found.get("SliceThickness", "") == ""


def test_study_id_is_never_empty_and_the_same_in_a_study():
    first, second = made(patient_data()), made(patient_data(StudyID="", SOPInstanceUID="1.2.9"))
    assert first.StudyID == second.StudyID
    assert len(first.StudyID) == 12
    assert first.StudyID != made(patient_data(StudyInstanceUID="1.2.8")).StudyID


def test_the_trial_is_written():
    found = made(patient_data(), trial_protocol_id="NCT01", trial_protocol_name="Lungs")
    assert (found.ClinicalTrialProtocolID, found.ClinicalTrialProtocolName) == ("NCT01", "Lungs")
    assert found.ClinicalTrialSubjectID == PSEUDONYM


def test_overrides_keep_replace_and_remove():
    of = profile(
        overrides=(
            Override(attribute="AccessionNumber", action="keep"),
            Override(attribute="BodyPartExamined", action="replace", value="CHEST"),
            Override(attribute="Modality", action="remove"),
            Override(attribute="PatientSex", action="empty"),
        )
    )
    found = made(patient_data(BodyPartExamined="HEAD"), of)
    assert found.AccessionNumber == "ACC0815"
    assert found.BodyPartExamined == "CHEST"
    assert "Modality" not in found
    assert found.PatientSex == ""


def test_the_allow_list_lets_nothing_else_through():
    original = patient_data(StudyDescription="CT Thorax", Rows=4, ImageComments="nativ")
    found = made(original, builtin_profiles()["allow-list"])
    assert found.Rows == 4
    assert "StudyDescription" not in found
    assert "ImageComments" not in found
    assert found.StudyInstanceUID.startswith("2.25.")


def test_structured_content_stays_a_tree_without_what_identifies():
    item = dataset(
        ValueType="TEXT",
        ConceptNameCodeSequence=[
            dataset(CodeValue="121071", CodingSchemeDesignator="DCM", CodeMeaning="Finding")
        ],
        TextValue="Nodule in left lung of Löwenherz",
    )
    person = dataset(ValueType="PNAME", PersonName="Quacksalber^Theo")
    original = patient_data(ContentSequence=[dataset(ValueType="CONTAINER", ContentSequence=[item, person])])
    cleaned = made(original, profile(ProfileOption.CLEAN_STRUCTURED_CONTENT, ProfileOption.CLEAN_DESCRIPTORS))
    texts = cleaned.ContentSequence[0].ContentSequence
    assert texts[0].TextValue == "Nodule in left lung of"
    assert texts[0].ConceptNameCodeSequence[0].CodeValue == "121071"
    assert texts[0].ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert texts[1].PersonName == "REMOVED"
    replaced = made(original, BASIC).ContentSequence[0].ContentSequence[0]
    assert replaced.TextValue == "REMOVED"


def test_overlays_and_curves_go_whatever_their_group():
    original = patient_data()
    original.add_new(0x60023000, "OW", b"\x01\x02")
    original.add_new(0x60020010, "US", 8)
    original.add_new(0x50043000, "OW", b"\x01\x02")
    found = made(original)
    assert 0x60023000 not in found
    assert 0x50043000 not in found


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_what_is_kept_is_kept_in_every_encoding(syntax):
    original = read_back(
        patient_data(
            Rows=512, ImagePositionPatient=[1, 2, 3.5], StudyDescription="CT Schädel", PixelSpacing=[1, 1]
        ),
        syntax,
    )
    found = read_back(made(original), syntax)
    assert (found.Rows, found.ImagePositionPatient) == (512, [1, 2, 3.5])
    assert found.StudyDescription == "CT Schädel"
    assert found.PatientName == PSEUDONYM


def test_file_meta_information_names_the_new_instance():
    original = read_back(patient_data())
    found = made(original)
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert len(found.file_meta) == 3


def test_data_of_another_patient_are_refused_without_telling_who():
    with pytest.raises(DeidentificationFailed) as caught:
        made(patient_data(PatientID="9999"))
    assert "1.2.826.0.1.99.1" in str(caught.value)
    assert "9999" not in str(caught.value)


@pytest.mark.parametrize("charset", ["UTF-8", "LATIN"])
def test_an_unknown_character_set_fails_closed(charset):
    raw = encoded(patient_data()).replace(b"ISO_IR 100", charset.encode().ljust(10))
    with pytest.raises(DeidentificationFailed, match="LookupError"):
        made(dcmread(BytesIO(raw)))


def test_an_instance_without_uid_fails_closed():
    original = patient_data()
    del original.SOPInstanceUID
    with pytest.raises(DeidentificationFailed, match="without UID"):
        made(original)


def test_an_unforeseen_error_fails_closed_and_quotes_nothing():
    original = patient_data()
    original.add_new(0x00081140, "SQ", [])
    original["ReferencedImageSequence"]._value = ["Löwenherz"]
    with pytest.raises(DeidentificationFailed) as caught:
        made(original)
    assert "wenherz" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_dry_run_tells_what_the_run_does():
    original = patient_data(
        StudyDescription="CT Löwenherz",
        SourceImageSequence=[dataset(ReferencedSOPInstanceUID="1.2.3")],
    )
    changes = {change.path: change for change in deidentifier().trace(original)}
    assert changes["StudyDescription"].before == "CT Löwenherz"
    assert changes["StudyDescription"].after == "CT"
    assert changes["StudyDescription"].rule == "clean descriptors C"
    assert changes["InstitutionName"].after is None
    assert changes["PatientName"].before == "Löwenherz^Annegret"
    assert changes["PatientName"].after == PSEUDONYM
    assert changes["SourceImageSequence[0].ReferencedSOPInstanceUID"].after == deidentifier().mapped_uid(
        "1.2.3"
    )
    assert changes["PatientIdentityRemoved"].after == "YES"


def test_projects_have_pseudonymous_worlds_of_their_own():
    here = Deidentifier(Project(SECRET, RESEARCH), Subject(PATIENT_ID, PSEUDONYM)).deidentify(patient_data())
    there = Deidentifier(Project(SECRET[::-1], RESEARCH), Subject(PATIENT_ID, PSEUDONYM)).deidentify(
        patient_data()
    )
    assert here.StudyInstanceUID != there.StudyInstanceUID
    assert here.StudyID != there.StudyID


def _day(value: str) -> date:
    return date(int(value[:4]), int(value[4:6]), int(value[6:8]))
