"""What a child process does: moves the study of one claimed task and tells how far it is."""

from collections.abc import Iterable, Sequence
from functools import cache

from sqlmodel import select

from adit_core.db import Job, SeriesProgress, TransferTask
from adit_core.db.engine import Database
from adit_core.db.nodes import DicomNode
from adit_core.db.secrets import Keyring
from adit_core.dicom.manifest import Selection
from adit_core.dicom.outcome import SeriesOutcome, StudyOutcome
from adit_core.dicom.references import StudyReference
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.dicom.transfer import transfer_study
from adit_core.errors import TaskStopped
from adit_core.services.nodes import node_value
from adit_core.services.progress import TaskCounts, record_progress
from adit_core.services.routes import open_route


def execute_task(
    database_url: str,
    keyring: Keyring,
    task_id: int,
    token: str,
    *,
    receiver: ReceiverAddress | None = None,
    direct_has_failed: bool = False,
) -> StudyOutcome:
    """Move the study of a task that the caller has claimed with `token`.

    `receiver` is where archives can send to that do not support C-GET. `direct_has_failed` says that
    the source could not send straight to the destination before, and is not to be asked again.

    Progress is written to the database about once a second, and at the end.

    Raises:
        AditError: The source or the destination could not be asked what they have.
        TaskStopped: The claim was lost, so that somebody else moves the study, or nobody is to.
    """
    db = _database(database_url, keyring)
    with db.session() as session:
        task = session.get_one(TransferTask, task_id)
        job = session.get_one(Job, task.job_id)
        nodes = [session.get_one(DicomNode, node_id) for node_id in (job.source_id, job.destination_id)]
    source, destination = (node_value(db, node) for node in nodes)

    def record(outcome: StudyOutcome) -> None:
        is_mine = record_progress(
            db,
            task_id,
            token=token,
            series=_series_rows(task_id, outcome.series),
            counts=counts_of(task, outcome),
        )
        if not is_mine:
            raise TaskStopped("The claim on the task was lost.")

    direct = not direct_has_failed and may_move_directly(job, task, nodes)
    with open_route(source, destination, receiver=receiver, direct=direct) as route:
        outcome = transfer_study(route, study_of(task), _selection(job, task), record)
    record(outcome)
    return outcome


def prepare_child(database_url: str, keyring: Keyring) -> None:
    """Do ahead what the first task of a child process would have to wait for: connect to the database."""
    with _database(database_url, keyring).reading() as session:
        session.exec(select(TransferTask).limit(1)).one_or_none()


def study_of(task: TransferTask) -> StudyReference:
    """Return the study that a task moves."""
    return StudyReference(task.study_instance_uid, task.patient_id)


def may_move_directly(job: Job, task: TransferTask, nodes: Iterable[DicomNode]) -> bool:
    """Tell whether the source may be asked to send the study of a task straight to the destination.

    Job and nodes have to allow it, and nothing of the study is to be changed on its way.
    """
    is_changed = bool(task.pseudonym)
    return job.options.direct_move and not is_changed and all(node.allows_direct_move for node in nodes)


def counts_of(task: TransferTask, outcome: StudyOutcome) -> TaskCounts:
    """Return the counts of a task after an attempt that ended, or stands, with `outcome`.

    What was sent is added to what earlier attempts sent; the rest is the account as it is now.
    """
    return TaskCounts(
        planned=outcome.planned,
        delivered=outcome.delivered,
        filtered=outcome.filtered,
        failed=outcome.failed,
        sent=task.sent + outcome.sent,
        bytes_sent=task.bytes_sent + outcome.bytes_sent,
    )


@cache
def _database(url: str, keyring: Keyring) -> Database:
    return Database(url, keyring)


def _selection(job: Job, task: TransferTask) -> Selection:
    return Selection(
        series_instance_uids=frozenset(task.series_instance_uids),
        excluded_modalities=frozenset(job.options.excluded_modalities),
    )


def _series_rows(task_id: int, series: Sequence[SeriesOutcome]) -> list[SeriesProgress]:
    return [
        SeriesProgress(
            task_id=task_id,
            series_instance_uid=entry.series_instance_uid,
            modality=entry.modality,
            series_number=entry.series_number,
            planned=entry.planned,
            delivered=entry.delivered,
            filtered=entry.filtered,
            failed=entry.failed,
            message=entry.message,
        )
        for entry in series
    ]
