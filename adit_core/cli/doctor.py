"""`adit doctor`: find out what is wrong, and what to do about it."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.services.database import configured_database
from adit_core.services.doctor import Finding, Verdict, examine
from adit_core.services.launcher import PrefectLauncher
from adit_core.settings import get_settings
from adit_core.terminal import cell, new_table

app = new_app()

_STYLES = {Verdict.GOOD: "green", Verdict.WARNING: "yellow", Verdict.BAD: "red"}


@app.command("doctor")
def find_out(
    quick: Annotated[bool, typer.Option("--quick", help="Do not ask the nodes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at the database, keys, Prefect, workers, receiver, disks and nodes, and say what to do.

    Nothing is changed. Exit status 1 if something does not work.
    """
    settings = get_settings()
    db = configured_database(settings)
    findings = list(examine(db, settings, PrefectLauncher(), with_nodes=not quick))
    db.dispose()
    present(findings, _shown, as_json=as_json)
    if any(finding.verdict is Verdict.BAD for finding in findings):
        raise typer.Exit(1)


def _shown(findings: Sequence[Finding]) -> RenderableType:
    table = new_table("what", "how it is", "what was found")
    for finding in findings:
        table.add_row(
            cell(finding.subject),
            cell(finding.verdict.value, _STYLES[finding.verdict]),
            Group(
                cell(finding.message),
                *([cell(finding.remedy, _STYLES[finding.verdict])] if finding.remedy else []),
            ),
        )
    return table
