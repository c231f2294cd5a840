"""Runs the whole suite as two processes of pytest side by side, which take about as long.

``python -m tests.side_by_side``. What needs whole stacks with their many processes is in one of them, so that
no two compete for the machine.

If only a few tests failed, they are run once more when both halves have ended, to tell whoever looks for the
reason whether they fail by themselves, too. They have failed either way.
"""

import json
import re
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from threading import Lock, Thread
from typing import IO

HALVES = {
    "stack": ("tests/faults", "tests/e2e", "tests/contract"),
    "others": ("tests/integration", "tests/unit"),
}
_MOST_AGAIN = 10
"""With more failures in a half something is wrong for certain."""
_TESTS_FAILED = 1
"""What pytest returns then; higher numbers stand for what went wrong with pytest itself."""
_LAST_LINES = 15
"""Of what a half said that ended before it could name what failed in it."""
_LOST = re.compile(r"(FAILED|ERROR) \S")
"""Begins the line of a test; what was logged has more blanks behind its level."""
_SUMMARY = re.compile(r"=+ .* in \d.* =+")
_printing = Lock()
_runs: list[subprocess.Popen[str]] = []


def main() -> int:
    """Run both halves to their ends, and return 0 if nothing failed in either."""
    halves = {name: _start(name, *paths) for name, paths in HALVES.items()}
    signal.signal(signal.SIGTERM, _end_early)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the halves, too, which end in order
    lost: list[str] = []
    printers = [Thread(target=_print_lines, args=(name, half.stdout, lost)) for name, half in halves.items()]
    for printer in printers:
        printer.start()
    codes = {name: half.wait() for name, half in halves.items()}
    for printer in printers:
        printer.join()
    failed = [_verdict(name, code) for name, code in codes.items() if code]
    print(*lost, sep="\n")  # noqa: T201  # again, since the end of the output is all that some see
    print(f"Failed: {', '.join(failed)}" if failed else "Both halves passed")  # noqa: T201
    return 1 if failed else 0


def _end_early(*_: object) -> None:
    for run in _runs:
        run.send_signal(signal.SIGINT)


def _verdict(name: str, code: int) -> str:
    return f"{name} (what failed passes by itself)" if _passes_again(name, code) else name


def _passes_again(name: str, code: int) -> bool:
    """Run the tests that failed in a half once more, if they are few, and tell whether all pass now."""
    known = _cache_of(name) / "v" / "cache" / "lastfailed"
    if code != _TESTS_FAILED or not known.exists() or len(json.loads(known.read_text())) > _MOST_AGAIN:
        return False
    again = _start(name, "--last-failed", "--last-failed-no-failures=none", *HALVES[name])
    _print_lines(f"{name}, again", again.stdout, [])
    return again.wait() == 0


def _cache_of(name: str) -> Path:
    return Path(".pytest_cache") / name


def _start(name: str, *arguments: str) -> subprocess.Popen[str]:
    cache = f"cache_dir={_cache_of(name)}"
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments, "--durations=40", "-o", cache],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _runs.append(run)
    return run


def _print_lines(name: str, lines: IO[str] | None, lost: list[str]) -> None:
    """Print what one half says, and add the names of the tests that failed in it to `lost`.

    If it did not come to its end, its last lines take their place.
    """
    assert lines is not None
    latest: deque[str] = deque(maxlen=_LAST_LINES)
    for line in lines:
        latest.append(line.rstrip())
        if _LOST.match(line):
            lost.append(line.rstrip())
        with _printing:
            sys.stdout.write(f"{name}| {line}")
            sys.stdout.flush()
    if not (latest and _SUMMARY.fullmatch(latest[-1])):
        lost += [f"{name} did not come to its end, but said:", *latest]


if __name__ == "__main__":
    sys.exit(main())
