"""Whose an instance says it is, read from the beginning of its encoded data set."""

import random
import zlib
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from adit_core.dicom.named_patient import LONGEST_BEGINNING, NamedInstance, read_patient_id
from tests.fakes.ports import EXPLICIT, IMPLICIT, J2K, instance

BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = (EXPLICIT, IMPLICIT, J2K, BIG_ENDIAN, DEFLATED)
UNCOMPRESSED = (EXPLICIT, IMPLICIT, BIG_ENDIAN)


def data_set(**values: object) -> Dataset:
    made = Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    made.SOPInstanceUID = "1.2.3"
    made.StudyDescription = "Thorax"
    made.PatientName = "Doe^Jane"
    made.PatientID = "P1"
    made.OtherPatientIDs = "P2"
    made.StudyInstanceUID = "1.2"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def encoded(made: Dataset, syntax: str) -> bytes:
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = syntax == IMPLICIT, syntax != BIG_ENDIAN
    write_dataset(file, made)
    whole = file.getvalue()
    if syntax != DEFLATED:
        return whole
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(whole) + deflater.flush()


def item(patient_id: str, *, depth: int = 0, is_undefined: bool = True) -> Dataset:
    made = Dataset()
    made.PatientID = patient_id
    made.is_undefined_length_sequence_item = is_undefined
    if depth:
        refer(made, item(patient_id, depth=depth - 1, is_undefined=is_undefined), is_undefined=is_undefined)
    return made


def refer(made: Dataset, *items: Dataset, is_undefined: bool) -> Dataset:
    """Give a data set a sequence that precedes its Patient ID."""
    made.ReferencedStudySequence = Sequence(items)
    made["ReferencedStudySequence"].is_undefined_length = is_undefined
    return made


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("value", "read"), [("P1", "P1"), ("  P1 ", "P1"), ("123", "123"), ("", ""), ("a" * 64, "a" * 64)]
)
def test_the_patient_id_is_read_without_its_padding(syntax: str, value: str, read: str) -> None:
    assert read_patient_id(encoded(data_set(PatientID=value), syntax), syntax) == read


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_instance_without_patient_id_says_nothing(syntax: str) -> None:
    made = data_set()
    del made.PatientID
    assert read_patient_id(encoded(made, syntax), syntax) == ""


def test_padding_with_null_does_not_matter_and_neither_does_an_odd_length() -> None:
    assert read_patient_id(b"\x10\x00\x20\x00LO\x04\x00P1\0\0\x10\x00", EXPLICIT) == "P1"
    assert read_patient_id(b"\x10\x00\x20\x00LO\x03\x00P12", EXPLICIT) == "P12"
    assert read_patient_id(b"\x08\x00\x05\x00CS\x03\x00ABC\x10\x00\x20\x00LO\x02\x00P1", EXPLICIT) == "P1"


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("is_undefined", [True, False])
def test_the_patients_of_references_are_others(syntax: str, is_undefined: bool) -> None:
    items = [item(f"X{number}", depth=number, is_undefined=is_undefined) for number in range(4)]
    whole = encoded(refer(data_set(), *items, is_undefined=is_undefined), syntax)
    assert read_patient_id(whole, syntax) == "P1"
    assert syntax == DEFLATED or (whole.count(b"\xff\xff\xff\xff") == 17) is is_undefined


def test_a_sequence_of_unknown_vr_is_implicit() -> None:
    inner = b"\x10\x00\x20\x00\x02\x00\x00\x00X9"
    unknown = (
        b"\x08\x00\x10\x11UN\0\0\xff\xff\xff\xff"
        + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
        + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )  # fmt: skip
    assert read_patient_id(unknown + b"\x10\x00\x20\x00LO\x02\x00P1", EXPLICIT) == "P1"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_beginning_that_is_too_short_to_tell_is_told_from_one_that_says_nothing(syntax: str) -> None:
    whole = encoded(refer(data_set(), item("X1", depth=2), is_undefined=True), syntax)
    answers = [read_patient_id(whole[:size], syntax) for size in range(len(whole) + 1)]
    known = answers.index("P1")
    assert set(answers[:known]) == {None}
    assert set(answers[known:]) == {"P1"}


@pytest.mark.parametrize(
    ("charset", "patient_id"),
    [
        ("ISO_IR 100", "Größe 1"),
        ("ISO_IR 192", "Größe 1"),
        (["", "ISO 2022 IR 87"], "患者1"),
        ("ISO_IR 13", "ｶﾝｼﾞｬ"),
    ],
)
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_text_is_decoded_by_its_character_set(charset: str, patient_id: str, syntax: str) -> None:
    made = data_set(SpecificCharacterSet=charset, PatientID=patient_id, PatientName="X")
    assert read_patient_id(encoded(made, syntax), syntax) == patient_id


@pytest.mark.filterwarnings("error")
def test_text_of_an_unknown_character_set_is_read_somehow_and_quietly() -> None:
    made = b"\x08\x00\x05\x00CS\x04\x00NONE\x10\x00\x20\x00LO\x02\x00\xff\xfe"
    assert read_patient_id(made, EXPLICIT) not in ("", None)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_no_data_set_says_nothing(syntax: str) -> None:
    chance = random.Random(7)
    for _ in range(300):
        assert read_patient_id(chance.randbytes(chance.randrange(400)), syntax) in ("", None)
    assert read_patient_id(bytes(4096), syntax) in ("", None)


def test_sequences_without_end_are_not_followed_for_ever() -> None:
    opens = b"\x08\x00\x10\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    assert read_patient_id(opens * 10_000, IMPLICIT) == ""


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
def test_an_instance_is_passed_on_as_it_is_and_named_however_it_is_cut(syntax: str, size: int) -> None:
    whole = encoded(data_set(), syntax)
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    named = NamedInstance(instance("1.2.3", *pieces, syntax=syntax))
    assert list(named.fragments()) == pieces
    assert named.patient_id == "P1"


def test_no_more_is_held_of_an_instance_than_its_beginning() -> None:
    endless = b"\x08\x00\x10\x11UT\0\0\xf0\xff\xff\xff"
    taken = 0

    class Source:
        header = instance("1.2.3").header
        reference = instance("1.2.3").reference

        def fragments(self) -> Iterator[bytes]:
            yield endless
            for _ in range(64):
                yield bytes(LONGEST_BEGINNING // 16)

    named = NamedInstance(Source())
    for fragment in named.fragments():
        taken += len(fragment)
    assert taken == len(endless) + 4 * LONGEST_BEGINNING
    assert named.patient_id == ""


def test_an_empty_instance_says_nothing() -> None:
    named = NamedInstance(instance("1.2.3"))
    assert list(named.fragments()) == []
    assert named.patient_id == ""
