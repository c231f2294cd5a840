"""Single tasks of a job."""

from typing import Annotated

from fastapi import APIRouter, Path

from adit_core.api.authentication import Caller
from adit_core.api.v1.callers import Reader, Submitter, Wired
from adit_core.api.v1.job_views import Series, Task, TaskActionName, TaskDetail
from adit_core.api.v1.values import Id
from adit_core.api.wiring import Wiring
from adit_core.services.action_rules import TaskAction
from adit_core.services.jobs import series_of_task, show_task
from adit_core.services.task_actions import TASK_ACTIONS, delete_task, refusals_of_task

TaskId = Annotated[Id, Path(description="The number of the task.", examples=[42])]

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("/{task_id}")
def show(wiring: Wired, caller: Reader, task_id: TaskId) -> TaskDetail:
    """Show a task."""
    return _detail(wiring, caller, task_id)


@router.get("/{task_id}/series")
def series(wiring: Wired, caller: Reader, task_id: TaskId) -> list[Series]:
    """Show how far the series of a task are, by series number."""
    found = series_of_task(wiring.database, caller.user, task_id, address=caller.address)
    return [Series.model_validate(row) for row in found]


@router.delete("/{task_id}", status_code=204)
def delete(wiring: Wired, caller: Submitter, task_id: TaskId) -> None:
    """Take a task that waits out of its job."""
    delete_task(wiring.database, wiring.launcher, caller.user, task_id, address=caller.address)


@router.post("/{task_id}/actions/{action}")
def act(wiring: Wired, caller: Submitter, task_id: TaskId, action: TaskActionName) -> TaskDetail:
    """Do something with a task: its field `actions` tells what you may do now."""
    perform = TASK_ACTIONS[TaskAction[action.name]]
    perform(wiring.database, wiring.launcher, caller.user, task_id, address=caller.address)
    return _detail(wiring, caller, task_id)


def _detail(wiring: Wiring, caller: Caller, task_id: int) -> TaskDetail:
    task = Task.model_validate(show_task(wiring.database, caller.user, task_id, address=caller.address))
    refusals = refusals_of_task(wiring.database, caller.user, task_id)
    return TaskDetail(
        **task.model_dump(),
        actions=sorted(frozenset(TaskAction) - refusals.keys()),
        refusals={action.value: reason for action, reason in refusals.items()},
    )
