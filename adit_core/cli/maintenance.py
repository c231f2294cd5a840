"""`adit maintenance …`: keep new jobs away while something is repaired."""

from typing import Annotated

import typer

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db.engine import Database
from adit_core.services.maintenance import begin_maintenance, end_maintenance, maintenance_now
from adit_core.terminal import cell

app = new_app("Keep new jobs away while something is repaired. Jobs that run go on; staff may submit.")


@app.command("on")
def switch_on(
    ctx: typer.Context,
    message: Annotated[str, typer.Argument(help="What those are told who want to submit a job.")],
    as_json: AsJson = False,
) -> None:
    """Switch maintenance mode on."""
    with open_database() as db:
        begin_maintenance(db, acting_user(ctx, db), message)
        _present(db, as_json=as_json)


@app.command("off")
def switch_off(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Switch maintenance mode off."""
    with open_database() as db:
        end_maintenance(db, acting_user(ctx, db))
        _present(db, as_json=as_json)


@app.command()
def show(as_json: AsJson = False) -> None:
    """Tell whether maintenance mode is on, and why."""
    with open_database() as db:
        _present(db, as_json=as_json)


def _present(db: Database, *, as_json: bool) -> None:
    row = maintenance_now(db)
    words = "Maintenance mode is off." if row is None else f"Maintenance mode is on: {row.message}"
    fields = {
        "is_on": row is not None,
        "message": row.message if row else "",
        "started_by": row.started_by if row else "",
        "started_at": row.started_at if row else None,
    }
    present(fields, lambda _: cell(words), as_json=as_json)
