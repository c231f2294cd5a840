import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    MPEG4HP41,
    CTImageStorage,
    EncapsulatedCDAStorage,
    EncapsulatedPDFStorage,
    MRImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    VLPhotographicImageStorage,
    VLWholeSlideMicroscopyImageStorage,
)

from adit_core.deid.pixels.policy import Blank, HoldBack, Pass, apply, decide
from adit_core.deid.pixels.regions import Rectangle
from adit_core.deid.pixels.rules import builtin_rule_set, read_rule_set
from tests.unit.deid.pixels.images import image, noise


def header(**attributes: object) -> Dataset:
    """Return the header of an unsuspicious CT, changed as told."""
    dataset = image(bits=16, stored=12, rows=512, columns=512)
    del dataset.PixelData
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def ultrasound(**attributes: object) -> Dataset:
    return header(
        SOPClassUID=UltrasoundImageStorage,
        Modality="US",
        Manufacturer="Philips Medical Systems",
        ManufacturerModelName="iU22",
        Rows=768,
        Columns=1024,
        **attributes,
    )


def ours(*rules: str):
    return (
        builtin_rule_set("known-devices"),
        read_rule_set("name: ours\nversion: 1\nrules:\n" + "".join(f"  - {rule}\n" for rule in rules)),
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        {"SOPClassUID": MRImageStorage, "Modality": "MR", "ImageType": ["DERIVED", "SECONDARY", "ADC"]},
        {"BurnedInAnnotation": "NO"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.12.1", "Modality": "XA", "BitsAllocated": 8},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2", "Modality": "RTDOSE"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.1", "Modality": "RTIMAGE", "ConversionType": "DI"},
        {"SeriesDescription": "Low dose thorax"},
    ],
)
def test_measured_images_pass(attributes):
    assert decide(header(**attributes)) == Pass()


def test_objects_without_pixels_pass():
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.Modality = "RTSTRUCT"

    assert decide(dataset) == Pass()


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"RecognizableVisualFeatures": "YES"}, "recognized"),
        ({"SOPClassUID": EncapsulatedPDFStorage, "Modality": "DOC"}, "document"),
        ({"SOPClassUID": EncapsulatedCDAStorage}, "document"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary capture"),
        ({"SOPClassUID": MultiFrameTrueColorSecondaryCaptureImageStorage}, "secondary capture"),
        ({"SOPClassUID": SecondaryCaptureImageStorage, "BurnedInAnnotation": "NO"}, "secondary capture"),
        ({"SOPClassUID": UltrasoundImageStorage, "BurnedInAnnotation": "NO"}, "ultrasound"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6"}, "ultrasound"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.3.1"}, "ultrasound"),
        ({"Modality": "IVUS"}, "ultrasound"),
        ({"SOPClassUID": VLPhotographicImageStorage}, "visible light"),
        ({"SOPClassUID": VLWholeSlideMicroscopyImageStorage}, "visible light"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.4.1"}, "video"),
        ({"Modality": "ES"}, "visible light"),
        ({"Modality": "OT"}, "modality OT"),
        ({"Modality": "BMD"}, "modality BMD"),
        ({"ConversionType": "SD"}, "converted"),
        ({"ConversionType": "DF"}, "converted"),
        ({"ConversionType": "WSD"}, "converted"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "image type"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]}, "image type"),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]}, "image type"),
        ({"SeriesDescription": "Patient Protocol"}, "series"),
        ({"SeriesDescription": "DOSE REPORT"}, "series"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"BitsAllocated": 8, "ImageType": ["DERIVED", "SECONDARY"]}, "rendered"),
        ({"SOPClassUID": "1.3.46.670589.5.0.1"}, "unknown"),
    ],
)
def test_what_is_likely_to_show_text_is_held_back(attributes, reason):
    decision = decide(header(**attributes))

    assert isinstance(decision, HoldBack)
    assert reason in decision.reason


def test_a_video_is_known_by_its_transfer_syntax():
    dataset = header()
    dataset.file_meta.TransferSyntaxUID = MPEG4HP41

    assert decide(dataset) == HoldBack("video")


def test_reasons_do_not_tell_what_the_image_says_of_the_patient():
    dataset = header(SeriesDescription="Dose report of Sample", ImageType=["SCREEN SAVE", "SAMPLE"])

    decision = decide(dataset)

    assert isinstance(decision, HoldBack)
    assert "sample" not in decision.reason.casefold()


def test_a_known_device_is_blanked_where_it_writes():
    assert decide(ultrasound()) == Blank((Rectangle(0, 0, 1024, 75),), "Philips iU22, 768 rows")


def test_a_known_device_with_another_size_is_held_back():
    dataset = ultrasound()
    dataset.Rows = 700

    assert isinstance(decide(dataset), HoldBack)


def test_without_rules_a_known_device_is_held_back():
    assert decide(ultrasound(), ()) == HoldBack("ultrasound")


def test_all_rules_that_fit_blank_together():
    decision = decide(
        ultrasound(),
        ours("{name: ours, when: {model: iU22, rows: 768}, blank: {bottom: 9}, clears_all_text: true}"),
    )

    assert decision == Blank(
        (Rectangle(0, 0, 1024, 75), Rectangle(0, 759, 1024, 9)), "Philips iU22, 768 rows; ours", True
    )


def test_a_rule_that_holds_wins_over_one_that_blanks():
    decision = decide(ultrasound(), ours("{name: not ours, when: {modality: US}, action: hold}"))

    assert decision == HoldBack("rule not ours")


def test_a_rule_that_passes_lets_suspicious_images_go_but_does_not_undo_blanking():
    rules = ours("{name: clean, when: {modality: US}, action: pass}")

    assert decide(header(Modality="US"), rules) == Pass()
    assert isinstance(decide(ultrasound(), rules), Blank)


def test_a_rule_that_finds_nothing_to_blank_holds_back():
    decision = decide(
        header(ManufacturerModelName="X1"),
        ours("{name: far, when: {model: X1, rows: 512}, blank: {rectangles: [[600, 600, 5, 5]]}}"),
    )

    assert isinstance(decision, HoldBack)
    assert "far" in decision.reason


def test_ultrasound_regions_are_trusted_only_when_asked_for():
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = 0, 50
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = 511, 511
    item.RegionSpatialFormat = 1
    dataset = header(Modality="US", SequenceOfUltrasoundRegions=[item])

    assert decide(dataset) == HoldBack("ultrasound")
    assert decide(dataset, (builtin_rule_set("ultrasound-regions"),)) == Blank(
        (Rectangle(0, 0, 512, 50),), "Outside of the ultrasound regions"
    )


@pytest.mark.parametrize(("clears_all_text", "annotation"), [(True, "NO"), (False, "YES")])
def test_burned_in_annotation_becomes_no_only_if_the_rule_clears_all_text(clears_all_text, annotation):
    dataset = image(noise((1, 20, 26)).tobytes())
    dataset.BurnedInAnnotation = "YES"

    result = apply(Blank((Rectangle(0, 0, 26, 4),), "rule", clears_all_text), dataset)

    assert not np.frombuffer(result.PixelData, np.uint8)[: 4 * 26].any()
    assert result.BurnedInAnnotation == annotation
    codes = [code.CodeValue for code in result.get("DeidentificationMethodCodeSequence", [])]
    assert codes == (["113101"] if clears_all_text else [])
    assert "DeidentificationMethodCodeSequence" not in dataset
    assert [
        code.CodeValue
        for code in apply(
            Blank((Rectangle(0, 0, 26, 4),), "rule", True), result
        ).DeidentificationMethodCodeSequence
    ] == ["113101"]
