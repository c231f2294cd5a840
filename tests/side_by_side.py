"""Runs the whole suite as two processes of pytest side by side, which take about as long.

``python -m tests.side_by_side``. What needs whole stacks with their many processes is in one of them, so that
no two compete for the machine.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence
from threading import Lock, Thread
from typing import IO

HALVES = {
    "stack": ("tests/faults", "tests/e2e", "tests/contract"),
    "others": ("tests/integration", "tests/unit"),
}
_printing = Lock()


def main() -> int:
    """Run both halves to their ends, and return 0 if nothing failed in either."""
    halves = {name: _start(paths) for name, paths in HALVES.items()}

    def end_early(*_: object) -> None:
        for half in halves.values():
            half.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, end_early)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells the halves, too, which end in order
    lost: list[str] = []
    printers = [Thread(target=_print_lines, args=(name, half.stdout, lost)) for name, half in halves.items()]
    for printer in printers:
        printer.start()
    failed = [name for name, half in halves.items() if half.wait()]
    for printer in printers:
        printer.join()
    print(*lost, sep="\n")  # noqa: T201  # again, since the end of the output is all that some see
    print(f"Failed: {', '.join(failed)}" if failed else "Both halves passed")  # noqa: T201
    return 1 if failed else 0


def _start(paths: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *paths, "--durations=40"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _print_lines(name: str, lines: IO[str] | None, lost: list[str]) -> None:
    """Print what one half says, and add the names of the tests that failed in it to `lost`."""
    assert lines is not None
    for line in lines:
        if line.startswith(("FAILED ", "ERROR ")):
            lost.append(line.rstrip())
        with _printing:
            sys.stdout.write(f"{name}| {line}")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
