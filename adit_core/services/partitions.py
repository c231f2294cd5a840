"""The partitions of a mass transfer: periods that are searched one by one, cut where days begin."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from adit_core.db.mass import MassTransferOptions, Partition

_DAYS = {Partition.DAILY: 1, Partition.WEEKLY: 7}


@dataclass(frozen=True, slots=True)
class Period:
    """The time from ``start`` to ``end``, which is the first moment that does not belong to it."""

    start: datetime
    end: datetime


def partitions(options: MassTransferOptions) -> Iterator[Period]:
    """Yield the partitions of a range in order; together they are the range, and no two overlap.

    On days when clocks change, a partition is an hour shorter or longer.
    """
    zone = ZoneInfo(options.time_zone)
    first, behind = options.first_day, options.last_day + timedelta(days=1)
    while first < behind:
        following = min(first + timedelta(days=_DAYS[options.partition]), behind)
        yield Period(_beginning(first, zone), _beginning(following, zone))
        first = following


def days_of(period: Period, time_zone: str) -> tuple[date, date]:
    """Return the first and the last day that a period consists of, as calendars in `time_zone` show them."""
    zone = ZoneInfo(time_zone)
    last_moment = period.end - timedelta.resolution
    return period.start.astimezone(zone).date(), last_moment.astimezone(zone).date()


def _beginning(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins, in UTC; where clocks skip midnight, that is when they do."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
