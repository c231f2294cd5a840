"""`adit submit query`: ask an archive about each row of a spreadsheet."""

from pathlib import Path
from typing import Annotated

import typer

from adit_core.cli.output import AsJson
from adit_core.cli.query_preview import present_query_preview
from adit_core.cli.submit_options import Name, Preview, Urgent, Watch, present_submitted
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.services.query_file import read_query_file
from adit_core.services.query_preview import preview_query
from adit_core.services.submit_query import submit_batch_query


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
            present_query_preview(found, as_json=as_json)
            return
        job_id = submit_batch_query(
            db, scheduler(), owner_id=user.id, source=source, query=questions, name=name, urgent=urgent
        )
        present_submitted(db, user, job_id, watch=watch, as_json=as_json)
