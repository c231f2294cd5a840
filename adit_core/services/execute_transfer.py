"""Moves the study of one claimed task, and tells how far it is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from adit_core.db import DicomNode, Job, SeriesProgress, Task
from adit_core.dicom.manifest import Selection
from adit_core.dicom.node import NiftiNode, Node, SidecarContent
from adit_core.dicom.outcome import SeriesOutcome, StudyOutcome
from adit_core.dicom.references import StudyReference
from adit_core.dicom.transfer import Progress, Route, transfer_study
from adit_core.errors import TaskStopped
from adit_core.services.deidentify import StudyDeidentifier
from adit_core.services.disk_watch import require_space_of_node
from adit_core.services.job_storage import archive_of, destination_value
from adit_core.services.launching import node_ids_of
from adit_core.services.node_visits import TransferVisit
from adit_core.services.nodes import node_value
from adit_core.services.progress import TaskCounts, record_progress
from adit_core.services.pseudonymize import (
    excluded_modalities,
    hold_back,
    project_of,
    study_deidentifier,
)
from adit_core.services.routes import open_route
from adit_core.services.uploads import uploaded_folder
from adit_core.services.work import TaskOutcome, Work


def execute_transfer(work: Work) -> TaskOutcome:
    """Move the study of a task.

    Raises:
        NodeClosed: One of them is closed, or the destination is full; the task has to wait.
        TaskStopped: The claim was lost.
        AditError: The source or the destination could not be asked what they have.
    """
    db, job, task = work.db, work.job, work.task
    with db.reading() as session:
        nodes = [session.get_one(DicomNode, node_id) for node_id in node_ids_of(job)]
    require_space_of_node(db, nodes[-1])
    source = uploaded_folder(db, job.id) if job.source_id is None else node_value(db, nodes[0])
    project = project_of(db, job)
    transformer = None if project is None else study_deidentifier(db, project, task, job.options)
    destination = _destination(
        destination_value(db, nodes[-1], job.options, archive_of(db, job)), transformer
    )

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

    direct = not work.help.direct_has_failed and may_move_directly(job, nodes)
    with (
        TransferVisit(db, job.source_id, nodes[-1].id) as visit,
        open_route(
            source, destination, receiver=work.help.receiver, direct=direct, transformer=transformer
        ) as route,
    ):
        selection = Selection(
            series_instance_uids=frozenset(task.series_instance_uids),
            excluded_modalities=excluded_modalities(job.options, project),
        )
        outcome = _transferred(visit.over(route), study_of(task), selection, transformer, record)
    record(outcome)
    held = transformer.held if transformer else {}
    if held:
        hold_back(db, task.id, held.values())
    return TaskOutcome(
        counts=_counts_of(task, outcome),
        message=" ".join(
            filter(None, (outcome.message(), _sent_before(task.of_others), _waiting(len(held))))
        ),
        has_remarks=bool(outcome.warnings) or bool(held) or bool(task.of_others),
        is_retryable=outcome.is_retryable,
        direct_failure=outcome.direct_failure,
        closed=visit.closed,
    )


def study_of(task: Task) -> StudyReference:
    """Return the study that a task moves."""
    return StudyReference(task.study_instance_uid, task.patient_id)


def may_move_directly(job: Job, nodes: Iterable[DicomNode]) -> bool:
    """Tell whether the source may be asked to send the studies of a job straight to the destination.

    Job and nodes have to allow it, and nothing is to be changed on the way.
    """
    is_changed = job.project_id is not None
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
        of_others=task.of_others + outcome.of_others,
    )


def _transferred(
    route: Route,
    study: StudyReference,
    selection: Selection,
    transformer: StudyDeidentifier | None,
    record: Progress,
) -> StudyOutcome:
    """Move the study; once more, if instances in it turned out half-way not to be de-identifiable.

    Such an instance ends the delivery of those behind it, but is left out when it is known.
    """
    while True:
        broken = len(transformer.broken) if transformer else 0
        outcome = transfer_study(route, study, selection, record)
        if transformer is None or len(transformer.broken) == broken:
            return outcome


def _destination(node: Node, transformer: StudyDeidentifier | None) -> Node:
    """Return the destination, which tells nothing of the patient if the study is pseudonymized."""
    if isinstance(node, NiftiNode) and transformer is not None:
        return replace(node, sidecars=SidecarContent.TECHNICAL)
    return node


def _sent_before(of_others: int) -> str:
    """Return what is to be said of instances of other patients that earlier attempts sent."""
    return f"{of_others} instances that were sent before name another patient." if of_others else ""


def _waiting(held: int) -> str:
    return f"{held} instances wait for a reviewer." if held else ""


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
