"""`adit db …`: the database."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import open_database
from adit_core.services.backup import Backup, Restored, back_up, restore
from adit_core.services.database import configured_database
from adit_core.settings import get_settings
from adit_core.terminal import cell

app = new_app("The database: PostgreSQL, or a file on this machine.")


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Create the tables, or bring them up to date. It can be run again at any time."""
    db = configured_database(get_settings())
    db.upgrade()
    present(
        {"database": db.engine.url.render_as_string(hide_password=True)},
        lambda upgraded: cell(f"The tables are up to date in {upgraded['database']}."),
        as_json=as_json,
    )
    db.dispose()


@app.command()
def backup(
    folder: Annotated[
        Path | None, typer.Argument(help="Where to write it; else the folder of ADIT_BACKUPS.")
    ] = None,
    unproved: Annotated[
        bool, typer.Option("--unproved", help="Do not restore it elsewhere to see that all is in it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a backup of the database, and restore it elsewhere to see that everything is in it.

    ADIT may go on working meanwhile. The oldest backups are deleted (ADIT_BACKUPS_KEPT). It holds patient
    data, but not the keys of secrets: keep ADIT_SECRET_KEYS, or secret.key, somewhere else.
    """
    settings = get_settings()
    with open_database() as db:
        written = back_up(
            db,
            folder or settings.resolved_backups(),
            keep=settings.backups_kept,
            prove=not unproved,
            min_free=settings.backups_min_free_bytes,
        )
    present(written, _written, as_json=as_json)


@app.command("restore")
def put_back(
    file: Annotated[Path, typer.Argument(help="A file that `adit db backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what the database holds; it is backed up beside FILE.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup back, and bring its tables up to date. Stop ADIT's other processes before.

    All of it happens, or nothing. Jobs that were running when the backup was made go on afterwards; what the
    destination holds already is not sent again.
    """
    db = configured_database(get_settings())
    restored = restore(db, file, replace=replace)
    db.dispose()
    present(restored, _restored, as_json=as_json)


def _written(backup: Backup) -> RenderableType:
    proof = "restored elsewhere and complete" if backup.is_proved else "not proved"
    return cell(f"{backup.path}: {backup.rows} rows, {proof}.")


def _restored(restored: Restored) -> RenderableType:
    before = f" What it held before is in {restored.replaced.path}." if restored.replaced else ""
    return cell(f"{restored.rows} rows are back.{before}")
