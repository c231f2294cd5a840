"""`adit jobs series`: what became of every series of a job."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.output import AsJson, present, write_file
from adit_core.cli.wiring import acting_user, open_database
from adit_core.services.job_series import JobSeries, series_of_job
from adit_core.services.looks import record_look
from adit_core.terminal import cell, identifiers, new_table, numbers


def series(
    ctx: typer.Context,
    job_id: Annotated[int, typer.Argument(metavar="ID", help="The number of the job.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A file that ends in .xlsx or .csv.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every series of a job with its state, or write them as a spreadsheet."""
    with open_database() as db:
        user = acting_user(ctx, db)
        if output is None:
            every = list(series_of_job(db, user, job_id))
            record_look(db, user, job_id)
            present(every, _shown, as_json=as_json)
            return
        # To import what writes spreadsheets takes longer than the rest of the command.
        from adit_core.services.job_export import export_series  # noqa: PLC0415
        from adit_core.services.text_sheet import SheetFormat  # noqa: PLC0415

        content = export_series(db, user, job_id, SheetFormat.of_file(output.name))
    write_file(output, content, as_json=as_json)


def _shown(every: list[JobSeries]) -> RenderableType:
    if not every:
        return "No series is known of the job yet."
    table = new_table(
        identifiers("Series Instance UID"),
        "modality",
        "state",
        numbers("planned"),
        numbers("delivered"),
        numbers("filtered"),
        numbers("failed"),
        "message",
    )
    for one in every:
        counts = (one.planned, one.delivered, one.filtered, one.failed)
        told = (one.series_instance_uid, one.modality, one.state.value, *counts, one.message)
        table.add_row(*map(cell, told))
    return table
