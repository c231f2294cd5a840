"""How the commands of this package are made and described."""

import typer


def new_app(summary: str = "") -> typer.Typer:
    """Return a command, or a group of commands, whose help is plain text."""
    return typer.Typer(
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
