"""`adit tokens …`: tokens, by which programs use the API in the name of a user."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import TokenScope
from adit_core.services.tokens import (
    LONGEST_LIFE,
    NewToken,
    TokenView,
    create_token,
    list_tokens,
    revoke_token,
)
from adit_core.services.users import get_user
from adit_core.terminal import cell, local_time, new_table, numbers

app = new_app("Tokens, by which programs use the API.")


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    *,
    scope: Annotated[
        list[TokenScope], typer.Option(help="What it may be used for; can be given several times.")
    ],
    owner: Annotated[
        str, typer.Option("--for", metavar="USER", help="Whose it is. By default of who runs the command.")
    ] = "",
    days: Annotated[
        int | None,
        typer.Option(help="For how long; without it, until it is revoked.", min=1, max=LONGEST_LIFE.days),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a token. It is shown this once; ADIT keeps only what recognises it."""
    with open_database() as db:
        actor = acting_user(ctx, db)
        made = create_token(
            db,
            get_user(db, owner) if owner else actor,
            name=name,
            scopes=scope,
            lifetime=None if days is None else timedelta(days=days),
            actor=actor,
        )
    present({"token": made.token, **_fields(made)}, lambda _: cell(made.token), as_json=as_json)


@app.command("list")
def list_all(
    ctx: typer.Context,
    *,
    all_users: Annotated[bool, typer.Option("--all", help="Those of all users; for staff only.")] = False,
    as_json: AsJson = False,
) -> None:
    """List tokens, the newest first. The tokens themselves are kept nowhere."""
    with open_database() as db:
        tokens = list_tokens(db, acting_user(ctx, db), all_users=all_users)
    present(tokens, _table, as_json=as_json)


@app.command()
def revoke(
    ctx: typer.Context,
    token_id: Annotated[int, typer.Argument(metavar="ID", help="Its number: `adit tokens list`.")],
    as_json: AsJson = False,
) -> None:
    """End a token for good; the next request with it is refused."""
    with open_database() as db:
        view = revoke_token(db, acting_user(ctx, db), token_id)
    present(view, lambda token: cell(f"Token {token.id} ({token.name}) is revoked."), as_json=as_json)


def _fields(made: NewToken) -> dict[str, object]:
    view = made.view
    return {"id": view.id, "owner": view.owner, "scopes": view.scopes, "expires_at": view.expires_at}


def _table(tokens: list[TokenView]) -> RenderableType:
    if not tokens:
        return "There are no tokens yet: `adit tokens create --help`."
    table = new_table(
        numbers("id"), "owner", "for", "begins with", "scopes", "state", "expires", "last used", "from"
    )
    for token in tokens:
        table.add_row(
            cell(token.id),
            cell(token.owner),
            cell(token.name),
            cell(token.prefix),
            cell(", ".join(token.scopes)),
            cell(token.state),
            cell(local_time(token.expires_at)),
            cell(local_time(token.last_used_at)),
            cell(token.last_used_from),
        )
    return table
