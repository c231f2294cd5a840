"""Identifiers: keys are encoded as pydicom reads them, and bad answers are read as far as possible."""

from datetime import date
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_charset_files

from adit_core.dicom.identifier import Answer, decode_answer, encode_identifier, unique_keys
from adit_core.dicom.node import QueryRoot, ServerNode
from adit_core.dicom.references import StudyReference
from adit_core.errors import InvalidInput
from tests.fakes.peer import decode, encode
from tests.fakes.ports import EXPLICIT, IMPLICIT

KEYS = {
    "QueryRetrieveLevel": "STUDY",
    "PatientName": "Doe^J*",
    "StudyDate": "20240101-20240131",
    "StudyInstanceUID": "1.2.3",
    "PatientID": "",
}
NAME = {"PatientName": ""}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_keys_are_read_by_pydicom(syntax: str):
    decoded = decode(encode_identifier(KEYS, syntax), implicit=syntax == IMPLICIT)
    assert {element.keyword: str(element.value) for element in decoded} == KEYS
    assert list(decoded.keys()) == sorted(decoded.keys())


def test_values_are_padded_to_even_length():
    decoded = decode(encode_identifier(KEYS, IMPLICIT))
    assert decoded.get_item("StudyInstanceUID").value == b"1.2.3\0"
    assert decoded.get_item("QueryRetrieveLevel").value == b"STUDY "


def test_keys_in_ascii_name_no_character_set():
    assert "SpecificCharacterSet" not in decode(encode_identifier(KEYS, IMPLICIT))


def test_other_keys_are_in_utf_8_and_say_so():
    decoded = decode(encode_identifier({"PatientName": "Müller^山田*"}, IMPLICIT))
    assert decoded.SpecificCharacterSet == "ISO_IR 192"
    assert str(decoded.PatientName) == "Müller^山田*"


def test_list_of_uids_stays_a_list():
    uids = [f"1.2.3.{number}" for number in range(100)]
    decoded = decode(encode_identifier({"SOPInstanceUID": "\\".join(uids)}, EXPLICIT), implicit=False)
    assert list(decoded.SOPInstanceUID) == uids


def answer(encoded: bytes, *keywords: str, syntax: str = IMPLICIT) -> Answer:
    return decode_answer(encoded, syntax, dict.fromkeys(keywords, ""))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_answer_is_read(syntax: str):
    encoded = encode(
        implicit=syntax == IMPLICIT,
        StudyInstanceUID="1.2.3",
        StudyDate="20240131",
        ModalitiesInStudy=["CT", "SR"],
        NumberOfStudyRelatedSeries=3,
        PatientName="Doe^Jane",
    )
    read = answer(
        encoded,
        *("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "PatientName"),
        syntax=syntax,
    )
    assert read.text("StudyInstanceUID") == "1.2.3"
    assert read.date("StudyDate") == date(2024, 1, 31)
    assert read.texts("ModalitiesInStudy") == {"CT", "SR"}
    assert read.number("NumberOfStudyRelatedSeries") == 3
    assert read.text("PatientName") == "Doe^Jane"


def test_missing_values_are_empty():
    read = answer(encode(implicit=True, PatientID="1"), "PatientName")
    assert (read.text("PatientName"), read.texts("Modality"), read.date("StudyDate")) == (
        "",
        frozenset(),
        None,
    )
    assert read.number("SeriesNumber") is None


def raw(tag: tuple[int, int], value: bytes) -> bytes:
    group, element = tag
    return (
        b"".join(number.to_bytes(2, "little") for number in (group, element))
        + len(value).to_bytes(4, "little")
        + value
    )


STUDY_DATE, SERIES_NUMBER, CHARACTER_SET, PATIENT_NAME = (8, 0x20), (0x20, 0x11), (8, 5), (0x10, 0x10)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"20240131", date(2024, 1, 31)),
        (b"2024.01.31", date(2024, 1, 31)),
        (b"20240231", None),
        (b"00000000", None),
        (b"2024", None),
        (b"unknown ", None),
        (b"\xff\xfe\xfd\xfc", None),
        (b"20240131\\20240201", None),
        (b"", None),
    ],
)
def test_broken_date_is_no_date(value: bytes, expected: date | None):
    assert answer(raw(STUDY_DATE, value), "StudyDate").date("StudyDate") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"7 ", 7), (b" 12 ", 12), (b"-3", -3), (b"1.5 ", None), (b"x7", None), (b"9" * 400, None)],
)
def test_broken_number_is_no_number(value: bytes, expected: int | None):
    assert answer(raw(SERIES_NUMBER, value), "SeriesNumber").number("SeriesNumber") == expected


