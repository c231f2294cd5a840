"""`adit submit query`: ask an archive about each row of a spreadsheet."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from adit_core.cli.output import AsJson, present
from adit_core.cli.submit_options import Name, Preview, Urgent, Watch, present_submitted
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.services.query_file import read_query_file
from adit_core.services.query_preview import QueryPreview, preview_query
from adit_core.services.submit_query import submit_batch_query
from adit_core.terminal import cell, new_table, numbers


def query(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or .xlsx; columns PatientID, PatientName, AccessionNumber, From, Until, Modality, "
            "StudyDescription and others, and any keyword of DICOM. * and ? are wildcards, /…/ is a "
            "regular expression."
        ),
    ],
    *,
    source: Annotated[
        str, typer.Option("--from", "--source", metavar="NODE", help="The node to ask.", show_default=False)
    ],
    name: Name = "",
    urgent: Urgent = False,
    preview: Preview = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Ask an archive about each row of a spreadsheet; `adit jobs results` tells what it answered.

    If Prefect cannot be reached, the job waits for it; a warning says so.
    """
    questions = read_query_file(file)
    with open_database() as db:
        user = acting_user(ctx, db)
        if preview:
            found = preview_query(db, user.id, source, questions, name=name, urgent=urgent)
            present(found, _shown, as_json=as_json)
            return
        job_id = submit_batch_query(
            db, scheduler(), owner_id=user.id, source=source, query=questions, name=name, urgent=urgent
        )
        present_submitted(db, user, job_id, watch=watch, as_json=as_json)


def _shown(preview: QueryPreview) -> RenderableType:
    table = new_table(numbers("row"), "finds", "the archive is asked by", "ADIT chooses by")
    for row in preview.rows:
        finds = "series" if row.finds_series else "studies"
        table.add_row(*map(cell, (row.row, finds, ", ".join(row.asked), ", ".join(row.sifted))))
    return Group(table, *(cell(line) for line in (_sentence(preview), *preview.notes)))


def _sentence(preview: QueryPreview) -> str:
    first = f", of which these are the first {len(preview.rows)}" if preview.total > len(preview.rows) else ""
    seconds = preview.seconds
    time = "" if seconds is None else f" It may take about {timedelta(seconds=round(seconds))}."
    return f"{preview.total} rows{first}. Nothing was asked.{time}"
