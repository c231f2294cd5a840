"""De-identification of instances on their way."""

import tracemalloc
import zlib
from itertools import repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from adit_core.deid.encoding import Encoding
from adit_core.deid.stream import EncodedInstance, Held, StreamDeidentifier, trusting_pixels
from adit_core.errors import DeidentificationFailed
from tests.deid import PSEUDONYM, deidentifier, instance, patient_data, transformed
from tests.factories import dataset

PIXELS = bytes(range(256)) * 8
NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def image(**elements) -> Dataset:
    made = patient_data(
        SourceImageSequence=[dataset(ReferencedSOPInstanceUID="1.2.3")], Rows=32, Columns=32, **elements
    )
    made.add_new("PixelData", "OW", PIXELS)
    return made


def body(made: Dataset, syntax: str) -> bytes:
    return Encoding(syntax).written(made)


@pytest.mark.parametrize("syntax", NATIVE)
def test_the_header_changes_and_the_pixels_pass(syntax):
    found = Encoding(syntax).read(transformed(instance(body(image(), syntax), syntax)))
    assert found.PatientName == PSEUDONYM
    assert found.Rows == 32
    assert found.get_item("PixelData").value == PIXELS
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")


@pytest.mark.parametrize("syntax", NATIVE)
def test_stream_and_data_set_are_de_identified_alike(syntax):
    original = Encoding(syntax).read(body(image(), syntax))
    assert transformed(instance(body(image(), syntax), syntax)) == body(
        deidentifier().deidentify(original), syntax
    )


@given(size=st.integers(1, 700))
@settings(max_examples=20, deadline=None)
def test_it_does_not_matter_how_the_instance_is_cut(size):
    syntax = ExplicitVRLittleEndian
    whole = transformed(instance(body(image(), syntax), syntax, size=10**6))
    assert transformed(instance(body(image(), syntax), syntax, size=size)) == whole


def test_encapsulated_pixel_data_pass_fragment_by_fragment():
    made = image()
    made["PixelData"].VR = "OB"
    made.PixelData = encapsulate([b"\xff\x4f" + bytes(300), b"\xff\x4f" + bytes(31)])
    made["PixelData"].is_undefined_length = True
    found = Encoding(JPEG2000Lossless).read(
        transformed(instance(body(made, JPEG2000Lossless), JPEG2000Lossless))
    )
    assert found.get_item("PixelData").value == made.PixelData
    assert found.PatientName == PSEUDONYM


def test_deflated_instances_stay_deflated():
    syntax = DeflatedExplicitVRLittleEndian
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(body(image(), ExplicitVRLittleEndian)) + deflater.flush()
    inflated = zlib.decompress(transformed(instance(deflated, syntax)), wbits=-zlib.MAX_WBITS)
    found = Encoding(ExplicitVRLittleEndian).read(inflated)
    assert found.PatientName == PSEUDONYM
    assert found.get_item("PixelData").value == PIXELS


def test_what_follows_the_pixel_data_is_treated_as_well():
    made = image()
    made.add_new(0xFFFCFFFC, "OB", b"L\xf6wenherz")
    private = made.private_block(0x7FE1, "ACME", create=True)
    private.add_new(1, "LO", "Löwenherz")
    found = transformed(instance(body(made, ExplicitVRLittleEndian)))
    assert found.endswith(PIXELS)


def test_the_new_instance_has_its_new_uid_and_its_transfer_syntax():
    by = StreamDeidentifier(deidentifier(), trusting_pixels)
    result = by.transform(instance(body(image(), ImplicitVRLittleEndian), ImplicitVRLittleEndian))
    assert isinstance(result, EncodedInstance)
    assert result.sop_instance_uid == deidentifier().mapped_uid("1.2.826.0.1.99.1")
    assert result.transfer_syntax_uid == ImplicitVRLittleEndian
    assert result.sop_class_uid == CTImageStorage


def test_an_instance_is_never_held_whole():
    header = body(image(), ExplicitVRLittleEndian)[: -len(PIXELS) - 4]
    size = 200 << 20
    pieces = iter([header, size.to_bytes(4, "little"), *repeat(bytes(1 << 18), size >> 18)])
    travelling = EncodedInstance(CTImageStorage, "1.2.826.0.1.99.1", ExplicitVRLittleEndian, pieces)
    by = StreamDeidentifier(deidentifier(), trusting_pixels)
    tracemalloc.start()
    try:
        result = by.transform(travelling)
        assert isinstance(result, EncodedInstance)
        assert sum(map(len, result.fragments)) > size
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_header_that_is_too_long_fails():
    made = image(PatientComments="a" * 10000)
    with pytest.raises(DeidentificationFailed, match="longer than 4096 bytes"):
        transformed(instance(body(made, ExplicitVRLittleEndian)), header_limit=4096)


@pytest.mark.parametrize("cut", [3, 30, 300, 1500])
def test_a_damaged_instance_fails_and_names_itself(cut):
    damaged = body(image(), ExplicitVRLittleEndian)[:-cut]
    with pytest.raises(
        DeidentificationFailed, match=r"Instance 1\.2\.826\.0\.1\.99\.1: .*ends in the middle"
    ):
        transformed(instance(damaged))


@given(position=st.integers(0, 1200), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_no_single_damage_lets_the_name_through(position, value):
    damaged = bytearray(body(image(StudyDescription="CT of Löwenherz"), ExplicitVRLittleEndian))
    damaged[position] = value
    try:
        found = transformed(instance(bytes(damaged)))
    except DeidentificationFailed:
        return
    assert b"wenherz" not in found


def test_what_the_checker_finds_does_not_leave():
    class Careless(type(deidentifier())):
        def deidentify(self, dataset):
            found = super().deidentify(dataset)
            found.ImageComments = "Löwenherz"
            return found

    careless = Careless(deidentifier().project, deidentifier().subject)
    with pytest.raises(
        DeidentificationFailed, match="the checker found PatientName in ImageComments"
    ) as caught:
        transformed(instance(body(image(), ExplicitVRLittleEndian)), careless)
    assert "wenherz" not in str(caught.value)


def test_burned_in_text_holds_an_instance_back():
    by = StreamDeidentifier(
        deidentifier(), lambda header: Held(f"possible burned-in text in {header.Modality}")
    )
    result = by.transform(instance(body(image(), ExplicitVRLittleEndian)))
    assert result == Held("possible burned-in text in CT")


def test_pixels_are_blanked_in_the_de_identified_instance():
    def blank(made: Dataset) -> Dataset:
        assert made.PatientName == PSEUDONYM
        assert made.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        made.PixelData = bytes(len(made.PixelData))
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return made

    by = StreamDeidentifier(deidentifier(), lambda _: blank)
    result = by.transform(instance(body(image(), ImplicitVRLittleEndian), ImplicitVRLittleEndian))
    assert isinstance(result, EncodedInstance)
    assert result.transfer_syntax_uid == ExplicitVRLittleEndian
    found = Encoding(ExplicitVRLittleEndian).read(b"".join(result.fragments))
    assert found.PixelData == bytes(len(PIXELS))
    assert found.PatientName == PSEUDONYM
