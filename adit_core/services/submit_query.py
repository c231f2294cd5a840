"""Submitting batch queries: checking what is asked for, writing the job with its rows, having it run."""

from collections.abc import Iterator, Sequence
from math import ceil

from sqlmodel import Session

from adit_core.db import DicomNode, Job, JobKind, NodeKind, QueryRow, Task, TaskKind, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.dicom.node import QueryRoot
from adit_core.errors import InputProblem, refuse
from adit_core.services import audit
from adit_core.services.approval import initial_message, initial_status
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.maintenance import require_no_maintenance
from adit_core.services.nodes import get_node
from adit_core.services.once import OnceKey, remember
from adit_core.services.query_cells import is_selective
from adit_core.services.query_columns import PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from adit_core.services.query_file import QueryFile, Question
from adit_core.services.rights import require_query
from adit_core.services.search import require_searchable
from adit_core.services.transfer_request import name_problems
from adit_core.services.users import user_of_id

_OF_PATIENT = (PATIENT_ID, PATIENT_NAME, PATIENT_BIRTH_DATE)
_FEWEST_ROWS, _MOST_ROWS = 20, 50
"""Of a task: to begin one takes longer than to ask about a few rows, but a retry should not lose many."""
_TASKS = 8
"""How many tasks a job should have at least, so that several children have something to do."""


def submit_batch_query(
    db: Database,
    launcher: Launcher,
    *,
    owner_id: int,
    source: str,
    query: QueryFile,
    name: str = "",
    urgent: bool = False,
    address: str = "",
    once: OnceKey | None = None,
) -> int:
    """Have an archive asked about the rows of a query file and return the id of the job.

    The job is written whether or not the scheduler is available, as that of a transfer is.

    Args:
        db: Where the job is kept.
        launcher: The scheduler.
        owner_id: The user whose job it is.
        source: The name of the node to ask.
        query: The rows.
        name: What the owner calls the job.
        urgent: Whether it goes before others.
        address: The network address that the request came from.
        once: Under which it may be asked for again; see `submit_once`.

    Raises:
        NotFound: There is no such user or node.
        NotAllowed: The user may not do this.
        InvalidInput: The node cannot be searched, or something else is wrong, with all of it.
    """
    owner, node = require_allowed_query(db, owner_id, source, query, name=name, urgent=urgent)
    job = Job(
        kind=JobKind.BATCH_QUERY,
        name=name.strip(),
        owner_id=owner.id,
        group_id=owner.active_group_id,
        source_id=node.id,
        urgent=urgent,
        run_number=1,
        status=initial_status(owner),
        message=initial_message(owner),
    )
    with db.session() as session:
        _write(session, job, query.questions)
        remember(session, job, once)
        audit.record(
            session,
            AuditAction.JOB_SUBMITTED,
            actor=owner,
            object_kind="job",
            object_id=job.id,
            address=address,
            source=source,
            rows=len(query.questions),
            urgent=urgent,
        )
        session.commit()
    launch_job(db, launcher, job.id)
    return job.id


def require_allowed_query(
    db: Database, owner_id: int, source: str, query: QueryFile, *, name: str, urgent: bool
) -> tuple[User, DicomNode]:
    """Return who asks and which node, if the questions may be asked.

    Raises what `submit_batch_query` raises.
    """
    owner = user_of_id(db, owner_id)
    node = get_node(db, source)
    require_no_maintenance(db, owner)
    require_query(db, owner, source=node, urgent=urgent)
    require_searchable(node)
    refuse(*_query_problems(query), *_root_problems(node, query), *name_problems(name))
    return owner, node


def _query_problems(query: QueryFile) -> Iterator[InputProblem]:
    if not query.questions:
        yield InputProblem("There is no row to ask about.", field="query")


def _root_problems(node: DicomNode, query: QueryFile) -> Iterator[InputProblem]:
    """Yield the rows that name no patient, if the node finds studies by their patients only.

    It would have to be asked for all its patients first (PS3.4 C.6.1.1).
    """
    if node.kind is not NodeKind.SERVER or node.query_root is not QueryRoot.PATIENT:
        return
    for question in query.questions:
        if not any(is_selective(question.cells.get(name, "")) for name in _OF_PATIENT):
            message = f"{node.name} finds studies by their patients only. Fill in {' or '.join(_OF_PATIENT)}."
            yield InputProblem(message, question.row)


def _write(session: Session, job: Job, questions: Sequence[Question]) -> None:
    session.add(job)
    session.flush()
    for chunk in _chunks(questions):
        task = Task(
            job_id=job.id,
            kind=TaskKind.QUERY,
            rows=tuple(question.row for question in chunk),
            planned=len(chunk),
        )
        session.add(task)
        session.flush()
        session.add_all(
            QueryRow(job_id=job.id, task_id=task.id, row=question.row, cells=dict(question.cells))
            for question in chunk
        )


def _chunks(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    size = min(_MOST_ROWS, max(_FEWEST_ROWS, ceil(len(questions) / _TASKS)))
    for start in range(0, len(questions), size):
        yield questions[start : start + size]
