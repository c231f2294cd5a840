"""Free text: what is not proven clean goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.deid.descriptors import clean_technical_text, clean_text, contains_known
from adit_core.deid.known import KnownValues

NOBODY = KnownValues(frozenset(), frozenset())
SOMEBODY = KnownValues(frozenset({"head", "weiss", "li"}), frozenset({"ab12345"}))


@pytest.mark.parametrize(
    "text",
    [
        "CT Thorax nativ", "MRT Knie links", "AX T2 FLAIR", "t1_mprage_sag_p2_iso", "ep2d_diff_b1000",
        "Abdomen/Pelvis w/o contrast", "HWS seitlich", "3D TOF 0.5mm", "Localizer", "CT CHEST WITH CONTRAST",
        "ThoraxRoutine 5.0 Br40", "Schädel-CT ohne KM", "Dose Report", "512x512", "Thin slice recon 1.25 mm",
        "MR Thorax", "DR Becken", "IRM cerveau sans injection", "Chest PA", "L-Spine lat",
        "Arterial phase 35 sec",
    ],
)  # fmt: skip
def test_what_radiology_says_is_kept_as_it_is(text):
    assert clean_text(text, NOBODY) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("CT Thorax Mueller", "CT Thorax"),
        ("Thorax, Dr. Brown", "Thorax"),
        ("CT Head for Smith, J.D.", "CT Head for"),
        ("CT abdomen 12.03.2024", "CT abdomen"),
        ("CT abdomen 2024-03-12", "CT abdomen"),
        ("CT abdomen 12 March 2024", "CT abdomen"),
        ("CT abdomen Mar 4, 1999", "CT abdomen"),
        ("born 1961", ""),
        ("CT 0174 5550199", "CT"),
        ("call 555-0199 or a.b@example.org", "or"),
        ("see \\\\server\\share\\smith", ""),
        ("MRN 12345678", ""),
        ("CT MRN: X99 thorax", "CT thorax"),
        ("山田太郎 CT", "CT"),
        ("Frau Becken", ""),
        ("", ""),
        ("MR. Becken", ""),
    ],
)
def test_what_is_not_proven_goes(text, cleaned):
    assert clean_text(text, NOBODY) == cleaned


@pytest.mark.parametrize("text", ["HEAD", "Li", "WEIẞ", "AB-123.45"])
def test_known_values_go_although_the_word_is_common(text):
    assert clean_text(text, SOMEBODY) == ""
    assert contains_known(text, SOMEBODY)


def test_devices_may_speak_in_longer_codes():
    assert clean_technical_text("syngo MR XA30 ZZTOP1", NOBODY) == "syngo MR XA30 ZZTOP1"
    assert clean_technical_text("Hohenfels 12345678", NOBODY) == ""


@given(st.text(max_size=40), st.sampled_from(["Li", "AB-12345", "head", "Weiß"]), st.text(max_size=40))
def test_no_known_value_survives_as_a_word(before, planted, after):
    assert not contains_known(clean_text(f"{before} {planted} {after}", SOMEBODY), SOMEBODY)


@given(st.text(max_size=60))
def test_cleaning_twice_changes_nothing_more(text):
    once = clean_text(text, SOMEBODY)
    assert clean_text(once, SOMEBODY) == once
