"""Jobs and their tasks: finding them, and acting on single tasks."""

from collections.abc import Iterator, Sequence
from itertools import islice

from adit_core.client.connection import Connected
from adit_core.client.job_values import Task, TaskDetail, TaskSeries
from adit_core.client.jobs import Job
from adit_core.client.reading import Table, made, made_all

_USUAL_PAGE = 100


class Following(Connected):
    """Returns jobs, which follow and act on themselves, and acts on tasks."""

    def job(self, job_id: int) -> Job:
        """Return a job."""
        return Job(self._connection, self._connection.json("GET", f"/jobs/{job_id}"))

    def jobs(
        self,
        *,
        status: Sequence[str] = (),
        kind: Sequence[str] = (),
        owner: str = "",
        text: str = "",
        all_users: bool = False,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Yield jobs, the newest first.

        Args:
            status: Only jobs of these.
            kind: Only jobs of these.
            owner: Only jobs of the user of this name.
            text: Only jobs with this in their name, or as their number.
            all_users: Everybody's jobs; for staff only.
            limit: How many at most; None for all.
        """
        pages = self._connection.pages(
            "/jobs",
            status=list(status) or None,
            kind=list(kind) or None,
            owner=owner or None,
            text=text or None,
            all_users=all_users or None,
            limit=min(limit or _USUAL_PAGE, _USUAL_PAGE),
        )
        for told in islice(pages, limit):
            yield Job(self._connection, told)

    def task(self, task: Task | int) -> TaskDetail:
        """Return a task as it is now, and what may be done with it."""
        return made(TaskDetail, self._connection.json("GET", _path(task)))

    def series_of_task(self, task: Task | int) -> Table[TaskSeries]:
        """Return how far the series of a task are, by series number."""
        return made_all(TaskSeries, self._connection.json("GET", f"{_path(task)}/series"))

    def reset_task(self, task: Task | int) -> TaskDetail:
        """Begin a task that has ended anew."""
        return self._act(task, "reset")

    def kill_task(self, task: Task | int) -> TaskDetail:
        """End a task that is under way."""
        return self._act(task, "kill")

    def delete_task(self, task: Task | int) -> None:
        """Take a task that waits out of its job."""
        self._connection.json("DELETE", _path(task))

    def _act(self, task: Task | int, action: str) -> TaskDetail:
        return made(TaskDetail, self._connection.json("POST", f"{_path(task)}/actions/{action}"))


def _path(task: Task | int) -> str:
    return f"/tasks/{task.id if isinstance(task, Task) else task}"
