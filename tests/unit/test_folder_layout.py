"""Identifiers as file names, and names that are made of several attributes."""

import string
from datetime import date
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.dicom.layout import Names, is_identifier, safe_name
from adit_core.dicom.query import InstanceResult, SeriesResult, StudyResult
from adit_core.dicom.references import InstanceReference, SeriesReference, StudyReference
from adit_core.errors import InvalidInput

STUDY = StudyReference("1.2.3", "P1")
SERIES = SeriesReference(STUDY, "1.2.3.4")


@pytest.mark.parametrize(
    "identifier", ["DEMO0001", "0004711", "SUB-01_A.2", "1.2.840.10008.1", "7", "A" * 64]
)
def test_harmless_identifier_stays_as_it_is(identifier: str):
    assert safe_name(identifier) == identifier
    assert is_identifier(identifier)


@pytest.mark.parametrize(
    "identifier",
    [
        *("..", ".", "../../etc/passwd", "/etc", "a/b", "a\\b", "\x00", "A\x00B", "C:", "A:stream"),
        *(
            ".hidden",
            "ENDS.",
            "ENDS ",
            " BEGINS",
            "A B",
            "",
            "*",
            "?",
            '"',
            "<",
            "|",
            "\n",
            "~",
            "A~12345678",
        ),
        *("CON", "NUL", "COM1", "LPT9", "CON.TXT", "AUX.1.2", "con", "demo0001", "Müller", "山田", "\ud800"),
        *("A" * 65, "A" * 5000, "ä" * 300),
    ],
)
def test_harmful_identifier_becomes_another_name(identifier: str):
    name = safe_name(identifier)
    assert name != identifier
    assert not is_identifier(name)
    assert set(name) <= set(string.ascii_letters + string.digits + "_-.~")
    assert 0 < len(name) <= 64
    assert name[0] != "."
    assert name[-1] not in ". "
    assert name.split(".")[0].upper() not in {"CON", "NUL", "AUX", "PRN", "COM1", "LPT9"}


@given(st.text(max_size=80))
def test_name_is_one_part_of_a_path(identifier: str):
    name = safe_name(identifier)
    assert PurePosixPath(name).parts == (name,)
    assert name not in (".", "..")
    assert len(name.encode()) <= 100


@given(st.text(alphabet="aAbB1./~_", max_size=6), st.text(alphabet="aAbB1./~_", max_size=6))
def test_different_identifiers_have_different_names_whatever_the_case(one: str, other: str):
    if one != other:
        assert safe_name(one).casefold() != safe_name(other).casefold()


def test_name_is_always_the_same():
    assert safe_name("demo0001") == "demo0001~c83b04fc"


def folder_of(patient_id: str) -> PurePosixPath:
    study = StudyReference("1.2.3", patient_id)
    return Names().series_folder(StudyResult(study), SeriesResult(SeriesReference(study, "1.2.3.4")))


def test_instance_lies_below_patient_study_and_series():
    assert folder_of("P1") == PurePosixPath("P1/1.2.3/1.2.3.4")
    assert file_of(Names(), "1.2.3.4.5") == "1.2.3.4.5.dcm"


@pytest.mark.parametrize("patient_id", ["", " ", "  "])
def test_patient_without_id_is_unknown(patient_id: str):
    assert folder_of(patient_id).parts[0] == "unknown"


def test_patient_whose_id_is_unknown_is_somebody_else():
    assert folder_of("unknown").parts[0] != "unknown"


def test_padding_of_a_patient_id_means_nothing():
    assert folder_of(" P1 ") == folder_of("P1")


def file_of(names: Names, uid: str, number: int | None = None) -> str:
    instance = InstanceResult(InstanceReference(SERIES, uid), instance_number=number)
    return names.file_name(StudyResult(STUDY), SeriesResult(SERIES), instance)


def study(uid: str = "1.2.3", patient_id: str = "P1", **texts: Any) -> StudyResult:
    return StudyResult(StudyReference(uid, patient_id), study_date=date(2024, 1, 2), **texts)


def study_folder(template: str, result: StudyResult) -> str:
    series = SeriesResult(SeriesReference(result.reference, "1.2.3.4"))
    return Names(patient="", study=template).series_folder(result, series).parts[0]


READABLE = Names(
    study="{StudyDate} {AccessionNumber} {StudyDescription}",
    series="{SeriesNumber:03}_{Modality}_{SeriesDescription}",
    instance="{InstanceNumber:04}",
)


def test_names_can_be_made_of_attributes():
    series = SeriesResult(SERIES, "CT", 7, "Thorax, axial")
    result = study(accession_number="A1", study_description="CT Schädel")
    assert READABLE.series_folder(result, series) == PurePosixPath(
        "P1", "20240102 A1 CT_Schädel~c47f5b18", "007_CT_Thorax_axial~6694f83c"
    )
    assert file_of(READABLE, "1.2.3.4.5", 17) == "0017~b8b9f26c.dcm"


