"""All studies of a period are found, each once, however few an archive tells in one answer."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.dicom.query import EveryAnswer, StudyQuery, StudyResult
from adit_core.dicom.references import StudyReference
from adit_core.dicom.study_windows import StudySweep, StudyWindow
from adit_core.errors import AnswerCutOff, ConnectionFailed, PeerBusy

MONDAY = date(2024, 1, 1)
WEEK = StudyWindow(MONDAY, MONDAY + timedelta(days=6))


def study(number: int, day: int = 0, moment: str = "", **changes: object) -> StudyResult:
    return StudyResult(
        StudyReference(f"1.2.{number}", "P"), study_date=MONDAY + timedelta(days=day), study_time=moment
    )


@dataclass
class Archive:
    """Answers with the first `limit` studies that fit, and ends like this if it has more."""

    studies: Sequence[StudyResult]
    limit: int = 10**9
    ending: Exception | None = None
    ignores_times: bool = False
    questions: list[StudyQuery] = field(default_factory=list)

    def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:
        assert isinstance(query, EveryAnswer), "what was cut off does not show when answers are filtered"
        self.questions.append(query)
        times = "" if self.ignores_times else query.study_time
        asked = StudyQuery(study_date=query.study_date) if times == "" else query
        fitting = [study for study in self.studies if StudyQuery.matches(asked, study)]
        yield from fitting[: self.limit]
        if len(fitting) > self.limit and self.ending is not None:
            raise self.ending


def swept(
    archive: Archive, limit: int | None = None, window: StudyWindow = WEEK
) -> tuple[set[str], StudySweep]:
    sweep = StudySweep(archive, limit)  # type: ignore[arg-type]
    uids = [found.reference.study_instance_uid for found in sweep.studies(window)]
    assert len(uids) == len(set(uids)), "a study was found twice"
    return set(uids), sweep


def uids(studies: Sequence[StudyResult]) -> set[str]:
    return {each.reference.study_instance_uid for each in studies}


moments = st.times().map(lambda moment: moment.isoformat().replace(":", "")) | st.sampled_from(
    ["080000", "0800", "08", "081500.5", "08:15:59", "235959.999999", "000000"]
)
places = st.tuples(st.integers(0, 6), moments)
archives = st.lists(places, max_size=60).map(
    lambda found: [study(number, *place) for number, place in enumerate(found)]
)


@given(studies=archives, limit=st.integers(1, 8))
def test_every_study_is_found_once_when_the_limit_is_known(studies: list[StudyResult], limit: int):
    found, sweep = swept(Archive(studies, limit), limit)
    _assert_complete_but_for(sweep, found, studies, most_in_a_minute=limit - 1)


@given(studies=archives, limit=st.integers(1, 8))
def test_every_study_is_found_once_when_the_archive_says_that_there_is_more(
    studies: list[StudyResult], limit: int
):
    found, sweep = swept(Archive(studies, limit, AnswerCutOff("there is more")))
    _assert_complete_but_for(sweep, found, studies, most_in_a_minute=limit)


def _assert_complete_but_for(
    sweep: StudySweep, found: set[str], studies: list[StudyResult], *, most_in_a_minute: int
) -> None:
    minutes = Counter(_minute(each) for each in studies)
    crowded = {minute for minute, number in minutes.items() if number > most_in_a_minute}
    assert {(window.first, window.begin) for window in sweep.cut_off} == crowded
    assert all(window.is_smallest for window in sweep.cut_off)
    assert uids([each for each in studies if _minute(each) not in crowded]) <= found <= uids(studies)


def _minute(found: StudyResult) -> tuple[date | None, int]:
    digits = found.study_time.replace(":", "")
    return found.study_date, int(digits[:2]) * 60 + int(digits[2:4] or 0)


def test_one_answer_is_enough_if_nothing_is_cut_off():
    archive = Archive([study(number, number % 7, "0800") for number in range(50)])
    found, sweep = swept(archive, limit=51)
    assert len(found) == 50
    assert (sweep.cut_off, sweep.timeless, len(archive.questions)) == ([], set(), 1)


def test_as_many_results_as_the_limit_may_be_cut_off():
    archive = Archive([study(number, number) for number in range(4)], limit=4)
    found, _ = swept(archive, limit=4)
    assert len(found) == 4
    assert len(archive.questions) > 1


def test_an_archive_without_resources_for_all_is_asked_for_less():
    archive = Archive(
        [study(number, 0, f"{number:02}30") for number in range(20)], 5, PeerBusy("out of resources")
    )
    found, sweep = swept(archive)
    assert (len(found), sweep.cut_off) == (20, [])


def test_an_archive_without_resources_for_a_minute_is_to_be_tried_again():
    archive = Archive([study(number, 0, "0830") for number in range(9)], 5, PeerBusy("out of resources"))
    with pytest.raises(PeerBusy):
        swept(archive)


def test_an_archive_that_ignores_times_is_not_asked_for_every_minute():
    studies = [study(number, 0, f"{number % 24:02}{number % 60:02}") for number in range(200)]
    archive = Archive(studies, limit=100, ignores_times=True)
    found, sweep = swept(archive, limit=100)
    assert found == uids(studies[:100])
    assert sweep.cut_off != []
    assert len(archive.questions) < 60


def test_what_belongs_to_other_days_is_left_out():
    class Careless(Archive):
        def find_studies(self, query: StudyQuery) -> Iterator[StudyResult]:  # noqa: ARG002
            yield from self.studies

    archive = Careless([study(1, -1, "12"), study(2, 0, "12"), study(3, 7, "12")])
    assert swept(archive)[0] == {"1.2.2"}


def test_studies_without_a_time_are_taken_from_any_answer_and_told_if_there_may_be_more():
    timed = [study(number, 0, f"{number:02}00") for number in range(20)]
    found, sweep = swept(Archive([study(99, 0), *timed], limit=8), limit=8)
    assert found == uids([study(99), *timed])
    assert sweep.timeless == {MONDAY}
    assert sweep.cut_off == []


def test_other_errors_are_not_taken_for_an_answer():
    with pytest.raises(ConnectionFailed):
        swept(Archive([study(1), study(2)], 1, ConnectionFailed("broken")))


@given(
    begin=st.integers(0, 1438),
    length=st.integers(2, 1440),
    moment=st.times(),
)
def test_a_moment_belongs_to_exactly_one_half(begin: int, length: int, moment: time):
    window = StudyWindow(MONDAY, MONDAY, begin, min(begin + length, 1440))
    found = study(1, 0, moment.isoformat().replace(":", ""))
    assert sum(half.contains(found) for half in window.halves()) == window.contains(found)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (WEEK, "2024-01-01 to 2024-01-07"),
        (StudyWindow(MONDAY, MONDAY), "2024-01-01"),
        (StudyWindow(MONDAY, MONDAY, 510, 511), "2024-01-01 08:30 to 08:30"),
    ],
)
def test_a_window_is_named(window: StudyWindow, words: str):
    assert window.in_words() == words
