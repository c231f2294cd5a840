"""The root of the command line: its commands, and what becomes of errors.

A command's module is imported when the command is run, so that help and short commands come at once.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from adit_core.cli.output import report_error, report_misuse
from adit_core.errors import AditError

_SUMMARIES = {
    "nodes": "Archives and folders that studies move between.",
    "profiles": "How servers are spoken to: timeouts, TLS, credentials.",
    "secrets": "The keys that secrets in the database are encrypted with.",
    "find": "Ask an archive what it holds.",
    "submit": "Have studies transferred, or archives asked.",
    "jobs": "Follow, approve, cancel and repeat jobs.",
    "tasks": "Change single tasks of a job.",
    "projects": "What studies are pseudonymized for, and how.",
    "links": "Who was who in a project.",
    "held": "Look at images that may show who the patient is.",
    "users": "Accounts.",
    "tokens": "Tokens, by which programs use the API.",
    "audit": "Who did what, and whether that was tampered with.",
    "announcements": "What everybody who opens the dashboard is told.",
    "maintenance": "Keep new jobs away while something is repaired.",
    "import": "Take over nodes, groups and users of ADIT's first edition.",
    "db": "The database.",
    "doctor": "Find out what is wrong, and what to do about it.",
    "reconcile": "Repair what a crash has left behind.",
}
"""What help says of each command; its module in this package has the same name, if Python allows it."""
_MODULES = {"import": "import_dump"}

_AS_JSON = "adit.as_json"


class _RootGroup(TyperGroup):
    """Imports commands when they are run, and turns errors into messages and an exit status.

    The context is typer's own copy of Click's, whose type it does not publish.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in _SUMMARIES.items()}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note whether a program reads the output, which must be known even if parsing fails."""
        ctx.meta[_AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Put the real command in the place of the one that only has a summary."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = get_command(import_module(f"{__package__}.{_MODULES.get(name, name)}").app)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error of ours ends it with status 1, wrong usage with status 2."""
        as_json = ctx.meta[_AS_JSON]
        try:
            return super().invoke(ctx)
        except AditError as error:
            report_error(error, as_json=as_json)
            raise typer.Exit(1) from None
        except typer.TyperException as error:
            if not as_json:
                raise
            report_misuse(error.format_message())
            raise typer.Exit(error.exit_code) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("adit"))
        raise typer.Exit


# A traceback that shows the values of variables could show patient data.
app = typer.Typer(cls=_RootGroup, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def adit(
    ctx: typer.Context,
    user: Annotated[
        str,
        typer.Option(
            envvar="ADIT_USER",
            metavar="NAME",
            help="In whose name to act. By default the only active staff user, if there is exactly one.",
            show_default=False,
        ),
    ] = "",
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Move imaging studies between archives, completely and accountably.

    Whoever may run this command on this machine is its administrator: it signs nobody in, and acts in
    the name of any user. Exit status: 0 done, 1 an error, 2 wrong usage. With --json, results are JSON
    on standard output and errors are JSON on standard error.
    """
    ctx.obj = user
