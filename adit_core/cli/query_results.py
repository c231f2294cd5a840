"""`adit jobs results`: write down what came of a batch query."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from adit_core.cli.output import AsJson, present, write_file
from adit_core.cli.wiring import acting_user, open_database

_STANDARD_OUTPUT = Path("-")


def results(
    ctx: typer.Context,
    job_id: Annotated[int, typer.Argument(metavar="ID", help="The number of the job.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="A file that ends in .xlsx or .csv; - for CSV here."
        ),
    ] = _STANDARD_OUTPUT,
    as_json: AsJson = False,
) -> None:
    """Write the results of a batch query as a spreadsheet, which `adit submit batch` takes as it is.

    Rows without a result are in it, too, with the reason; their column Transfer says no.
    """
    # To import what writes spreadsheets takes longer than the other commands for jobs take.
    from adit_core.services.query_export import export_results, result_lines  # noqa: PLC0415
    from adit_core.services.text_sheet import SheetFormat  # noqa: PLC0415

    is_shown = output == _STANDARD_OUTPUT
    form = SheetFormat.CSV if is_shown else SheetFormat.of_file(output.name)
    with open_database() as db:
        user = acting_user(ctx, db)
        if as_json and is_shown:
            present(list(result_lines(db, user, job_id)), str, as_json=True)
            return
        content = export_results(db, user, job_id, form)
    if is_shown:
        sys.stdout.buffer.write(content)
        return
    write_file(output, content, as_json=as_json)
