"""Whether answers fulfil the keys that were asked with, and data sets in the DICOM JSON model."""

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from adit_core.dicom.identifier import decode_json, encode_identifier
from adit_core.dicom.json_encoding import json_data_set, json_of_texts
from adit_core.dicom.key_matching import fulfils
from tests.factories import dataset

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
ANSWER = json_of_texts(
    {
        "PatientID": "4711",
        "PatientName": "Müller^Jörg=Mueller",
        "StudyDate": "20240110",
        "StudyTime": "120000.5",
        "ModalitiesInStudy": "CT\\SR",
        "StudyInstanceUID": "1.2.3",
        "SeriesNumber": "7",
        "StudyDescription": "",
    }
)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"PatientID": "4711"}, True),
        ({"PatientID": "47*"}, True),
        ({"PatientID": "471"}, False),
        ({"PatientID": "?711"}, True),
        ({"PatientName": "mueller"}, True),
        ({"PatientName": "muller^*"}, True),
        ({"StudyDate": "20240110"}, True),
        ({"StudyDate": "20240101-20240109"}, False),
        ({"StudyDate": "20240110-"}, True),
        ({"StudyDate": "-20240109"}, False),
        ({"StudyTime": "1100-1230"}, True),
        ({"StudyTime": "13-"}, False),
        ({"ModalitiesInStudy": "MR\\SR"}, True),
        ({"ModalitiesInStudy": "MR"}, False),
        ({"StudyInstanceUID": "1.2.4\\1.2.3"}, True),
        ({"StudyInstanceUID": "1.2"}, False),
        ({"SeriesNumber": "07"}, True),
        ({"SeriesNumber": "8"}, False),
        ({"StudyDescription": "Head"}, True),  # the archive may not know it
        ({"AccessionNumber": "A1"}, False),  # but this one every archive has to know
        ({"AccessionNumber": ""}, True),
    ],
)
def test_keys_decide(keys, expected):
    assert fulfils(ANSWER, keys) is expected


def test_names_that_sound_alike_are_left_to_the_archive():
    assert not fulfils(ANSWER, {"PatientName": "Meier"})
    assert fulfils(ANSWER, {"PatientName": "Meier"}, is_fuzzy=True)


def test_keys_of_sequences_decide_by_their_items():
    inner = json_of_texts({"ScheduledProcedureStepID": "S1"})
    answer = {"00400275": {"vr": "SQ", "Value": [inner]}}
    assert fulfils(answer, {"RequestAttributesSequence": {"ScheduledProcedureStepID": "S*"}})
    assert not fulfils(answer, {"RequestAttributesSequence": {"ScheduledProcedureStepID": "T*"}})


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_identifiers_hold_any_attribute(syntax):
    keys = {
        "PatientName": "Müller*",
        "Rows": "512",
        "RequestAttributesSequence": {"ScheduledProcedureStepID": "S1", "RequestedProcedureDescription": ""},
        "SOPClassesInStudy": "",
        "TextValue": "",
    }
    decoded = Dataset.from_json(dict(decode_json(encode_identifier(keys, syntax), syntax)))
    assert decoded.PatientName == "Müller*"
    assert decoded.Rows == 512
    assert decoded.RequestAttributesSequence[0].ScheduledProcedureStepID == "S1"
    assert not decoded.SOPClassesInStudy
    assert "TextValue" in decoded


def test_json_says_what_pydicom_says():
    original = dataset(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg",
        PixelSpacing=["0.5", "0.25"],
        Rows=512,
        FrameIncrementPointer=[0x00181063],
        DiffusionBValue=1000.5,
        ImageType=["ORIGINAL", "PRIMARY"],
        StudyDescription="Schädel",
        RequestAttributesSequence=[dataset(ScheduledProcedureStepID="S1")],
    )
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, original)
    found = Dataset.from_json(dict(decode_json(buffer.getvalue(), EXPLICIT)))
    for element in original:
        if element.keyword != "SpecificCharacterSet":
            assert found[element.tag].value == element.value, element.keyword
    assert found.SpecificCharacterSet == "ISO_IR 192"


def test_bad_values_cost_nothing_but_themselves():
    broken = (
        b"\x08\x00\x20\x00DA\x08\x00no date "
        + b"\x20\x00\x11\x00IS\x04\x00one "
        + b"\x20\x00\x13\x00IS\x02\x007 "
    )
    found = decode_json(broken, EXPLICIT)
    assert found["00080020"]["Value"] == ["no date"]
    assert found["00200011"]["Value"] == ["one"]
    assert found["00200013"]["Value"] == [7]


def test_long_binary_values_become_links():
    file = BytesIO()
    data = dataset(SOPInstanceUID="1.2.3", EncapsulatedDocument=b"%PDF" * 1000)
    data.save_as(file, implicit_vr=False, little_endian=True)
    file.seek(0)
    found = json_data_set(dcmread(file, force=True), lambda path: f"there/{path}")
    assert found["00420011"] == {"vr": "OB", "BulkDataURI": "there/00420011"}
