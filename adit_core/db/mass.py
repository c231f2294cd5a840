"""What a mass transfer looks for: a range of days, and which series of them are wanted."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_MOST_DAYS = 10_000


class Partition(StrEnum):
    """Which part of the range is searched at once, and found anew if that fails."""

    DAILY = "daily"
    WEEKLY = "weekly"
    """Seven days, counted from the first day of the range."""


def _checked_pattern(pattern: str) -> str:
    if not pattern.strip():
        raise ValueError("an empty pattern fits nothing that can be wanted")
    if is_expression(pattern):
        try:
            re.compile(pattern[1:-1])
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
    return pattern


def is_expression(pattern: str) -> bool:
    """Tell whether a pattern is a regular expression, which is written between slashes."""
    return len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")


Pattern = Annotated[str, Field(max_length=200), AfterValidator(_checked_pattern)]
"""A text with the wildcards ``*`` and ``?`` that the whole value has to fit, or ``/a regular expression/``
that a part of it has to; both whatever the case."""


Modality = Annotated[str, AfterValidator(lambda code: code.strip().upper())]
"""A value of Modality, which archives keep in capitals (PS3.3 C.7.3.1.1.1)."""


class SeriesFilter(BaseModel):
    """Criteria for series. A criterion is fulfilled by any of its values; without values it is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modalities: tuple[Modality, ...] = ()
    institutions: tuple[Pattern, ...] = ()
    study_descriptions: tuple[Pattern, ...] = ()
    series_descriptions: tuple[Pattern, ...] = ()
    series_numbers: tuple[int, ...] = ()


class MassTransferOptions(BaseModel):
    """What a mass transfer looks for.

    A series is wanted if it fulfils every criterion of ``include`` and none of ``exclude``, and lies within
    the bounds. What an archive does not tell fulfils no criterion, and lies within no bounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_day: date
    last_day: date
    """Included."""
    partition: Partition = Partition.DAILY
    time_zone: str = "UTC"
    """In which days begin, by its name in the IANA database; study dates are understood in it, too."""
    include: SeriesFilter = SeriesFilter()
    exclude: SeriesFilter = SeriesFilter()
    min_age: int | None = Field(default=None, ge=0)
    max_age: int | None = Field(default=None, ge=0)
    """Of the patient on the day of the study, in full years; both bounds are included."""
    min_images: int | None = Field(default=None, ge=0)
    max_images: int | None = Field(default=None, ge=0)
    """Instances of a series; both bounds are included."""
    find_limit: int | None = Field(default=None, ge=1)
    """How many results the source gives to one query at most, if its policy does not know or says more."""

    @field_validator("last_day")
    @classmethod
    def _follows_first_day(cls, last_day: date, info: ValidationInfo) -> date:
        first_day = info.data.get("first_day")
        if first_day is not None and last_day < first_day:
            raise ValueError("the range ends before it begins")
        if first_day is not None and (last_day - first_day).days >= _MOST_DAYS:
            raise ValueError(f"the range has more than {_MOST_DAYS} days")
        return last_day

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, time_zone: str) -> str:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("there is no such time zone; write it as Europe/Berlin") from None
        return time_zone

    @field_validator("max_age", "max_images")
    @classmethod
    def _is_no_less(cls, most: int | None, info: ValidationInfo) -> int | None:
        least = info.data.get((info.field_name or "").replace("max_", "min_"))
        if most is not None and least is not None and most < least:
            raise ValueError("this is less than the lower bound")
        return most
