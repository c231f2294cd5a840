"""`adit jobs preview`: what would become of a job that waits for approval."""

from typing import Annotated

import typer

from adit_core.cli.output import AsJson
from adit_core.cli.wiring import acting_user, open_database


def preview(
    ctx: typer.Context,
    job_id: Annotated[int, typer.Argument(metavar="ID", help="The number of the job.")],
    *,
    task: Annotated[
        list[int] | None, typer.Option(metavar="TASK", help="Only these tasks; may be given again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look ahead at a job that waits for approval; for staff only. Nothing is transferred.

    Of a transfer, both nodes are asked; of a query, nothing is asked.
    """
    # To import what asks nodes takes longer than the other commands for jobs take.
    from adit_core.cli.query_preview import present_query_preview  # noqa: PLC0415
    from adit_core.cli.transfer_preview import present_preview  # noqa: PLC0415
    from adit_core.services.job_preview import preview_job  # noqa: PLC0415
    from adit_core.services.transfer_preview import TransferPreview  # noqa: PLC0415

    with open_database() as db:
        found = preview_job(db, acting_user(ctx, db), job_id, task_ids=task or None)
    if isinstance(found, TransferPreview):
        present_preview(found, as_json=as_json)
    else:
        present_query_preview(found, as_json=as_json)
