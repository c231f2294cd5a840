"""Asks an archive about the rows of one claimed task."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

from adit_core.db import DicomNode, NodePolicy, QueryRow, RowStatus
from adit_core.errors import (
    AditError,
    InvalidInput,
    NodeClosed,
    OperationFailed,
    ProtocolError,
    TaskStopped,
    TransientError,
)
from adit_core.services.node_visits import NodeVisit, VisitingSearcher, visit_node
from adit_core.services.nodes import node_value
from adit_core.services.progress import TaskCounts
from adit_core.services.query_answer import Answer, Limits, answer
from adit_core.services.query_criteria import Criteria
from adit_core.services.query_progress import record_answers
from adit_core.services.query_rows import statuses_of_rows, unanswered_rows
from adit_core.services.routes import searcher_of
from adit_core.services.work import TaskOutcome, Work

MOST_RESULTS = 1000
"""The most studies, or series, that a row may find."""
_RECORDING_INTERVAL = 0.5
"""Seconds between writing down what was answered."""
_OF_THE_ROW = (InvalidInput, OperationFailed, ProtocolError)
"""Errors that say that a row cannot be answered, but nothing of the others."""
_REMARKABLE = (
    RowStatus.NOTHING_FOUND,
    RowStatus.SEVERAL_PATIENTS,
    RowStatus.FAILED,
    RowStatus.UNANSWERED,
)


def execute_query(work: Work) -> TaskOutcome:
    """Ask the archive about the rows of a task that have no answer yet.

    ============================================ ===================== ===========================
    what an archive says to a row                row                   the others
    ============================================ ===================== ===========================
    what it found, or that it found nothing      is answered           are asked
    a failure for good, or more than is allowed  fails                 are asked
    a failure that may pass                      stays without answer  are asked; all is retried
    the same to two rows running                 stays without answer  stay so, too; all is retried
    ============================================ ===================== ===========================

    Raises:
        NodeClosed: The archive is closed; the task has to wait.
        TaskStopped: The claim was lost.
        AditError: The archive does not let us in, or does not answer.
    """
    db = work.db
    with db.reading() as session:
        node = session.get_one(DicomNode, work.job.source_id)
        policy = session.get(NodePolicy, node.id)
    limits = Limits(MOST_RESULTS, policy.find_limit if policy else None)
    visit = visit_node(db, node.id)
    with _closed_if_paused(visit), searcher_of(node_value(db, node)) as searcher, _Record(work) as record:
        visiting = VisitingSearcher(searcher, visit)
        rows = _Rows(record, visit, lambda row: answer(visiting, Criteria.of(row.cells), limits))
        rows.ask(unanswered_rows(db, work.task.id))
    return record.outcome(rows.trouble)


class _Rows:
    """Asks one row after the other. ``trouble`` is the last failure that may pass, None if there was none."""

    def __init__(self, record: "_Record", visit: NodeVisit, ask: Callable[[QueryRow], Answer]) -> None:
        self.trouble: TransientError | None = None
        self._record = record
        self._visit = visit
        self._ask = ask

    def ask(self, rows: list[QueryRow]) -> None:
        was_trouble = False
        for row in rows:
            self._visit.check_hours()
            try:
                given = self._answer(row)
            except TransientError as error:
                if was_trouble or self._visit.closed:
                    raise
                self.trouble, was_trouble = error, True
                continue
            self._record.add(row, given)
            was_trouble = False

    def _answer(self, row: QueryRow) -> Answer:
        try:
            return self._ask(row)
        except _OF_THE_ROW as error:
            return Answer(RowStatus.FAILED, str(error))


class _Record:
    """Writes answers down twice a second and, as a context manager, at the end, whatever that is."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._statuses = statuses_of_rows(work.db, work.task.id)
        self._new: dict[int, Answer] = {}
        self._written_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, error: BaseException | None, traceback: object) -> None:
        if not isinstance(error, TaskStopped):
            self._write()

    def add(self, row: QueryRow, given: Answer) -> None:
        """Take an answer, to write it down soon."""
        self._statuses[row.id] = given.status
        self._new[row.id] = given
        if time.monotonic() - self._written_at >= _RECORDING_INTERVAL:
            self._write()

    def outcome(self, trouble: TransientError | None) -> TaskOutcome:
        """Return how the attempt ended; with `trouble`, some rows stayed without an answer because of it."""
        numbers, counts = Counter(self._statuses.values()), self._counts()
        remarks = [
            f"{numbers[status]} of {len(self._statuses)} rows: {status.value}."
            for status in _REMARKABLE
            if numbers[status]
        ]
        return TaskOutcome(
            counts=replace(counts, failed=counts.planned - counts.delivered),
            message=" ".join((*remarks, *([str(trouble)] if trouble else []))),
            has_remarks=bool(remarks),
            is_retryable=trouble is not None,
        )

    def _write(self) -> None:
        is_mine = record_answers(
            self._work.db,
            self._work.task.id,
            token=self._work.token,
            answers=self._new,
            counts=self._counts(),
        )
        if not is_mine:
            raise TaskStopped("The claim on the task was lost.")
        self._new = {}
        self._written_at = time.monotonic()

    def _counts(self) -> TaskCounts:
        """Return the account as it is now; rows without an answer are not in it yet."""
        numbers = Counter(self._statuses.values())
        failed = numbers[RowStatus.FAILED]
        answered = numbers.total() - numbers[RowStatus.UNANSWERED] - failed
        return TaskCounts(planned=numbers.total(), delivered=answered, failed=failed)


@contextmanager
def _closed_if_paused(visit: NodeVisit) -> Iterator[None]:
    try:
        yield
    except AditError as error:
        if visit.closed and not isinstance(error, NodeClosed | TaskStopped):
            raise NodeClosed(visit.closed) from error
        raise
