"""`adit announcements …`: what everybody who opens the dashboard is told."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import Announcement, Importance
from adit_core.services.announcements import add_announcement, list_announcements, remove_announcement
from adit_core.terminal import cell, local_time, new_table, numbers

app = new_app("What everybody who opens the dashboard is told.")


@app.command()
def add(
    ctx: typer.Context,
    message: Annotated[str, typer.Argument(help="What everybody is told.")],
    *,
    importance: Annotated[Importance, typer.Option(help="How loudly.")] = Importance.NEWS,
    hours: Annotated[
        float | None, typer.Option(help="For how long; without it, until it is removed.", min=0.01)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell everybody something, at once."""
    with open_database() as db:
        ends_at = None if hours is None else datetime.now(UTC) + timedelta(hours=hours)
        row = add_announcement(db, acting_user(ctx, db), message, importance=importance, ends_at=ends_at)
    present(_fields(row), lambda _: cell(f"Announcement {row.id} is shown."), as_json=as_json)


@app.command()
def remove(
    ctx: typer.Context,
    announcement_id: Annotated[int, typer.Argument(metavar="ID", help="Its number.")],
    as_json: AsJson = False,
) -> None:
    """Take an announcement back."""
    with open_database() as db:
        remove_announcement(db, acting_user(ctx, db), announcement_id)
    present({"removed": announcement_id}, lambda _: cell("It is not shown any more."), as_json=as_json)


@app.command("list")
def list_all(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all announcements, the newest first."""
    with open_database() as db:
        rows = list_announcements(db, acting_user(ctx, db))
    present([_fields(row) for row in rows], lambda _: _table(rows), as_json=as_json)


def _fields(row: Announcement) -> dict[str, object]:
    names = ("id", "message", "importance", "starts_at", "ends_at", "created_by")
    return {name: getattr(row, name) for name in names}


def _table(rows: list[Announcement]) -> RenderableType:
    if not rows:
        return "There are no announcements: `adit announcements add --help`."
    table = new_table(numbers("id"), "message", "importance", "from", "until", "by")
    for row in rows:
        table.add_row(
            cell(row.id),
            cell(row.message),
            cell(row.importance),
            cell(local_time(row.starts_at)),
            cell(local_time(row.ends_at)),
            cell(row.created_by),
        )
    return table
