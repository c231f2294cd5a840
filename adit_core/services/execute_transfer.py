"""Moves the study of one claimed task, and tells how far it is."""

from collections.abc import Iterable, Sequence

from adit_core.db import DicomNode, Job, SeriesProgress, Task
from adit_core.dicom.manifest import Selection
from adit_core.dicom.outcome import SeriesOutcome, StudyOutcome
from adit_core.dicom.references import StudyReference
from adit_core.dicom.transfer import transfer_study
from adit_core.errors import TaskStopped
from adit_core.services.node_visits import TransferVisit
from adit_core.services.nodes import node_value
from adit_core.services.progress import TaskCounts, record_progress
from adit_core.services.routes import open_route
from adit_core.services.work import TaskOutcome, Work


def execute_transfer(work: Work) -> TaskOutcome:
    """Move the study of a task.

    Raises:
        NodeClosed: One of them is closed; the task has to wait.
        TaskStopped: The claim was lost.
        AditError: The source or the destination could not be asked what they have.
    """
    db, job, task = work.db, work.job, work.task
    with db.reading() as session:
        nodes = [session.get_one(DicomNode, node_id) for node_id in (job.source_id, job.destination_id)]
    source, destination = (node_value(db, node) for node in nodes)

    def record(outcome: StudyOutcome) -> None:
        is_mine = record_progress(
            db,
            task.id,
            token=work.token,
            series=_series_rows(task.id, outcome.series),
            counts=_counts_of(task, outcome),
        )
        if not is_mine:
            raise TaskStopped("The claim on the task was lost.")

    direct = not work.help.direct_has_failed and may_move_directly(job, task, nodes)
    with (
        TransferVisit(db, *(node.id for node in nodes)) as visit,
        open_route(source, destination, receiver=work.help.receiver, direct=direct) as route,
    ):
        outcome = transfer_study(visit.over(route), study_of(task), _selection(job, task), record)
    record(outcome)
    return TaskOutcome(
        counts=_counts_of(task, outcome),
        message=outcome.message(),
        has_remarks=bool(outcome.warnings),
        is_retryable=outcome.is_retryable,
        direct_failure=outcome.direct_failure,
        closed=visit.closed,
    )


def study_of(task: Task) -> StudyReference:
    """Return the study that a task moves."""
    return StudyReference(task.study_instance_uid, task.patient_id)


def may_move_directly(job: Job, task: Task, nodes: Iterable[DicomNode]) -> bool:
    """Tell whether the source may be asked to send the study of a task straight to the destination.

    Job and nodes have to allow it, and nothing of the study is to be changed on its way.
    """
    is_changed = bool(task.pseudonym)
    return job.options.direct_move and not is_changed and all(node.allows_direct_move for node in nodes)


def _counts_of(task: Task, outcome: StudyOutcome) -> TaskCounts:
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


def _selection(job: Job, task: Task) -> Selection:
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
