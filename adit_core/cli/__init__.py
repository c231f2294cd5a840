"""The command line `adit`: gathers what was asked for, calls one service, prints what came of it.

`application` holds the commands together, `command` says how they are made, `wiring` gives them what
they work with, `output` prints; every other module is the command, or the group of commands, of its name.
"""

import sys

from adit_core.cli.application import app
from adit_core.cli.output import report_error
from adit_core.errors import AditError, UnexpectedError, kind_and_place
from adit_core.settings import adopt_stack_environment

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line of this process and end it with the command's exit status.

    Of errors that nobody foresaw it prints type and place: their text may be patient data, and what commands
    print on standard error ends up in the logs of those who run them by timers.
    """
    as_json = "--json" in sys.argv
    try:
        adopt_stack_environment()
    except AditError as error:
        report_error(error, as_json=as_json)
        sys.exit(1)
    try:
        app(prog_name="adit")
    except Exception as error:  # noqa: BLE001 - the edge of the process
        report_error(
            UnexpectedError(f"Unexpected {kind_and_place(error)}. Please report it."), as_json=as_json
        )
        sys.exit(1)
