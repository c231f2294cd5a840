"""Partitions cover a range of days without gap or overlap, also where clocks change."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adit_core.db.mass import MassTransferOptions, Partition
from adit_core.services.partitions import days_of, partitions

# Clocks change at 2, at 1, at midnight (Beirut skips it, Havana has it twice), by half an hour, or never.
ZONES = ("Europe/Berlin", "Atlantic/Azores", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe", "UTC")


def options(
    first: date, last: date, partition: Partition = Partition.DAILY, zone: str = "UTC"
) -> MassTransferOptions:
    return MassTransferOptions(first_day=first, last_day=last, partition=partition, time_zone=zone)


@given(
    first=st.dates(date(1985, 1, 1), date(2035, 1, 1)),
    length=st.integers(0, 40),
    partition=st.sampled_from(Partition),
    zone=st.sampled_from(ZONES),
)
def test_partitions_are_the_range(first: date, length: int, partition: Partition, zone: str):
    last = first + timedelta(days=length)
    periods = list(partitions(options(first, last, partition, zone)))

    assert all(one.end == other.start for one, other in pairwise(periods))
    assert all(one.start < one.end for one in periods)
    days = [days_of(period, zone) for period in periods]
    assert (days[0][0], days[-1][1]) == (first, last)
    assert all(other[0] - one[1] == timedelta(days=1) for one, other in pairwise(days))
    lengths = {(end - start).days + 1 for start, end in days[:-1]}
    assert lengths <= {1 if partition is Partition.DAILY else 7}


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2024, 3, 31), 23), (date(2024, 10, 27), 25), (date(2024, 10, 28), 24)]
)
def test_a_day_on_which_clocks_change_is_shorter_or_longer(day: date, hours: int):
    (period,) = partitions(options(day, day, zone="Europe/Berlin"))
    assert period.end - period.start == timedelta(hours=hours)
    assert period.start.astimezone(ZoneInfo("Europe/Berlin")).hour == 0


def test_a_day_whose_midnight_is_skipped_begins_when_clocks_are_set():
    (period,) = partitions(options(date(2024, 3, 31), date(2024, 3, 31), zone="Asia/Beirut"))
    assert period.start == datetime(2024, 3, 30, 22, tzinfo=UTC)
    assert days_of(period, "Asia/Beirut") == (date(2024, 3, 31), date(2024, 3, 31))


def test_the_last_week_may_be_short():
    periods = list(partitions(options(date(2024, 1, 1), date(2024, 1, 10), Partition.WEEKLY)))
    assert [days_of(period, "UTC") for period in periods] == [
        (date(2024, 1, 1), date(2024, 1, 7)),
        (date(2024, 1, 8), date(2024, 1, 10)),
    ]
