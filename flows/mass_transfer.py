"""The flow of mass transfers: task runs that find studies, and below each those that move them.

Studies of the first days are on the move while later days are still being searched.
"""

from collections import deque
from queue import SimpleQueue

from prefect import allow_failure, flow
from prefect.futures import PrefectFuture

from adit_core.db import TaskKind
from adit_core.services.run_job import JobRun
from flows.perform import RUNNER, WINDOW, execution, performing, result_of
from flows.transfer import transfer_study

discover_studies = performing("discover-studies")


@flow(name="mass-transfer", flow_run_name="job-{job_id}", task_runner=RUNNER)
def mass_transfer_job(job_id: int) -> dict[str, int]:
    """Run what is unfinished of a mass transfer, and return how many of its tasks ended how.

    Raises:
        JobFailed: Nothing could be found, and no study be moved.
    """
    with execution(job_id) as run:
        levels = _Levels(run)
        while levels.take_in():
            levels.perform()
    return result_of(job_id)


class _Levels:
    """The two levels of task runs, of which a bounded number is submitted at the same time.

    One partition is searched at a time: what it costs an archive is a small part of what transfers do.
    """

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._partitions: deque[int] = deque()
        self._studies: deque[tuple[int, PrefectFuture[None] | None]] = deque()
        """Tasks, each with the task run that found it, unless that was in another execution."""
        self._searching: PrefectFuture[None] | None = None
        self._moving = 0
        self._ended: SimpleQueue[tuple[TaskKind, int]] = SimpleQueue()

    def take_in(self) -> bool:
        """Learn which tasks are to be done; return False if there are none."""
        self._partitions.extend(self._run.new_tasks(kind=TaskKind.DISCOVERY))
        self._studies.extend((task_id, None) for task_id in self._run.new_tasks(kind=TaskKind.TRANSFER))
        return bool(self._partitions or self._studies)

    def perform(self) -> None:
        """Perform these tasks, and those that are found by them."""
        self._submit()
        while self._searching is not None or self._moving:
            self._note_end(*self._ended.get())
            self._submit()

    def _submit(self) -> None:
        """Submit what there is room for."""
        if self._partitions and self._searching is None:
            task_id = self._partitions.popleft()
            self._searching = discover_studies.submit(self._run, task_id)
            self._await(self._searching, TaskKind.DISCOVERY, task_id)
        while self._studies and self._moving < WINDOW:
            task_id, found_by = self._studies.popleft()
            # What was found is moved even if not everything could be.
            after = [] if found_by is None else [allow_failure(found_by)]
            self._moving += 1
            future = transfer_study.submit(  # pyright: ignore[reportCallIssue] - its types lack wait_for
                self._run, task_id, wait_for=after
            )
            self._await(future, TaskKind.TRANSFER, task_id)

    def _await(self, future: PrefectFuture[None], kind: TaskKind, task_id: int) -> None:
        future.add_done_callback(lambda _: self._ended.put((kind, task_id)))

    def _note_end(self, kind: TaskKind, task_id: int) -> None:
        if kind is TaskKind.TRANSFER:
            self._moving -= 1
            return
        found = self._run.new_tasks(kind=TaskKind.TRANSFER, found_by=task_id)
        self._studies.extend((found_id, self._searching) for found_id in found)
        self._searching = None
