"""Reading with pydicom without its warnings, which quote what is read: patient data, at worst."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
"""`warnings.catch_warnings` changes the whole process, so threads must not overlap in it."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Ignore the warnings of a block that decodes what others have sent; keep it short."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
