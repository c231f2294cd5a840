"""Moving dates: every date of a patient by the same number of days, so that intervals stay (PS3.15 E.3.7)."""

import hmac
import re
from collections.abc import Sequence
from datetime import date, timedelta

_LARGEST_SHIFT = 3650
"""Days: ten years."""
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})\.(\d{2})\.(\d{2})")
"""As DICOM writes it, and as its predecessor did (PS3.5 6.2)."""
_DATE_TIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")


def shift_of(secret: bytes, patient_id: str) -> int:
    """Return by how many days the dates of a patient are moved into the past in a project: 1 to 3650."""
    key = hmac.digest(secret, b"dates", "sha256")
    return 1 + int.from_bytes(hmac.digest(key, patient_id.encode("utf-8"), "sha256")) % _LARGEST_SHIFT


def moved_date(value: str, days: int) -> str | None:
    """Return a DA value moved back by `days`, None if it is no date."""
    match = _DATE.fullmatch(value.strip())
    if match is None:
        return None
    digits = [group for group in match.groups() if group]
    moved = _moved(digits, days)
    return None if moved is None else f"{moved:%Y%m%d}".zfill(8)


def moved_date_time(value: str, days: int) -> str | None:
    """Return a DT value moved back by `days`, None if it is none. Time and zone stay.

    Without a day, as if it were the middle of the month or year.
    """
    match = _DATE_TIME.fullmatch(value.strip())
    if match is None:
        return None
    year, month, day, time, zone = match.groups()
    moved = _moved((year, month or "07", day or "15"), days)
    if moved is None:
        return None
    length = 4 if month is None else 6 if day is None else 8
    return f"{moved:%Y%m%d}".zfill(8)[:length] + (time or "") + (zone or "")


def _moved(digits: Sequence[str], days: int) -> date | None:
    try:
        return date(*(int(part) for part in digits)) - timedelta(days)
    except (ValueError, OverflowError):
        return None
