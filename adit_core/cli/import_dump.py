"""`adit import`: take over nodes, groups and users of ADIT's first edition."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.services.adit_dump import read_dump
from adit_core.services.adit_import import import_dump, preview_import
from adit_core.services.adit_report import ImportReport, ImportWish, Outcome
from adit_core.services.audit import SYSTEM
from adit_core.services.users import list_users
from adit_core.terminal import cell, new_table

app = new_app()
_STYLES = {Outcome.NEW: "green", Outcome.UPDATED: "yellow", Outcome.THERE: "dim"}


@app.command("import")
def take_over(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="What `manage.py dumpdata` wrote, as JSON.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Bring what is there already to what the dump says.")
    ] = False,
    calling_ae_title: Annotated[
        str, typer.Option(help="What ADIT calls itself to servers: CALLING_AE_TITLE of the old one.")
    ] = "ADIT",
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take over nodes, groups, users and rights from the first edition of ADIT.

    What would be done is shown before, and done after a question. It happens as a whole or not at all, can be
    repeated, and changes nothing that is there already, unless --update says so. With --json it needs
    --dry-run or --yes.
    """
    if as_json and not (dry_run or yes):
        raise typer.BadParameter("With --json nobody can be asked: give --dry-run or --yes, too.")
    dump = read_dump(file)
    wish = ImportWish(update=update, calling_ae_title=calling_ae_title)
    with open_database() as db:
        if dry_run or not yes:
            present(preview_import(db, dump, wish), _shown, as_json=as_json)
        if dry_run:
            return
        if not yes:
            typer.confirm("Do this?", abort=True, err=True)
        done = import_dump(db, dump, wish, actor=_actor(ctx, db))
    present(done, _summary if not yes else _shown, as_json=as_json)


def _actor(ctx: typer.Context, db: Database) -> User | str:
    """Return who imports; into an empty database nobody can."""
    return acting_user(ctx, db) if list_users(db) else SYSTEM


def _shown(report: ImportReport) -> RenderableType:
    table = new_table("what", "name", "is", "remark")
    for item in report.items:
        table.add_row(
            cell(item.kind.value),
            cell(item.name),
            cell(item.outcome.value, _STYLES[item.outcome]),
            cell(item.remark),
        )
    parts: list[RenderableType] = [table] if report.items else []
    if report.problems:
        problems = new_table("model", "pk", "field", "not taken over, because")
        for problem in report.problems:
            problems.add_row(
                cell(problem.model), cell(problem.pk), cell(problem.field), cell(problem.message, "yellow")
            )
        parts += [cell(""), problems]
    if report.ignored:
        named = ", ".join(f"{number} {model}" for model, number in sorted(report.ignored.items()))
        parts += [cell(""), cell(f"Of other kinds, and not taken over: {named}.")]
    return Group(*parts, cell(""), _summary(report))


def _summary(report: ImportReport) -> RenderableType:
    totals = {outcome: sum(report.count(outcome).values()) for outcome in Outcome}
    words = ", ".join(f"{number} {outcome.value}" for outcome, number in totals.items())
    return cell(f"{words}; {len(report.problems)} remarks on what was not taken over.")
