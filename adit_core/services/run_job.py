"""One execution of a job: claims its tasks and has each performed by a child process.

Whatever happens to this process, the tables say how far the job is, and another execution can go on
from there.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore, Event
from typing import Self
from uuid import uuid4

from adit_core.db import DicomNode, Job, Task, TaskKind, TaskStatus
from adit_core.db.engine import Database
from adit_core.errors import (
    AditError,
    DatabaseUnavailable,
    IncompleteTransfer,
    NodeClosed,
    NotFound,
    StudyFailed,
    TaskStopped,
    TransientError,
)
from adit_core.logs import about
from adit_core.services.approval import require_approved
from adit_core.services.children import ChildCall, ChildPool
from adit_core.services.claims import (
    ClaimState,
    claim_task,
    finish_task,
    hand_back_task,
    renew_claim,
    unfinished_task_ids,
)
from adit_core.services.execute import execute_task, prepare_child
from adit_core.services.launching import node_ids_of
from adit_core.services.node_gate import JobGate
from adit_core.services.node_places import places_of_job
from adit_core.services.progress import TaskCounts
from adit_core.services.routes import receiver_address
from adit_core.services.run_heartbeat import RunHeartbeat
from adit_core.services.work import Help, TaskOutcome
from adit_core.settings import Settings

_log = logging.getLogger(__name__)

_PREPARATION_TIMEOUT = 60.0
_PATIENCE_WITH_RECEIVER = 30.0
"""Seconds that the receiver may take to start again before an attempt fails for want of it."""
_POLL = 1.0
"""Seconds between looks at the claim, and so the longest time until a cancel is noticed."""


class JobRun:
    """An execution of a job. Use it as a context manager: leaving it stops what still runs.

    Its methods may be called by several threads, each with a task of its own.
    """

    def __init__(self, db: Database, job_id: int, settings: Settings) -> None:
        """Prepare an execution.

        Raises:
            NotFound: There is no such job (any more).
            ActionNotPossible: It waits for approval.
        """
        self._db = db
        self._job_id = job_id
        self._settings = settings
        self._stop = Event()
        self._direct_failed = Event()
        self._told: set[int] = set()
        with db.session() as session:
            job = session.get(Job, job_id)
            if job is None:
                raise NotFound(f"There is no job {job_id}.")
            require_approved(job)
            nodes = [session.get_one(DicomNode, node_id) for node_id in node_ids_of(job)]
        self._run_number = job.run_number
        self._gate = JobGate(db, job_id, node_ids_of(job), destination_id=job.destination_id)
        self._width = min(settings.studies_in_flight, *(node.max_associations for node in nodes))
        self._turns = BoundedSemaphore(self._width)
        self._pool = ChildPool(self._width)
        self._heartbeat = RunHeartbeat(db, job_id, run_number=job.run_number, lease=settings.claim_lease)

    def __enter__(self) -> Self:
        with about(job=self._job_id):
            _log.info("execution of a job begins", extra={"run": self._run_number})
        self._heartbeat.__enter__()
        # The children start while places are waited for. What goes wrong is told by the first task.
        for _ in range(self._width):
            self._pool.call(_PREPARATION_TIMEOUT, prepare_child, self._db.url, self._db.keyring)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._pool.close()
        self._heartbeat.__exit__()
        with suppress(DatabaseUnavailable):  # then the reconciler finds an execution that has ended
            self._gate.rest(self._run_number)
        with about(job=self._job_id):
            _log.info("execution of a job ends", extra={"run": self._run_number})

    def new_tasks(self, *, kind: TaskKind | None = None, found_by: int | None = None) -> list[int]:
        """Return the ids of the tasks that this execution has to do, and was not told of before.

        They are of one `kind`, if that is given, and found by one other task, if that is. If a node is
        closed there is nothing to do: the job is executed again once it is open.
        """
        if self._gate.closed():
            return []
        unfinished = unfinished_task_ids(self._db, self._job_id, kind=kind, found_by=found_by)
        new = [task_id for task_id in unfinished if task_id not in self._told]
        self._told.update(new)
        return new

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place at each node of the job, and have it while the block runs.

        No more tasks of the job stand in line than there can be at a time.

        Raises:
            TaskStopped: This execution is to end.
        """
        with self._turns:
            self._check_stopped()
            with places_of_job(self._db, self._job_id, self._check_stopped):
                yield

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise TaskStopped("The execution of the job is being stopped.")

    def perform(self, task_id: int) -> None:
        """Claim a task, perform and settle it; do nothing if somebody else has it.

        ===================================== ============== =========== ==================
        how the attempt ended                 attempts left  task is     raised
        ===================================== ============== =========== ==================
        every instance accounted for          any            SUCCESS
        the same, but with remarks            any            WARNING
        something retryable is missing        yes            PENDING     IncompleteTransfer
        something retryable is missing        no             FAILURE     StudyFailed
        something is missing for good         any            FAILURE     StudyFailed
        transient error                       yes            PENDING     that error
        transient error                       no             FAILURE     StudyFailed
        permanent error                       any            FAILURE     StudyFailed
        cancelled                             any            CANCELED
        killed                                any            FAILURE     StudyFailed
        a node is closed                      not counted    PENDING     NodeClosed
        this execution is being stopped       not counted    PENDING     TaskStopped
        claim lost                            any            as it is
        ===================================== ============== =========== ==================
        """
        try:
            with about(job=self._job_id, task=task_id):
                self._gate.enter(task_id)
                self._attempt(task_id)
        except NodeClosed:
            self._told.discard(task_id)  # it may be this execution that comes back to it
            raise

    def _attempt(self, task_id: int) -> None:
        token = str(uuid4())
        task = claim_task(self._db, task_id, token=token, lease=self._settings.claim_lease)
        if task is not None:
            attempt = _Attempt(
                self._db, self._settings, task, token, stop=self._stop, direct_failed=self._direct_failed
            )
            try:
                attempt.run(self._pool)
            finally:
                if attempt.has_ended_task:
                    self._told.discard(task_id)  # somebody may reset it while this execution goes on


