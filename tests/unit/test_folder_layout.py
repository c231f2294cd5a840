"""Identifiers as file names."""

import string
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.dicom.layout import file_name, is_identifier, safe_name, series_folder
from adit_core.dicom.references import SeriesReference, StudyReference


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
    return series_folder(SeriesReference(StudyReference("1.2.3", patient_id), "1.2.3.4"))


def test_instance_lies_below_patient_study_and_series():
    assert folder_of("P1") == PurePosixPath("P1/1.2.3/1.2.3.4")
    assert file_name("1.2.3.4.5") == "1.2.3.4.5.dcm"


@pytest.mark.parametrize("patient_id", ["", " ", "  "])
def test_patient_without_id_is_unknown(patient_id: str):
    assert folder_of(patient_id).parts[0] == "unknown"


def test_patient_whose_id_is_unknown_is_somebody_else():
    assert folder_of("unknown").parts[0] != "unknown"


def test_padding_of_a_patient_id_means_nothing():
    assert folder_of(" P1 ") == folder_of("P1")
