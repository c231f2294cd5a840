"""The synthetic key, its scorer, and the score that ADIT must reach."""

from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from adit_core.deid.profile import ProfileOption
from tests.bench.deid.contestants import adit, files_of, nothing, stream_for, transformed
from tests.bench.deid.key import Action, KeyInstance, answer_key
from tests.bench.deid.objects import KINDS
from tests.bench.deid.part10 import written
from tests.bench.deid.scorer import Score, score
from tests.bench.deid.texts import PLANTABLE


@pytest.fixture(scope="module")
def key() -> tuple[KeyInstance, ...]:
    return answer_key()


@pytest.fixture(scope="module")
def files(key: tuple[KeyInstance, ...]) -> dict[str, bytes]:
    return files_of(key)


@pytest.fixture(scope="module")
def results(files: dict[str, bytes]) -> dict[str, bytes]:
    return adit(files)


@pytest.fixture(scope="module")
def reached(key: tuple[KeyInstance, ...], results: dict[str, bytes]) -> Score:
    return score(key, results)


def test_the_key_is_the_same_for_the_same_seed():
    first, second = (files_of(answer_key(30)) for _ in range(2))
    assert first == second
    assert first.keys().isdisjoint(files_of(answer_key(30, seed=21)))


def test_the_key_has_all_kinds_and_texts_in_every_attribute(key: tuple[KeyInstance, ...]):
    assert len(key) >= 500
    assert {instance.kind for instance in key} == KINDS.keys()
    assert set(PLANTABLE) <= {element.keyword for instance in key for element in instance.dataset}


def test_removes_everything_that_is_to_be_removed(reached: Score):
    assert [miss for miss in reached.misses if miss.action is Action.TEXT_REMOVED] == []


def test_takes_at_least_999_of_1000_required_actions(reached: Score):
    assert reached.percent() >= 99.9


def test_lets_every_instance_leave(reached: Score):
    assert reached.withheld == 0


def test_keeping_everything_removes_nothing(key: tuple[KeyInstance, ...], files: dict[str, bytes]):
    kept = score(key[:60], nothing(files))
    assert kept.percent(Action.TEXT_REMOVED) == 0
    assert kept.percent(Action.UID_CHANGED) == 0
    assert kept.percent(Action.DATE_SHIFTED) == 0
    assert kept.percent(Action.PIXELS_HIDDEN) == 0
    assert kept.percent(Action.TAG_KEPT) == 100
    assert kept.percent(Action.TEXT_KEPT) == 100


def test_withholding_everything_keeps_nothing(key: tuple[KeyInstance, ...]):
    withheld = score(key[:60], {})
    assert withheld.withheld == 60
    assert withheld.percent(Action.TEXT_REMOVED) == 100
    assert withheld.percent(*(set(withheld.required) - {Action.TEXT_REMOVED})) == 0


def _spoil_uid(result: Dataset) -> None:
    result.StudyInstanceUID = "1.2.3.4"


def _spoil_date(result: Dataset) -> None:
    result.StudyDate = "20010101"


def _spoil_patient_id(result: Dataset) -> None:
    result.PatientID = "another"


def _spoil_pixels(result: Dataset) -> None:
    result.PixelData = bytes(len(result.PixelData))


def _spoil_text(result: Dataset) -> None:
    result.Modality = ""


def _spoil_by_leaking(result: Dataset) -> None:
    result.ImageComments = "by Dr. GRIMBELWOOD"


@pytest.mark.parametrize(
    ("spoil", "action"),
    [
        (_spoil_uid, Action.UID_CONSISTENT),
        (_spoil_date, Action.DATE_SHIFTED),
        (_spoil_patient_id, Action.PATIENT_ID_CONSISTENT),
        (_spoil_pixels, Action.PIXELS_KEPT),
        (_spoil_text, Action.TAG_KEPT),
        (_spoil_by_leaking, Action.TEXT_REMOVED),
    ],
)
def test_one_spoiled_attribute_is_a_miss(
    spoil, action, key: tuple[KeyInstance, ...], results: dict[str, bytes]
):
    few = key[:6]
    spoiled = dcmread(BytesIO(results[few[0].dataset.SOPInstanceUID]))
    spoil(spoiled)
    changed = {**results, few[0].dataset.SOPInstanceUID: written(spoiled)}
    missed, missed_before = score(few, changed), score(few, results)
    assert missed.taken[action] < missed_before.taken[action]


def test_misses_name_paths_and_no_values(key: tuple[KeyInstance, ...], files: dict[str, bytes]):
    told = repr(score(key[:30], nothing(files)).misses)
    assert "PatientName" in told
    assert not any(token in told for instance in key[:30] for token in instance.person.tokens())


def test_safe_private_elements_stay_if_the_profile_says_so(key: tuple[KeyInstance, ...]):
    instance = key[0]
    stream = stream_for(instance.person.patient_id, frozenset({ProfileOption.RETAIN_SAFE_PRIVATE}))
    encoded = transformed(stream, written(instance.dataset))
    block = dcmread(BytesIO(encoded)).private_block(0x0019, "SIEMENS MR HEADER")
    assert block[0x0C].value == 1000
    assert 0x99 not in block
    removal = replace(
        instance, requirements=tuple(r for r in instance.requirements if r.action is Action.TEXT_REMOVED)
    )
    assert score([removal], {instance.dataset.SOPInstanceUID: encoded}).percent() == 100
