"""Progress bars: those of tqdm if it is installed, in terminals and notebooks; else a line in terminals."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Show = Callable[[float, str], None]
"""Shows a share from 0 to 1, and a word."""
_WIDTH = 40


@contextmanager
def job_bar(title: str) -> Iterator[Show]:
    """Yield what shows the progress of something."""
    tqdm = _tqdm()
    if tqdm is None:
        yield from _line(title)
        return
    # tqdm begins what it calls a postfix with a comma and a space.
    with tqdm(
        total=100, desc=title, unit="%", bar_format="{desc}: {percentage:3.0f}% |{bar}|{postfix}"
    ) as bar:

        def show(share: float, word: str) -> None:
            bar.set_postfix_str(word, refresh=False)
            bar.n = round(share * 100, 1)
            bar.refresh()

        yield show


def _line(title: str) -> Iterator[Show]:
    is_seen = sys.stderr.isatty()

    def show(share: float, word: str) -> None:
        if is_seen:
            done = round(share * _WIDTH)
            bar = "#" * done + "-" * (_WIDTH - done)
            sys.stderr.write(f"\r{title}: {share:4.0%} |{bar}| {word:<12}")
            sys.stderr.flush()

    try:
        yield show
    finally:
        if is_seen:
            sys.stderr.write("\n")


def _tqdm() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells how bars could be nicer in notebooks
        try:
            from tqdm.auto import tqdm  # noqa: PLC0415 - an optional dependency
        except ImportError:
            return None
    return tqdm
