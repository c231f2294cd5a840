"""Opening hours of nodes: weekly windows, as the clocks of a time zone show them.

When clocks change, a local time that does not exist stands for the moment as many minutes after the
change; one that exists twice stands for the first of both.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from adit_core.db import Weekday, WeeklyWindow
from adit_core.errors import InputProblem, InvalidInput

_WEEK = tuple(Weekday)
_DAYS_AHEAD = 15
"""In which there is an opening: a week later, unless just that one falls into a change to summer time."""
_WINDOW = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+(?P<start>\d\d?:\d\d)\s*-\s*(?P<until>\d\d?:\d\d)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """When a node may be used: in any of ``windows``, or always if there is none."""

    windows: tuple[WeeklyWindow, ...] = ()
    time_zone: str = "UTC"

    def are_open(self, moment: datetime) -> bool:
        """Tell whether the node may be used at `moment`."""
        return not self.windows or any(start <= moment < end for start, end in self._openings(moment))

    def next_opening(self, moment: datetime) -> datetime:
        """Return the first moment from `moment` on at which the node may be used, in the time zone."""
        if self.are_open(moment):
            return moment.astimezone(self._zone)
        openings = (start for start, _ in self._openings(moment) if start > moment)
        return min(openings).astimezone(self._zone)

    def in_words(self) -> str:
        """Return the windows as `parse_windows` reads them, with the time zone."""
        if not self.windows:
            return "always"
        return f"{', '.join(_grouped(self.windows))} ({self.time_zone})"

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def _openings(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield beginnings and ends, in UTC, from those of the day before `moment` on."""
        today = moment.astimezone(self._zone).date()
        for offset in range(-1, _DAYS_AHEAD):
            day = today + timedelta(days=offset)
            for window in self.windows:
                if _WEEK[day.weekday()] is window.weekday:
                    last_day = day if window.until > window.start else day + timedelta(days=1)
                    start, end = self._moment(day, window.start), self._moment(last_day, window.until)
                    if start < end:  # else the change to summer time has swallowed it
                        yield start, end

    def _moment(self, day: date, at: time) -> datetime:
        # Times are compared and subtracted by their digits within one zone, so they are turned into UTC.
        return datetime.combine(day, at, self._zone).astimezone(UTC)


def parse_windows(texts: Iterable[str]) -> tuple[WeeklyWindow, ...]:
    """Read windows such as "Mon-Fri 20:00-06:00" or "Sat 00:00-24:00", in the order of the week.

    Raises:
        InvalidInput: With all that cannot be read.
    """
    windows, problems = set[WeeklyWindow](), list[InputProblem]()
    for text in texts:
        try:
            windows.update(_parsed(text))
        except ValueError:
            problems.append(
                InputProblem(f"{text!r} is no window; write it as Mon-Fri 20:00-06:00.", field="window")
            )
    if problems:
        raise InvalidInput(*problems)
    return tuple(sorted(windows, key=lambda window: (_WEEK.index(window.weekday), window.start)))


def _parsed(text: str) -> Iterator[WeeklyWindow]:
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    first = _WEEK.index(Weekday(match["first"].title()))
    last = _WEEK.index(Weekday((match["last"] or match["first"]).title()))
    start, until = _time(match["start"]), _time(match["until"])
    for number in range((last - first) % len(_WEEK) + 1):
        yield WeeklyWindow(weekday=_WEEK[(first + number) % len(_WEEK)], start=start, until=until)


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(0 if (hour, minute) == (24, 0) else hour, minute)


def _grouped(windows: Sequence[WeeklyWindow]) -> Iterator[str]:
    """Yield windows in words, those of successive days with the same times as one."""
    for start, until in dict.fromkeys((window.start, window.until) for window in windows):
        days = [window.weekday for window in windows if (window.start, window.until) == (start, until)]
        for first, last in _runs(sorted(map(_WEEK.index, days))):
            name = _WEEK[first] if first == last else f"{_WEEK[first]}-{_WEEK[last]}"
            yield f"{name} {start:%H:%M}-{until:%H:%M}"


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of numbers that follow each other."""
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
