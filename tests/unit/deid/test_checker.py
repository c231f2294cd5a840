"""The second look: what is left of the original is found, wherever and however it is written."""

import pytest
from pydicom.dataset import Dataset

from adit_core.deid.checker import residual_identifiers
from adit_core.deid.profile import Override, ProfileOption
from tests.deid import RESEARCH, deidentifier, patient_data, profile, read_back
from tests.factories import dataset

ORIGINAL = {
    "OtherPatientNames": "Königsmark^Anna",
    "PatientAddress": "Lindenweg 7\\Steinfurt",
    "PatientTelephoneNumbers": "06221 / 560815",
    "OperatorsName": "Brenneisen^Ida",
    "FrameOfReferenceUID": "1.2.826.0.1.99.4",
}


def paths_of_residues(result: Dataset, of=RESEARCH, **elements) -> set[str]:
    original = read_back(patient_data(**(ORIGINAL | elements)))
    return {residue.path for residue in residual_identifiers(original, read_back(result), of)}


def clean(**elements) -> Dataset:
    """Return a clean result, but for these elements."""
    found = deidentifier().deidentify(patient_data(**ORIGINAL))
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def test_a_clean_result_has_none():
    assert paths_of_residues(clean()) == set()


@pytest.mark.parametrize(
    "text",
    [
        "seen by löwenherz", "ANNEGRET L.", "Loewenherz", "Koenigsmark", "PID-4711-08", "pid 4711 08",
        "PID471108", "acc0815", "quacksalber", "Waldklinik", "in Hohenfels", "Lindenweg", "Tel 06221560815",
        "Brenneisen",
        "29.02.2024", "2024-02-29", "02/29/2024", "20240229", "29 February 2024", "Feb 29, 2024", "5.3.1961",
        "1.2.826.0.1.99.2", "see 1.2.826.0.1.99.4",
    ],
)  # fmt: skip
def test_text_is_searched_for_everything_in_many_spellings(text):
    assert paths_of_residues(clean(ImageComments=text)) == {"ImageComments"}


@pytest.mark.parametrize("text", ["CT Thorax", "Annex", "4712", "2024", "Hohen", "1.2.840.10008.5.1.4.1.1.2"])
def test_what_only_resembles_is_no_residue(text):
    assert paths_of_residues(clean(ImageComments=text)) == set()


def test_depth_private_and_bytes_are_searched():
    result = clean(
        SourceImageSequence=[dataset(PurposeOfReferenceCodeSequence=[dataset(CodeMeaning="Löwenherz")])]
    )
    block = result.private_block(0x19, "ACME", create=True)
    block.add_new(1, "OB", b"\x00\x01xxQUACKSALBERxx\x00")
    block.add_new(2, "SQ", [dataset(PatientComments="Annegret")])
    assert paths_of_residues(result) == {
        "SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeMeaning",
        "(0019,1001)",
        "(0019,1002)[0].PatientComments",
    }


def test_names_in_other_scripts_and_character_sets_are_found():
    original = patient_data(
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
        ReferringPhysicianName="",
    )
    result = deidentifier().deidentify(original)
    assert residual_identifiers(read_back(original), read_back(result), RESEARCH) == []
    result.ImageComments = "患者 山田 様"
    found = residual_identifiers(read_back(original), read_back(result), RESEARCH)
    assert {residue.path for residue in found} == {"ImageComments"}


def test_dates_that_did_not_move_and_birth_dates_anywhere_are_found():
    assert paths_of_residues(clean(StudyDate="20240229")) == {"StudyDate"}
    assert paths_of_residues(clean(SeriesDate="19610305")) == {"SeriesDate"}
    assert paths_of_residues(clean(PatientBirthDate="19610305")) == {"PatientBirthDate"}


def test_uids_that_were_not_replaced_are_found_but_not_classes():
    assert paths_of_residues(clean(FrameOfReferenceUID="1.2.826.0.1.99.3")) == {"FrameOfReferenceUID"}
    assert paths_of_residues(clean(), SOPClassUID="1.3.12.2.1107.5.9.1") == set()


def test_what_the_profile_keeps_is_not_looked_for():
    of = profile(
        ProfileOption.RETAIN_FULL_DATES,
        ProfileOption.RETAIN_UIDS,
        ProfileOption.RETAIN_INSTITUTION_IDENTITY,
        overrides=(Override(attribute="AccessionNumber", action="keep"),),
    )
    original = patient_data()
    result = deidentifier(of).deidentify(original)
    assert result.StudyDate == original.StudyDate
    assert result.InstitutionName == original.InstitutionName
    assert result.AccessionNumber == original.AccessionNumber
    assert residual_identifiers(original, result, of) == []


def test_a_defined_term_is_no_residue_although_somebody_has_that_name():
    original = patient_data(PatientName="Head^Paul", BodyPartExamined="HEAD", StudyDescription="CT Head")
    result = deidentifier().deidentify(original)
    assert result.BodyPartExamined == "HEAD"
    assert result.StudyDescription == "CT"
    assert residual_identifiers(original, result, RESEARCH) == []
    result.StudyDescription = "CT Head"
    assert residual_identifiers(original, result, RESEARCH) != []


def test_a_residue_tells_no_value():
    original = patient_data()
    residues = residual_identifiers(original, original, RESEARCH)
    assert residues
    assert "wenherz" not in str(residues)
    assert "4711" not in str(residues)
