"""`adit links …`: who was who in a project. Each look-up is in the audit trail."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present, write_file
from adit_core.cli.wiring import acting_user, open_database
from adit_core.services.links import LinkedPatient, delete_links, export_links, find_links
from adit_core.services.text_sheet import SheetFormat
from adit_core.terminal import cell, new_table

app = new_app("Who was who in a project. Each look-up is in the audit trail.")

Project = Annotated[str, typer.Argument(help="The name of the project.")]


@app.command()
def find(
    ctx: typer.Context,
    project: Project,
    term: Annotated[str, typer.Argument(help="A Patient ID, a pseudonym, or a UID that a study left under.")],
    as_json: AsJson = False,
) -> None:
    """Tell who a patient is, or was."""
    with open_database() as db:
        found = find_links(db, acting_user(ctx, db), project, term)
    present(found, _table, as_json=as_json)


@app.command()
def export(
    ctx: typer.Context,
    project: Project,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A file that ends in .xlsx or .csv.")
    ],
    as_json: AsJson = False,
) -> None:
    """Write all links of a project into a spreadsheet."""
    form = SheetFormat.of_file(output.name)
    with open_database() as db:
        content = export_links(db, acting_user(ctx, db), project, form)
    write_file(output, content, as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    project: Project,
    pseudonym: Annotated[
        list[str] | None, typer.Argument(help="Of whom to delete the links.", show_default=False)
    ] = None,
    *,
    everybody: Annotated[bool, typer.Option("--everybody", help="Delete all links of the project.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete links for good: nobody can tell any more who a patient was."""
    if everybody == bool(pseudonym):
        raise typer.BadParameter("Name pseudonyms, or say --everybody.")
    if not yes:
        typer.confirm("The links cannot be brought back. Delete them?", abort=True, err=True)
    with open_database() as db:
        number = delete_links(db, acting_user(ctx, db), project, None if everybody else pseudonym)
    present({"patients": number}, lambda _: cell(f"Deleted the links of {number} patients."), as_json=as_json)


def _table(patients: list[LinkedPatient]) -> RenderableType:
    if not patients:
        return "Nobody is linked to that."
    table = new_table("patient", "pseudonym", "study", "left as")
    for patient in patients:
        for study in patient.studies or (None,):
            table.add_row(
                cell(patient.patient_id),
                cell(patient.pseudonym),
                cell(study.study_instance_uid if study else ""),
                cell(study.pseudonymized_study_instance_uid if study else ""),
            )
    return table
