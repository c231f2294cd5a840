"""Text in the character sets of DICOM: clean words stay, names go, and what does not decode goes."""

from io import BytesIO

import pytest
from pydicom import dcmread

from adit_core.deid.charsets import DEFAULT, decode, encode, encodings_of
from tests.deid import PSEUDONYM, deidentifier, encoded, patient_data, read_back
from tests.factories import dataset

CHARACTER_SETS = [
    ("ISO_IR 100", "Müller^Jörg", "CT Schädel"),
    ("ISO_IR 192", "Ψαρράς^Ξένια=山田^太郎", "CT Schädel"),
    ("GB18030", "Wang^XiaoDong=王^小东", "CT chest"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "CT chest"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "CT chest"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "CT chest"),
    ("ISO_IR 144", "Люкceмбypг^Анна", "CT chest"),  # noqa: RUF001
]


@pytest.mark.parametrize(("charset", "name", "clean"), CHARACTER_SETS)
def test_names_go_and_clean_text_stays(charset, name, clean):
    family = name.rpartition("=")[2].split("^")[0]
    original = read_back(
        patient_data(
            SpecificCharacterSet=charset,
            PatientName=name,
            ReferringPhysicianName="",
            InstitutionName="",
            StudyDescription=clean,
            SeriesDescription=f"{clean} {family}",
            SourceImageSequence=[dataset(PatientComments=f"{family}", ReferencedSOPInstanceUID="1.2")],
        )
    )
    raw_family = original.get_item("PatientName").value.rpartition(b"=")[2].split(b"^")[0]
    result = deidentifier().deidentify(original)
    found = read_back(result)
    assert found.PatientName == PSEUDONYM
    assert found.StudyDescription == clean
    assert family not in str(found)
    assert raw_family not in encoded(result)


def test_an_item_may_have_a_character_set_of_its_own():
    item = dataset(SpecificCharacterSet="ISO_IR 192", CodeMeaning="Schädel", CodeValue="1")
    original = read_back(patient_data(AnatomicRegionSequence=[item]))
    found = read_back(deidentifier().deidentify(original))
    assert found.AnatomicRegionSequence[0].CodeMeaning == "Schädel"


def test_text_that_does_not_decode_goes():
    raw = encoded(patient_data(SpecificCharacterSet="ISO_IR 192", StudyDescription="CT Thorax XY"))
    damaged = raw.replace(b"CT Thorax XY", b"CT Thorax \xff\xfe")
    assert "StudyDescription" not in deidentifier().deidentify(dcmread(BytesIO(damaged)))


@pytest.mark.parametrize(
    ("value", "encodings", "text"),
    [
        (b"Buc^J\xe9r\xf4me ", ("latin_1",), "Buc^Jérôme"),
        (b"\x1b$B;3ED\x1b(B^x", ("iso8859", "iso2022_jp"), "山田^x"),
        (b"\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce", ("iso8859", "euc_kr"), "洪^吉"),
        (b"\xff\xfe", ("utf-8",), None),
        (b"\x1b$)C\xff", ("iso8859", "euc_kr"), None),
        (b"\x1b$Zx", ("iso8859",), "\x1b$Zx"),
    ],
)
def test_decoding_never_guesses(value, encodings, text):
    assert decode(value, encodings) == text


def test_what_the_character_set_lacks_is_not_written():
    assert encode("Schädel", ("latin_1",)) == b"Sch\xe4del "
    assert encode("山田", ("latin_1",)) is None


def test_encodings_are_inherited_and_told():
    assert encodings_of(dataset(Rows=1), ("utf-8",)) == ("utf-8",)
    assert encodings_of(patient_data(SpecificCharacterSet="ISO_IR 192"), DEFAULT) == ("UTF8",)
    with pytest.raises(LookupError):
        encodings_of(patient_data(SpecificCharacterSet="ISO_IR 4711"), DEFAULT)
