"""`adit tasks …`: change single tasks of a job."""

from collections.abc import Callable
from typing import Annotated

import typer

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.services.task_actions import delete_task, kill_task, reset_task
from adit_core.terminal import cell

app = new_app("Change single tasks of a job.")

TaskId = Annotated[
    int, typer.Argument(metavar="ID", help="The number of the task: `adit jobs show JOB --tasks --json`.")
]


@app.command()
def delete(ctx: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """Take a task that waits out of its job."""
    _change(ctx, task_id, delete_task, "is deleted", as_json=as_json)


@app.command()
def reset(ctx: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """Begin a task that has ended anew. What has arrived is not sent again."""
    _change(ctx, task_id, reset_task, "begins anew", as_json=as_json)


@app.command()
def kill(ctx: typer.Context, task_id: TaskId, as_json: AsJson = False) -> None:
    """End a task in progress as FAILURE, within seconds; for staff only."""
    _change(ctx, task_id, kill_task, "is being ended", as_json=as_json)


def _change(
    ctx: typer.Context, task_id: int, change: Callable[..., None], done: str, *, as_json: bool
) -> None:
    with open_database() as db:
        change(db, scheduler(), acting_user(ctx, db), task_id)
    present({"id": task_id, "done": done}, lambda _: cell(f"Task {task_id} {done}."), as_json=as_json)
