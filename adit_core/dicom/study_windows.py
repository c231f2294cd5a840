"""Finding all studies of some days, however few an archive tells in one answer.

A query whose answer may be cut off is asked again in two halves: of its days, and of one day in two
halves of its hours, down to a minute. An answer may be cut off when the archive says so (by a warning,
by cancel, or by being out of resources), and when it has as many results as the archive tells at most.

Archives are not trusted to keep to what they were asked: what does not belong to a window is left out,
and if that is most of an answer that is cut off, the archive ignores the key, and narrowing it down would
be in vain.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time, timedelta

from adit_core.dicom.ports import Searcher
from adit_core.dicom.query import DateRange, EveryAnswer, StudyResult, TimeRange, time_of_day
from adit_core.errors import AnswerCutOff, PeerBusy

_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class StudyWindow:
    """Days from ``first`` to ``last``, both included; if they are one, only some of its minutes.

    ``begin`` and ``end`` count the minutes of the day; ``end`` is the first one that is not meant.
    """

    first: date
    last: date
    begin: int = 0
    end: int = _MINUTES

    @property
    def is_smallest(self) -> bool:
        """True if it cannot be halved."""
        return self.first == self.last and self.end - self.begin == 1

    @property
    def days(self) -> DateRange:
        """The days as a key."""
        return DateRange(self.first, self.last)

    @property
    def times(self) -> TimeRange:
        """The minutes as a key, which is open if they are all of the day."""
        if self._is_whole_days:
            return TimeRange()
        last = self.end - 1
        return TimeRange(
            time(*divmod(self.begin, 60)), time(*divmod(last, 60), second=59, microsecond=999_999)
        )

    def contains(self, study: StudyResult) -> bool:
        """Tell whether a study belongs here; one without a time belongs to all hours of its day."""
        moment = time_of_day(study.study_time)
        is_timely = moment is None or self._is_whole_days or self.times.contains(moment)
        return self.days.contains(study.study_date) and is_timely

    def excludes(self, study: StudyResult) -> bool:
        """Tell whether the date or the time of a study says that it should not have been answered."""
        return not (study.study_date is None or self.contains(study))

    def halves(self) -> "tuple[StudyWindow, StudyWindow]":
        """Return two windows that have together what this one has."""
        if self.first != self.last:
            middle = self.first + (self.last - self.first) // 2
            return StudyWindow(self.first, middle), StudyWindow(middle + timedelta(days=1), self.last)
        middle_minute = (self.begin + self.end) // 2
        return (
            StudyWindow(self.first, self.last, self.begin, middle_minute),
            StudyWindow(self.first, self.last, middle_minute, self.end),
        )

    def in_words(self) -> str:
        """Name the window in a message."""
        if self.first != self.last:
            return f"{self.first} to {self.last}"
        if self._is_whole_days:
            return f"{self.first}"
        times = self.times
        return f"{self.first} {times.start:%H:%M} to {times.end:%H:%M}"

    @property
    def _is_whole_days(self) -> bool:
        return (self.begin, self.end) == (0, _MINUTES)


@dataclass(slots=True)
class StudySweep:
    """Finds all studies of windows, each once, and remembers what it could not be sure of.

    ``limit`` is how many results the archive gives to one query at most, None if that is not known.
    ``modality`` is asked for as well, if it is given; whether it was applied is for the caller to see.
    """

    searcher: Searcher
    limit: int | None = None
    modality: str = ""
    cut_off: list[StudyWindow] = field(default_factory=list)
    """Windows of which there may be more than was found."""
    timeless: set[date] = field(default_factory=set)
    """Days with studies that have no time and more results than the archive tells: it may have others."""
    _found: set[str] = field(default_factory=set)

    def studies(self, window: StudyWindow) -> Iterator[StudyResult]:
        """Yield the studies of a window, of each answer those that are new.

        Raises:
            PeerBusy: The archive says that it is out of resources even for one minute.
            AditError: It does not answer.
        """
        answer = self._answer(window)
        for study in answer.studies:
            if window.contains(study) and study.reference.study_instance_uid not in self._found:
                self._found.add(study.reference.study_instance_uid)
                yield study
        if answer.is_cut_off:
            yield from self._narrowed(window, answer)

    def _narrowed(self, window: StudyWindow, answer: "_Answer") -> Iterator[StudyResult]:
        if window.is_smallest and answer.refusal is not None:
            raise answer.refusal
        strangers = sum(map(window.excludes, answer.studies))
        if window.is_smallest or 2 * strangers > len(answer.studies):
            self.cut_off.append(window)
            return
        if window.first == window.last:
            self.timeless |= {window.first} if any(map(_has_no_time, answer.studies)) else set()
        for half in window.halves():
            yield from self.studies(half)

    def _answer(self, window: StudyWindow) -> "_Answer":
        modalities = frozenset({self.modality} if self.modality else ())
        query = EveryAnswer(study_date=window.days, study_time=window.times, modalities=modalities)
        studies: list[StudyResult] = []
        try:
            for study in self.searcher.find_studies(query):
                studies.append(study)  # noqa: PERF402 - what came before an error counts
        except AnswerCutOff:
            return _Answer(studies, is_cut_off=True)
        except PeerBusy as error:
            return _Answer(studies, is_cut_off=True, refusal=error)
        return _Answer(studies, is_cut_off=self.limit is not None and len(studies) >= self.limit)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What an archive answered; ``refusal`` is how it said that it has no resources for more."""

    studies: list[StudyResult]
    is_cut_off: bool
    refusal: PeerBusy | None = None


def _has_no_time(study: StudyResult) -> bool:
    return time_of_day(study.study_time) is None