def test_attributes_that_are_missing_leave_a_name():
    series = SeriesResult(SERIES)
    bare = StudyResult(StudyReference("1.2.3", ""))
    assert READABLE.series_folder(bare, series) == PurePosixPath("unknown/unknown~c47f5b18/unknown~6694f83c")
    assert file_of(READABLE, "1.2.3.4.5") == "unknown~b8b9f26c.dcm"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{StudyInstanceUID}", "1.2.3"),
        ("study-{StudyInstanceUID}", "study-1.2.3"),
        ("{AccessionNumber}_{StudyInstanceUID}", "A1_1.2.3"),
        ("{StudyInstanceUID} ({AccessionNumber})", "1.2.3 (A1)"),
        ("{AccessionNumber}{StudyInstanceUID}", "A11.2.3~c47f5b18"),
        ("{StudyInstanceUID}.{AccessionNumber}", "1.2.3.A1~c47f5b18"),
        ("7{StudyInstanceUID}", "71.2.3"),
        ("COM{AccessionNumber}", "COMA1~c47f5b18"),
    ],
)
def test_names_are_marked_unless_they_tell_apart(template: str, expected: str):
    assert study_folder(template, study(accession_number="A1")) == expected


def test_name_that_windows_reserves_is_changed():
    assert study_folder("COM{StudyInstanceUID}", study(uid="1")) == "_COM1~6b86b273"
    assert study_folder("{AccessionNumber}", study(accession_number="aux")) == "_aux~c47f5b18"


def test_studies_of_one_day_have_different_folders():
    one, other = study("1.2.3"), study("1.2.4")
    assert study_folder("{StudyDate}", one) != study_folder("{StudyDate}", other)


def test_accents_are_the_same_however_they_are_written():
    composed, decomposed = study(study_description="Sch\u00e4del"), study(study_description="Scha\u0308del")
    assert study_folder("{StudyDescription}", composed) == study_folder("{StudyDescription}", decomposed)


@pytest.mark.parametrize(
    ("level", "template", "problem"),
    [
        ("patient", "{StudyDate}", "PatientID"),
        ("patient", "{PatientName}", "PatientID"),
        ("study", "{SeriesNumber}", "StudyDate"),
        ("series", "", "left out"),
        ("instance", "", "left out"),
        ("study", "{StudyDate}/{StudyDescription}", "letters and digits"),
        ("study", "..", "begin or end"),
        ("study", "{StudyDate} ", "begin or end"),
        ("study", "{StudyDate", "braces"),
        ("study", "{}", "Attributes"),
        ("study", "{StudyDate.year}", "Attributes"),
        ("study", "{StudyDate!r}", "Only numbers"),
        ("study", "{StudyDate:10}", "Only numbers"),
        ("series", "{SeriesNumber:99999}", "Only numbers"),
        ("study", "a~b", "letters and digits"),
    ],
)
def test_template_that_cannot_be_used_is_refused(level: str, template: str, problem: str):
    with pytest.raises(InvalidInput, match=problem) as raised:
        Names(**{level: template})
    assert [each.field for each in raised.value.problems] == [level]


def test_names_say_whether_they_need_a_description():
    assert READABLE.needs_description
    assert not Names(series="{SeriesNumber}").needs_description


templates = st.sampled_from(
    [
        "{StudyDescription}",
        "{StudyDate}_{StudyDescription}",
        "{AccessionNumber} {StudyInstanceUID}",
        "{StudyInstanceUID}",
        "x-{PatientID}-{AccessionNumber}",
        "COM{AccessionNumber}",
    ]
)
uids = st.one_of(st.from_regex(r"1(\.[1-9]){1,3}", fullmatch=True), st.text(max_size=70))
texts = st.text(max_size=70)


@given(templates, uids, texts, texts)
def test_name_is_valid_on_every_file_system(template: str, uid: str, patient_id: str, text: str):
    result = study(uid, patient_id, study_description=text, accession_number=text[::-1])
    name = study_folder(template, result)
    assert name not in ("", ".", "..")
    assert PurePosixPath(name).parts == (name,)
    assert len(name.encode()) <= 150
    assert not set(name) & set('<>:"/\\|?*\x7f')
    assert min(name) >= " "
    assert name[-1] not in ". "
    assert name.split(".")[0].upper() not in {"CON", "NUL", "AUX", "PRN", "COM1", "LPT9"}


@given(templates, uids, uids, texts, texts)
def test_different_studies_have_different_names_whatever_the_case(
    template: str, one: str, other: str, text: str, another: str
):
    names = [
        study_folder(template, study(uid, study_description=words, accession_number=words))
        for uid, words in ((one, text), (other, another))
    ]
    if one != other and one and other:
        assert names[0].casefold() != names[1].casefold()