class _Attempt:
    """One attempt at one task."""

    def __init__(
        self,
        db: Database,
        settings: Settings,
        task: Task,
        token: str,
        *,
        stop: Event,
        direct_failed: Event,
    ) -> None:
        self._db = db
        self._settings = settings
        self._task = task
        self._token = token
        self._stop = stop
        self._direct_failed = direct_failed
        """Is set once the source could not move a study directly; asking again may take as long each time."""
        self._begun = time.monotonic()
        self.has_ended_task = False
        """Whether the task was not only tried, but has ended."""

    def run(self, pool: ChildPool) -> None:
        _log.info("attempt begins", extra={"kind": self._task.kind, "attempt": self._task.attempts})
        try:
            call = pool.call(
                self._settings.task_timeout,
                execute_task,
                self._db.url,
                self._db.keyring,
                self._task.id,
                self._token,
                Help(receiver_address(self._settings, _PATIENCE_WITH_RECEIVER), self._direct_failed.is_set()),
            )
            state = self._watch(call)
            if state is ClaimState.CANCEL_REQUESTED:
                self._finish(TaskStatus.CANCELED, "Canceled.", None)
            elif state is ClaimState.KILL_REQUESTED:
                self._fail(StudyFailed("Killed."), None)
            elif state is ClaimState.HELD:
                self._settle(call.result())
        except TaskStopped:
            self._hand_back("The worker was stopped; the task waits for the next one.", None, counted=False)
            raise
        except NodeClosed as error:
            self._hand_back(str(error), None, counted=False)
            raise
        except StudyFailed:
            raise
        except AditError as error:
            self._fail(error, None)

    def _watch(self, call: ChildCall[TaskOutcome]) -> ClaimState:
        """Wait for the call to end, or end it: when cancelled, when stopped, when the claim is lost."""
        renewed = time.monotonic()
        while not call.is_over(within=_POLL):
            if self._stop.is_set():
                call.kill()
                break
            try:
                state = renew_claim(
                    self._db, self._task.id, token=self._token, lease=self._settings.claim_lease
                )
            except DatabaseUnavailable:
                # The database may come back in time; until the lease is over nobody else has the task.
                if time.monotonic() - renewed < self._settings.claim_lease:
                    continue
                state = ClaimState.LOST
            if state is not ClaimState.HELD:
                call.kill()
                return state
            renewed = time.monotonic()
        return ClaimState.HELD

    def _settle(self, outcome: TaskOutcome) -> None:
        if outcome.direct_failure:
            self._direct_failed.set()
        if outcome.is_complete:
            status = TaskStatus.WARNING if outcome.has_remarks else TaskStatus.SUCCESS
            self._finish(status, outcome.message, outcome.counts)
        elif outcome.closed:
            raise NodeClosed(outcome.closed)
        elif outcome.is_retryable:
            self._fail(IncompleteTransfer(outcome.message), outcome.counts)
        else:
            self._fail(StudyFailed(outcome.message), outcome.counts)

    def _fail(self, error: AditError, counts: TaskCounts | None) -> None:
        attempts = self._settings.task_attempts
        if isinstance(error, TransientError) and self._task.attempts < attempts:
            self._hand_back(f"Attempt {self._task.attempts} of {attempts}: {error}", counts, counted=True)
            raise error
        self._finish(TaskStatus.FAILURE, str(error), counts)
        raise StudyFailed(f"Task {self._task.id} failed: {error}") from None

    def _hand_back(self, message: str, counts: TaskCounts | None, *, counted: bool) -> None:
        hand_back_task(
            self._db, self._task.id, token=self._token, message=message, counts=counts, counted=counted
        )
        self._log_end("attempt ends, another one follows", TaskStatus.PENDING, message, counts)

    def _finish(self, status: TaskStatus, message: str, counts: TaskCounts | None) -> None:
        self.has_ended_task = finish_task(
            self._db, self._task.id, token=self._token, status=status, message=message, counts=counts
        )
        self._log_end("task ends", status, message, counts)

    def _log_end(self, event: str, status: TaskStatus, message: str, counts: TaskCounts | None) -> None:
        numbers = ("planned", "delivered", "filtered", "failed")
        told = {} if counts is None else {name: getattr(counts, name) for name in numbers}
        if status is not TaskStatus.SUCCESS:
            told["reason"] = message
        seconds = round(time.monotonic() - self._begun, 1)
        _log.info(event, extra={"status": status, "seconds": seconds, **told})
