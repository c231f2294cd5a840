"""`adit submit …`: have studies transferred, or archives asked."""

from pathlib import Path
from typing import Annotated

import typer

from adit_core.cli.command import new_app
from adit_core.cli.jobs import follow, warn_if_waiting
from adit_core.cli.output import AsJson, present
from adit_core.cli.submit_query import query
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.db import TransferOptions
from adit_core.services.batch_file import read_batch_file
from adit_core.services.jobs import show_job
from adit_core.services.submit import submit_batch_transfer
from adit_core.terminal import cell

app = new_app("Have studies transferred, or archives asked.")
app.command()(query)


@app.command()
def batch(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or .xlsx; columns PatientID, StudyInstanceUID and, if wanted, SeriesInstanceUID."
        ),
    ],
    *,
    source: Annotated[str, typer.Option("--from", metavar="NODE", help="The node that has the studies.")],
    destination: Annotated[str, typer.Option("--to", metavar="NODE", help="The node that is to have them.")],
    name: Annotated[str, typer.Option(help="What to call the job.")] = "",
    urgent: Annotated[bool, typer.Option("--urgent", help="Go before other jobs.")] = False,
    exclude_modality: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY", help="Leave out such series; may be given again.")
    ] = None,
    direct_move: Annotated[
        bool,
        typer.Option(help="Whether archives may send straight to each other, where both nodes allow it."),
    ] = True,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show how the job goes, and end as `adit jobs watch` does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Transfer the studies that a spreadsheet names.

    If Prefect cannot be reached, the job waits for it; a warning says so.
    """
    studies = read_batch_file(file)
    with open_database() as db:
        user = acting_user(ctx, db)
        job_id = submit_batch_transfer(
            db,
            scheduler(),
            owner_id=user.id,
            source=source,
            destination=destination,
            batch=studies,
            name=name,
            urgent=urgent,
            options=TransferOptions(
                excluded_modalities=tuple(exclude_modality or ()), direct_move=direct_move
            ),
        )
        job = show_job(db, user, job_id)
        warn_if_waiting(job, as_json=as_json)
        if watch:
            follow(db, user, job_id, as_json=as_json)
    present(job, lambda job: cell(f"Submitted job {job.id}: `adit jobs watch {job.id}`."), as_json=as_json)
