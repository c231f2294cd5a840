"""A wall clock that tests may set, for processes that are started with its environment (libfaketime).

The clock that runs on evenly (CLOCK_MONOTONIC) stays as it is, as when an operator or NTP sets the time.
"""

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from adit_core.db.columns import utc_now
from tests.servers import require

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")

_NOTICED_AFTER = 1
"""Seconds until a process has noticed at the latest that the clock was set."""
_SITE = Path(__file__).parent / "fake_clock_site"


class FakeClock:
    """The clock of the processes that share a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta()
        self._write()

    @property
    def environment(self) -> Mapping[str, str]:
        """What processes are started with that are to have this clock."""
        found = [path for place in _PLACES for path in Path("/").glob(place.lstrip("/"))]
        library = require(str(found[0]) if found else None, package="faketime")
        return {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(_NOTICED_AFTER),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_SITE), os.environ.get("PYTHONPATH")])),
        }

    def now(self) -> datetime:
        """Return what it shows."""
        return utc_now() + self._ahead

    def put(self, by: timedelta) -> None:
        """Put it forward, or back if that is negative."""
        self._ahead += by
        self._write()

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._ahead.total_seconds():+.0f}\n")
        new.replace(self._file)
