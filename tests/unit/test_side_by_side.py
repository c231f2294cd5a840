"""The runner of both halves of the suite: what it tells last is what failed."""

import io

import pytest

from tests import side_by_side

ENDED = """\
tests/unit/test_a.py .F.                                                 [100%]
------------------------------ Captured log call -------------------------------
ERROR    pynetdicom.acse:acse.py:531 Association Rejected
=========================== short test summary info ============================
FAILED tests/unit/test_a.py::test_of_two - assert 1 == 2
=================== 1 failed, 2 passed in 3538.55s (0:58:58) ===================
"""
CUT_OFF = """\
tests/contract/test_a.py ..
~~~~~~~~~~~~~~~~~~~~~ Stack of MainThread (140) ~~~~~~~~~~~~~~~~~~~~~
  File "tests/contract/test_a.py", line 17, in test_of_many
+++++++++++++++++++++++++++++++++++ Timeout +++++++++++++++++++++++++++++++++++
"""


def test_the_names_of_the_tests_that_failed_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert _kept(ENDED) == ["FAILED tests/unit/test_a.py::test_of_two - assert 1 == 2"]
    assert capsys.readouterr().out.splitlines() == [f"a half| {line}" for line in ENDED.splitlines()]


def test_nothing_is_kept_of_a_half_that_passed() -> None:
    assert _kept("======= 6930 passed, 2 skipped in 12.55s ======\n") == []


def test_the_last_words_of_a_half_that_did_not_come_to_its_end_are_kept() -> None:
    introduction, *said = _kept(CUT_OFF)
    assert introduction == "a half did not come to its end, but said:"
    assert said == CUT_OFF.splitlines()


def test_a_half_that_said_nothing_did_not_come_to_its_end() -> None:
    assert _kept("") == ["a half did not come to its end, but said:"]


def _kept(output: str) -> list[str]:
    lost: list[str] = []
    side_by_side._print_lines("a half", io.StringIO(output), lost)
    return lost
