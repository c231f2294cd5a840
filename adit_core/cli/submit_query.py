"""`adit submit query`: ask an archive about each row of a spreadsheet."""

from pathlib import Path
from typing import Annotated

import typer

from adit_core.cli.jobs import follow, warn_if_waiting
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.services.jobs import show_job
from adit_core.services.query_file import read_query_file
from adit_core.services.submit_query import submit_batch_query
from adit_core.terminal import cell


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
    name: Annotated[str, typer.Option(help="What to call the job.")] = "",
    urgent: Annotated[bool, typer.Option("--urgent", help="Go before other jobs.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show how the job goes, and end as `adit jobs watch` does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask an archive about each row of a spreadsheet; `adit jobs results` tells what it answered.

    If Prefect cannot be reached, the job waits for it; a warning says so.
    """
    questions = read_query_file(file)
    with open_database() as db:
        user = acting_user(ctx, db)
        job_id = submit_batch_query(
            db, scheduler(), owner_id=user.id, source=source, query=questions, name=name, urgent=urgent
        )
        job = show_job(db, user, job_id)
        warn_if_waiting(job, as_json=as_json)
        if watch:
            follow(db, user, job_id, as_json=as_json)
    present(job, lambda job: cell(f"Submitted job {job.id}: `adit jobs watch {job.id}`."), as_json=as_json)