@pytest.mark.parametrize(
    ("character_set", "encoded", "name"),
    [
        (b"ISO_IR 192", "Müller^Jörg".encode(), "Müller^Jörg"),
        (b"ISO_IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (b"ISO_IR 144", "Дом^Яна".encode("iso8859-5"), "Дом^Яна"),
        (b"GB18030 ", "王^小东".encode("gb18030"), "王^小东"),
        (b"", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (b"ISO-IR 100", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (b"NONSENSE", "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (b"hex ", b"Doe^Jane", "Doe^Jane"),
        (b"undefined ", b"Doe^Jane", "Doe^Jane"),
        (b"ISO_IR 192\\ISO_IR 100", b"Doe^Jane", "Doe^Jane"),
        (b"\xff\xff\xff\xff", b"Doe^Jane", "Doe^Jane"),
        (
            b"\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            "Yamada^Tarou=山田^太郎",
        ),
    ],
)
def test_text_is_read_in_its_character_set(character_set: bytes, encoded: bytes, name: str):
    data_set = raw(CHARACTER_SET, character_set) + raw(PATIENT_NAME, encoded)
    assert answer(data_set, "PatientName").text("PatientName") == name


def test_text_that_does_not_fit_its_character_set_keeps_what_does():
    data_set = raw(CHARACTER_SET, b"ISO_IR 192") + raw(PATIENT_NAME, b"M\xfcller^J\xf6rg")
    assert answer(data_set, "PatientName").text("PatientName") == "M\ufffdller^J\ufffdrg"


CHARSET_FILES = [path for path in get_charset_files("*.dcm") if "PatientName" in pydicom.dcmread(path)]


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: Path(path).stem)
def test_names_are_read_as_pydicom_reads_them(path: str):
    data_set = pydicom.dcmread(path)
    encoded = Path(path).read_bytes()[data_set.file_meta.FileMetaInformationGroupLength + 144 :]
    read = decode_answer(encoded, data_set.file_meta.TransferSyntaxUID, NAME)
    # pydicom takes off empty groups at the end of a name as well.
    assert read.text("PatientName").rstrip("=") == str(data_set.PatientName).strip()


def test_some_charset_files_were_found():
    assert len(CHARSET_FILES) > 5


def test_sequences_in_an_answer_do_no_harm():
    item = encode(implicit=True, CodeValue="1")
    sequence = b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item
    undefined = b"\x08\x00\x40\x11\xff\xff\xff\xff" + sequence + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert answer(undefined + raw(PATIENT_NAME, b"Doe "), "PatientName").text("PatientName") == "Doe"


@pytest.mark.parametrize(("agreed", "sent"), [(EXPLICIT, IMPLICIT), (IMPLICIT, EXPLICIT)])
def test_an_answer_in_another_syntax_than_agreed_is_read(agreed: str, sent: str):
    encoded = encode(implicit=sent == IMPLICIT, StudyDate="20240131", PatientName="Doe^Jane", PatientID="1")
    read = answer(encoded, "StudyDate", "PatientName", "PatientID", syntax=agreed)
    assert read.texts_by_keyword == {"StudyDate": "20240131", "PatientName": "Doe^Jane", "PatientID": "1"}


@pytest.mark.parametrize("length", [3, 9, 11])
def test_what_breaks_off_is_read_so_far(length: int):
    encoded = raw(PATIENT_NAME, b"Doe^Jane") + raw(SERIES_NUMBER, b"12")[:length]
    assert answer(encoded, "PatientName").text("PatientName") == "Doe^Jane"


def test_error_holds_nothing_of_what_could_not_be_decoded():
    nested = b"".join(
        b"\x08\x00\x40\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" for _ in range(5000)
    )
    with pytest.raises(ValueError, match="cannot be decoded") as raised:
        answer(raw(PATIENT_NAME, b"Doe^Jane") + nested, "PatientName")
    assert raised.value.__cause__ is None
    assert "Doe" not in str(raised.value)


def node(root: QueryRoot) -> ServerNode:
    return ServerNode("pacs", "PACS", "127.0.0.1", 104, query_root=root)


def test_patient_root_needs_the_patient_id():
    study = StudyReference("1.2.3", "P1")
    assert "PatientID" not in unique_keys(node(QueryRoot.STUDY), "SERIES", study)
    assert unique_keys(node(QueryRoot.PATIENT), "SERIES", study)["PatientID"] == "P1"
    with pytest.raises(InvalidInput, match=r"1\.2\.3"):
        unique_keys(node(QueryRoot.PATIENT), "SERIES", StudyReference("1.2.3"))
