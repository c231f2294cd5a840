"""A job, followed and acted on from a script or a notebook."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from adit_core.client.connection import Connection
from adit_core.client.errors import AditError, ConnectionFailed, JobFailed
from adit_core.client.job_values import AnsweredRow, Event, JobSeries, Preview, QueryPreview, Task
from adit_core.client.progress import job_bar
from adit_core.client.reading import Table, made

_UNSUCCESSFUL = frozenset({"FAILURE", "CANCELED"})
_ENDED = _UNSUCCESSFUL | {"SUCCESS", "WARNING"}
_PAUSE = 1.0
"""Seconds before a connection that broke is made anew."""


class Job:
    """A job as it was when it was last asked for. It goes on whether or not this program does."""

    def __init__(self, connection: Connection, told: Mapping[str, Any]) -> None:
        self._connection = connection
        self._told = dict(told)

    def __repr__(self) -> str:
        return f"<Job {self.id}: {self.kind}, {self.status}, {self.share:.0%}>"

    @property
    def id(self) -> int:
        """Its number."""
        return self._told["id"]

    @property
    def kind(self) -> str:
        """What it was made from, such as "batch transfer"."""
        return self._told["kind"]

    @property
    def name(self) -> str:
        """What its owner calls it."""
        return self._told["name"]

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self._told["owner"]

    @property
    def group(self) -> str:
        """Of the owner's groups the one that it was submitted for; empty for all of them together."""
        return self._told.get("group", "")

    @property
    def source(self) -> str | None:
        """The node that has the studies, or is asked; None of an upload."""
        return self._told["source"]

    @property
    def destination(self) -> str | None:
        """The node that is to have the studies; None of a query."""
        return self._told["destination"]

    @property
    def archive_file(self) -> str:
        """The encrypted archive, in the folder, that all studies go into; empty if there is none."""
        return self._told["archive_file"]

    @property
    def status(self) -> str:
        """UNVERIFIED, PENDING, IN_PROGRESS, CANCELING, CANCELED, SUCCESS, WARNING or FAILURE."""
        return self._told["status"]

    @property
    def message(self) -> str:
        """What is to be said of its status."""
        return self._told["message"]

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in _ENDED

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return self._told["progress"]["share"]

    @property
    def counts(self) -> dict[str, int]:
        """Instances by what became of them: planned, delivered, filtered, failed; of a query, rows."""
        return dict(self._told["progress"]["counts"])

    @property
    def actions(self) -> tuple[str, ...]:
        """What you may do with it."""
        return tuple(self._told["actions"])

    @property
    def created_at(self) -> datetime:
        """When it was submitted."""
        return datetime.fromisoformat(self._told["created_at"])

    def as_dict(self) -> dict[str, Any]:
        """Return all that the server tells of it."""
        return dict(self._told)

    def refresh(self) -> Self:
        """Ask how it is now."""
        self._told = self._connection.json("GET", f"/jobs/{self.id}")
        return self

    def wait(self, *, timeout: float | None = None) -> Self:
        """Show how it goes until it has ended. To stop waiting does not stop the job.

        Raises:
            JobFailed: It ended with FAILURE, or was canceled.
            TimeoutError: It has not ended after `timeout` seconds.
            AditError: The server does not answer any more, or the token has ended.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with job_bar(f"Job {self.id}") as show:
            for told in self._states(deadline):
                self._told = told
                show(self.share, self.status)
        if self.status in _UNSUCCESSFUL:
            raise JobFailed(f"Job {self.id} ended with {self.status}. {self.message}".strip())
        return self

    def tasks(self, *, status: str | Sequence[str] | None = None) -> Table[Task]:
        """Return its tasks, in the order of the spreadsheet; only those of some status, if one is given."""
        pages = self._connection.pages(f"/jobs/{self.id}/tasks", status=status, limit=1000)
        return Table(made(Task, told) for told in pages)

    def export_tasks(self, path: Path | str) -> Path:
        """Write the tasks, with what became of each, to a .csv or .xlsx file, and return its path."""
        return self._write_sheet("tasks", path)

    def series(self, *, status: str | Sequence[str] | None = None) -> Table[JobSeries]:
        """Return the series of its studies, or of studies of some status, each with its state."""
        pages = self._connection.pages(f"/jobs/{self.id}/series", status=status, limit=1000)
        return Table(made(JobSeries, told) for told in pages)

    def export_series(self, path: Path | str) -> Path:
        """Write the series with their state to a file that ends in .csv or .xlsx, and return its path."""
        return self._write_sheet("series", path)

    def history(self, *, task: Task | int | None = None) -> Table[Event]:
        """Return what happened to it and its tasks, or to one of these, in order."""
        task_id = task.id if isinstance(task, Task) else task
        pages = self._connection.pages(f"/jobs/{self.id}/history", task=task_id, limit=1000)
        return Table(made(Event, told) for told in pages)

    def results(self, *, status: str | Sequence[str] | None = None) -> Table[AnsweredRow]:
        """Return the rows of a batch query, or those of some status, with what was found for each."""
        pages = self._connection.pages(f"/jobs/{self.id}/results", status=status, limit=1000)
        return Table(made(AnsweredRow, told) for told in pages)

    def export(self, path: Path | str) -> Path:
        """Write the results of a batch query to a file that ends in .csv or .xlsx, and return its path.

        A batch transfer takes it as it is.
        """
        return self._write_sheet("results", path)

    def cancel(self) -> Self:
        """Cancel it: what has not started never will, what is under way ends within seconds."""
        return self._act("cancel")

    def resume(self) -> Self:
        """Go on with a canceled job."""
        return self._act("resume")

    def retry(self) -> Self:
        """Begin its failed tasks anew. What has arrived is not sent again."""
        return self._act("retry")

    def restart(self) -> Self:
        """Begin all its tasks anew; for staff only."""
        return self._act("restart")

    def search_again(self) -> Self:
        """Have a mass transfer that has ended look for studies once more; only what is new is sent."""
        return self._act("search-again")

    def make_urgent(self) -> Self:
        """Let it pass other jobs."""
        return self._act("make-urgent")

    def preview(self, task_ids: list[int] | None = None) -> Preview | QueryPreview:
        """Tell what would become of it, or of some of its tasks, if it were approved; for staff only.

        The nodes of a transfer are asked, and nothing is transferred. Of a query, nothing is asked.

        Raises:
            NotPossible: It does not wait for approval.
        """
        told = self._connection.ask(f"/jobs/{self.id}/preview", json={"task_ids": task_ids})
        return made(Preview, told) if "studies" in told else made(QueryPreview, told)

    def verify(self, task_ids: list[int] | None = None) -> Self:
        """Approve it, or only some of its tasks; for staff only."""
        self._told = self._connection.json(
            "POST", f"/jobs/{self.id}/actions/verify", json={"task_ids": task_ids}
        )
        return self

    def delete(self) -> None:
        """Delete it, if nothing of it was started. It cannot be brought back."""
        self._connection.json("DELETE", f"/jobs/{self.id}")

    def _act(self, action: str) -> Self:
        self._told = self._connection.json("POST", f"/jobs/{self.id}/actions/{action}")
        return self

    def _write_sheet(self, of: str, path: Path | str) -> Path:
        target = Path(path)
        form = target.suffix.removeprefix(".").lower()
        answer = self._connection.send("GET", f"/jobs/{self.id}/{of}/spreadsheet", params={"format": form})
        target.write_bytes(answer.content)
        return target

    def _states(self, deadline: float | None) -> Iterator[dict[str, Any]]:
        """Yield what the server tells of the job until it has ended; a connection that broke is made anew."""
        failures = 0
        while True:
            try:
                for event, told in self._events():
                    failures = 0
                    if event == "problem":
                        raise AditError(told["detail"])
                    yield told
                    if event == "end":
                        return
                    if deadline is not None and time.monotonic() > deadline:
                        raise TimeoutError(f"Job {self.id} is still {told['status']}.")
            except ConnectionFailed:
                failures += 1
                if failures > 10:
                    raise
            time.sleep(_PAUSE)

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield server-sent events as they come."""
        with self._connection.stream(f"/jobs/{self.id}/progress") as answer:
            event, data = "message", ""
            for line in answer.iter_lines():
                if not line and data:
                    yield event, json.loads(data)
                    event, data = "message", ""
                elif line.startswith("event:"):
                    event = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    data += line.removeprefix("data:")
