"""What is derived from originals with a project's secret: UIDs, shifts of dates, pseudonyms."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage, JPEG2000Lossless

from adit_core.deid.dates import moved_date, moved_date_time, shift_of
from adit_core.deid.pseudonyms import keyed_pseudonym, random_pseudonym
from adit_core.deid.subject import Project, Subject
from adit_core.deid.uids import UidMap
from adit_core.errors import InvalidInput
from tests.deid import RESEARCH, SECRET

OTHER_SECRET = b"another secret of other projects"


@given(st.from_regex(r"1\.[0-9]{1,9}(\.[1-9][0-9]{0,8}){1,5}", fullmatch=True))
def test_a_uid_becomes_a_valid_one_that_is_the_same_every_time(uid):
    replaced = UidMap(SECRET).replaced(uid)
    assert replaced == UidMap(SECRET).replaced(uid) != uid
    assert re.fullmatch(r"2\.25\.(0|[1-9][0-9]*)", replaced)
    assert len(replaced) <= 64


def test_uids_of_two_projects_have_nothing_in_common():
    assert UidMap(SECRET).replaced("1.2.3") != UidMap(OTHER_SECRET).replaced("1.2.3")


@pytest.mark.parametrize("uid", [CTImageStorage, JPEG2000Lossless, "1.2.840.10008.1.1"])
def test_uids_of_the_standard_stay(uid):
    assert UidMap(SECRET).replaced(uid) == uid


@given(st.text(max_size=20))
def test_the_shift_of_a_patient_is_one_to_3650_days_and_always_the_same(patient_id):
    days = shift_of(SECRET, patient_id)
    assert 1 <= days <= 3650
    assert days == shift_of(SECRET, patient_id)


def test_patients_and_projects_have_shifts_of_their_own():
    shifts = {shift_of(secret, f"{number}") for secret in (SECRET, OTHER_SECRET) for number in range(50)}
    assert len(shifts) > 90


@given(st.dates(min_value=date(1911, 1, 1)), st.integers(1, 3650))
def test_a_date_moves_by_whole_days_in_either_spelling(day, days):
    moved = (day - timedelta(days)).strftime("%Y%m%d")
    assert moved_date(day.strftime("%Y%m%d"), days) == moved
    assert moved_date(day.strftime("%Y.%m.%d"), days) == moved
    assert moved_date_time(day.strftime("%Y%m%d235959.123456+0100"), days) == f"{moved}235959.123456+0100"


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("2024", "2024"),
        ("202403", "202402"),
        ("2024031512-0500", "2024021412-0500"),
        ("20240315", "20240214"),
    ],
)
def test_what_a_date_time_leaves_out_stays_out(value, moved):
    assert moved_date_time(value, 30) == moved


@pytest.mark.parametrize(
    "value", ["20240231", "yesterday", "2024-03-01", "00010101", "20240101-20240201", ""]
)
def test_what_is_no_date_is_not_moved(value):
    assert moved_date(value, 400) is None


def test_a_keyed_pseudonym_is_always_the_same_and_tells_issuers_apart():
    assert keyed_pseudonym(SECRET, "4711") == keyed_pseudonym(SECRET, "4711")
    pseudonyms = {
        keyed_pseudonym(secret, "4711", issuer) for secret in (SECRET, OTHER_SECRET) for issuer in ("", "A")
    }
    assert len(pseudonyms) == 4


@given(st.text(max_size=30))
def test_pseudonyms_are_fit_for_a_subject_and_not_mistaken(patient_id):
    for pseudonym in (keyed_pseudonym(SECRET, patient_id), random_pseudonym()):
        assert re.fullmatch("[2-9A-HJ-NP-Z]{12}", pseudonym)
        assert Subject(patient_id, pseudonym).pseudonym == pseudonym


def test_random_pseudonyms_differ():
    assert len({random_pseudonym() for _ in range(100)}) == 100


@pytest.mark.parametrize("pseudonym", ["", "a\\b", "Müller", "x" * 65, "A^B", "two\nlines", " lead"])
def test_a_pseudonym_that_does_not_fit_every_character_set_is_refused(pseudonym):
    with pytest.raises(InvalidInput, match="pseudonym"):
        Subject("4711", pseudonym)


def test_a_short_secret_is_refused():
    with pytest.raises(InvalidInput, match="secret"):
        Project(b"short", RESEARCH)


def test_secret_and_patient_do_not_show_in_a_representation():
    assert "secret" not in repr(Project(SECRET, RESEARCH))
    assert "4711" not in repr(Subject("4711", "P1"))
