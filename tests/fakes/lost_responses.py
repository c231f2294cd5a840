"""pynetdicom loses a response between its threads now and then (its issue 435): have the exchange again."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest
from pydicom.dataset import Dataset

_ATTEMPTS = 5

T = TypeVar("T")


class LostResponse(Exception):
    """pynetdicom lost a response.

    It may be that to the association request: pynetdicom does not know of a rejection if the connection was
    closed before it had looked whether there is one.
    """


def patiently(exchange: Callable[[], T]) -> T:
    """Have an exchange, and again if pynetdicom lost a response in it."""
    for _ in range(_ATTEMPTS):
        with suppress(LostResponse):
            return exchange()
    pytest.fail(f"no response came in {_ATTEMPTS} attempts")


def answered(response: Dataset) -> Dataset:
    """Return a response; raises LostResponse if it is none."""
    if "Status" not in response:
        raise LostResponse
    return response
