"""Sleeps without `clock_nanosleep`, which libfaketime 0.9.10 breaks; Python imports it by itself."""

import select
import time


def _sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = _sleep
