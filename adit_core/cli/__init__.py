"""The command line `adit`: gathers what was asked for, calls one service, prints what came of it.

`application` holds the commands together, `command` says how they are made, `wiring` gives them what
they work with, `output` prints; every other module is the command, or the group of commands, of its name.
"""

from adit_core.cli.application import app
from adit_core.settings import adopt_stack_environment

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line of this process and end it with the command's exit status."""
    adopt_stack_environment()
    app(prog_name="adit")
