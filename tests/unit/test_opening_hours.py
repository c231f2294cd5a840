"""When a node is open: midnight, time zones, and the nights on which clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.db import Weekday, WeeklyWindow
from adit_core.errors import InvalidInput
from adit_core.services.opening_hours import OpeningHours, parse_windows

BERLIN = "Europe/Berlin"
NIGHTS = OpeningHours(parse_windows(["Mon-Fri 20:00-06:00"]), BERLIN)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN))


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-24T19:59:59", False),
        ("2026-11-24T20:00:00", True),
        ("2026-11-25T05:59:59", True),
        ("2026-11-25T06:00:00", False),
        ("2026-11-28T03:00:00", True),  # Friday's night
        ("2026-11-28T21:00:00", False),  # a Saturday
        ("2026-11-30T03:00:00", False),  # Sunday's night
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(moment: str, is_open: bool) -> None:
    assert NIGHTS.are_open(berlin(moment)) is is_open


def test_the_clock_of_the_time_zone_counts() -> None:
    assert NIGHTS.are_open(datetime(2026, 11, 24, 19, 30, tzinfo=UTC))
    assert not NIGHTS.are_open(datetime(2026, 7, 21, 17, 59, tzinfo=UTC))
    assert NIGHTS.are_open(datetime(2026, 7, 21, 18, 0, tzinfo=UTC))


def test_the_next_opening_after_a_weekend_is_on_monday() -> None:
    assert NIGHTS.next_opening(berlin("2026-11-28T12:00")) == berlin("2026-11-30T20:00")


def test_a_node_that_is_open_need_not_be_waited_for() -> None:
    moment = berlin("2026-11-24T23:00")
    assert NIGHTS.next_opening(moment) == moment
    assert OpeningHours().next_opening(moment) == moment


def test_a_window_lasts_an_hour_less_in_the_night_that_summer_time_begins() -> None:
    hours = OpeningHours(parse_windows(["Sat 22:00-04:00"]), BERLIN)
    start, end = datetime(2026, 3, 28, 21, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)
    assert hours.next_opening(start - timedelta(hours=3)) == start
    assert hours.are_open(end - timedelta(seconds=1))
    assert not hours.are_open(end)


def test_a_window_lasts_an_hour_more_in_the_night_that_summer_time_ends() -> None:
    hours = OpeningHours(parse_windows(["Sat 22:00-04:00"]), BERLIN)
    assert hours.are_open(datetime(2026, 10, 24, 20, tzinfo=UTC))
    assert hours.are_open(datetime(2026, 10, 25, 2, 59, tzinfo=UTC))
    assert not hours.are_open(datetime(2026, 10, 25, 3, tzinfo=UTC))


def test_an_opening_that_clocks_skip_comes_as_many_minutes_after_the_change() -> None:
    hours = OpeningHours(parse_windows(["Sun 02:30-05:00"]), BERLIN)
    assert hours.next_opening(berlin("2026-03-29T00:00")) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_window_that_a_change_swallows_is_waited_for_until_the_next_week() -> None:
    hours = OpeningHours(parse_windows(["Sun 02:30-03:15"]), BERLIN)
    assert hours.next_opening(berlin("2026-03-29T00:00")) == berlin("2026-04-05T02:30")


def test_windows_are_read_and_said_in_words() -> None:
    windows = parse_windows(["sat 00:00-24:00", "Mon-Wed 20:00 - 06:00"])
    assert [window.weekday for window in windows] == ["Mon", "Tue", "Wed", "Sat"]
    assert OpeningHours(windows, BERLIN).in_words() == (
        "Mon-Wed 20:00-06:00, Sat 00:00-00:00 (Europe/Berlin)"
    )
    assert OpeningHours().in_words() == "always"


def test_days_may_go_on_over_the_end_of_the_week() -> None:
    assert [window.weekday for window in parse_windows(["Sat-Mon 08:00-09:00"])] == ["Mon", "Sat", "Sun"]


@pytest.mark.parametrize("text", ["", "Mon", "Foo 20:00-06:00", "Mon 25:00-06:00", "Mon 20:00", "Mon 20-6"])
def test_what_is_no_window_is_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no window") as refusal:
        parse_windows(["Mon 20:00-06:00", text])
    assert repr(text) in str(refusal.value)


windows = st.builds(
    WeeklyWindow,
    weekday=st.sampled_from(Weekday),
    start=st.times().map(lambda at: time(at.hour, at.minute)),
    until=st.times().map(lambda at: time(at.hour, at.minute)),
)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
zones = st.sampled_from([BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])


@given(st.lists(windows, min_size=1, max_size=3), moments, zones, st.floats(0, 0.999))
def test_at_the_next_opening_it_is_open_and_nowhere_before(
    chosen: list[WeeklyWindow], moment: datetime, zone: str, part: float
) -> None:
    hours = OpeningHours(tuple(chosen), zone)
    opening = hours.next_opening(moment)
    assert opening >= moment
    assert hours.are_open(opening)
    if opening > moment:
        wait = opening.astimezone(UTC) - moment
        assert not hours.are_open(moment + wait * part)
        assert not hours.are_open(opening.astimezone(UTC) - timedelta(microseconds=1))
