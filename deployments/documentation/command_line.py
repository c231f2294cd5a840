"""The reference of the command line, from what each command says of itself to ``--help``."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from adit_core.cli import application
from deployments.documentation.markdown import code, table

_PROGRAM = "adit"
_OPTION_OF_ALL = "--json"


def command_line() -> str:
    """Return all commands: what each is for, how it is used, and its arguments and options."""
    root: Any = get_command(application.app)
    return "\n\n".join(part for name in root.commands for part in _parts(root, name))


def _parts(root: Any, name: str) -> Iterator[str]:
    """Yield the parts of a command of the root, or of the group of commands that it is."""
    summary = root.commands[name].help
    _, command, _ = root.resolve_command(root.context_class(root, info_name=_PROGRAM), [name])
    path = f"{_PROGRAM} {name}"
    yield f"## {path}"
    if not hasattr(command, "commands"):
        yield from _told(command, path)
        return
    yield summary
    for sub_name, sub_command in command.commands.items():
        yield from _nested(sub_command, f"{path} {sub_name}")


def _nested(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, sub_command in command.commands.items():
            yield from _nested(sub_command, f"{path} {name}")
        return
    yield f"### {path}"
    yield from _told(command, path)


def _told(command: Any, path: str) -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    # Of help with line breaks that mean something, code keeps them.
    yield _plain(command.help or "")
    usage = " ".join(
        piece.replace("{", "").replace("}", "") for piece in command.collect_usage_pieces(context)
    )
    yield f"```text\n{path} {usage}\n```"
    records = [record for param in command.params if (record := param.get_help_record(context))]
    if records:
        rows = ((code(name), _plain(text)) for name, text in records)
        yield table(("argument or option", "meaning"), rows)


def _plain(text: str) -> str:
    """Return help as Markdown that looks like it: stars and angle brackets are meant as they are."""
    return text.replace("*", "\\*").replace("<", "&lt;").replace("_", "\\_")
