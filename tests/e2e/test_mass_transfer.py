"""A mass transfer by the real processes: found, filtered, moved, and done again."""

import time
from datetime import date
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from sqlmodel import col

from adit_core.db import JobStatus, Task, TaskKind, TaskStatus
from adit_core.services.job_status import lock_job, settle_job
from adit_core.services.jobs import show_job
from adit_core.services.launching import launch_job
from adit_core.services.nodes import add_folder, add_server
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.task_status import reset_tasks
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.specs import StudySpec
from deployments.demo.studies import write_study
from tests.factories import instances_in
from tests.mass import head, mass_options
from tests.servers import OrthancServer, orthanc
from tests.stack import RunningStack

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

DAYS = range(3)
STUDIES = tuple(head(day, number) for day in DAYS for number in range(3))
OPTIONS = mass_options(
    first_day=date(2024, 3, 23),
    last_day=date(2024, 4, 3),
    include={"study_descriptions": ["ct *"]},
    exclude={"modalities": ["SR"]},
)


def test_a_mass_transfer_moves_what_filters_choose_and_only_what_is_new_when_it_is_done_again(
    adit: RunningStack, orthanc_source: OrthancServer, orthanc_destination: OrthancServer, tmp_path: Path
) -> None:
    load(orthanc_source, STUDIES, tmp_path)
    for server in (orthanc_source, orthanc_destination):
        node = server.archive.node
        add_server(
            adit.db, node.name, ae_title=node.ae_title, host=node.host, port=node.port, max_associations=16
        )
    request = TransferRequest(owner_id=adit.user.id, source="SOURCE", destination="DESTINATION")
    job_id = submit_mass_transfer(adit.db, adit.launcher, request, OPTIONS)

    assert adit.finished(job_id).status is JobStatus.SUCCESS
    assert orthanc_destination.contents().keys() == images(*STUDIES)
    assert_balanced(adit.tasks(job_id), studies=9, images_of_each=2)
    assert_two_levels(adit, job_id)

    new = head(1, 7)
    load(orthanc_source, [new], tmp_path)
    search_again(adit, job_id)

    assert adit.finished(job_id).status is JobStatus.SUCCESS
    assert orthanc_destination.contents().keys() == images(*STUDIES, new)
    tasks = adit.tasks(job_id)
    assert_balanced(tasks, studies=10, images_of_each=2)
    assert [task.attempts for task in tasks if task.kind is TaskKind.TRANSFER] == [1] * 10
    assert sum(task.sent for task in tasks) == 20


def test_what_was_found_is_moved_although_the_archive_did_not_tell_everything(
    adit: RunningStack, tmp_path: Path
) -> None:
    crowd = [head(0, number) for number in range(3)]
    with orthanc(tmp_path / "orthanc", "MEAN", settings={"LimitFindResults": 2}) as source:
        load(source, crowd, tmp_path / "studies")
        node = source.archive.node
        add_server(adit.db, "MEAN", ae_title=node.ae_title, host=node.host, port=node.port)
        (tmp_path / "arrivals").mkdir()
        add_folder(adit.db, "Arrivals", path=str(tmp_path / "arrivals"))
        request = TransferRequest(owner_id=adit.user.id, source="MEAN", destination="Arrivals")
        job_id = submit_mass_transfer(adit.db, adit.launcher, request, mass_options())
        job = adit.finished(job_id)

    assert (job.status, job.message) == (JobStatus.WARNING, "1 of 5 searches and studies failed.")
    failed = [task for task in adit.tasks(job_id) if task.status is TaskStatus.FAILURE]
    assert [task.kind for task in failed] == [TaskKind.DISCOVERY]
    assert "2024-03-30 10:15 to 10:15" in failed[0].message
    assert len(instances_in(tmp_path / "arrivals")) == 2 * 3


def load(archive: OrthancServer, studies: tuple[StudySpec, ...] | list[StudySpec], folder: Path) -> None:
    for spec in studies:
        archive.archive.load(write_study(spec, folder))


def images(*studies: StudySpec) -> set[str]:
    return {spec.sop_instance_uid(0, number) for spec in studies for number in range(2)}


def assert_balanced(tasks: list[Task], *, studies: int, images_of_each: int) -> None:
    partitions = [task for task in tasks if task.kind is TaskKind.DISCOVERY]
    transfers = [task for task in tasks if task.kind is TaskKind.TRANSFER]
    assert all(task.planned == task.delivered + task.filtered + task.failed for task in tasks)
    assert (len(partitions), len(transfers)) == (12, studies)
    assert sum(task.delivered for task in partitions) == sum(task.filtered for task in partitions) == studies
    assert [task.delivered for task in transfers] == [images_of_each] * studies
    assert {task.status for task in tasks} == {TaskStatus.SUCCESS}


def assert_two_levels(adit: RunningStack, job_id: int) -> None:
    """Prefect shows which search found a study, and studies were moved before all was searched."""
    flow_run_id = show_job(adit.db, adit.user, job_id).flow_run_id
    tasks = adit.tasks(job_id)
    by_name = task_runs(flow_run_id, number=len(tasks))
    found = [task for task in tasks if task.kind is TaskKind.TRANSFER]
    for task in found:
        assert _waited_for(by_name[f"task-{task.id}"]) == {by_name[f"task-{task.parent_id}"].id}
    last_search = max(
        task.started_at for task in tasks if task.kind is TaskKind.DISCOVERY and task.started_at
    )
    assert min(task.started_at for task in found if task.started_at) < last_search


def task_runs(flow_run_id: str | None, *, number: int) -> dict[str, TaskRun]:
    """Return the task runs of a flow run by their names; Prefect writes them down a while after they ran."""
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while True:
            runs = client.read_task_runs(
                flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))  # type: ignore[arg-type]
            )
            if len(runs) >= number:
                return {run.name: run for run in runs}
            assert time.monotonic() < deadline, f"Prefect knows {len(runs)} of {number} task runs"
            time.sleep(0.5)


def _waited_for(run: TaskRun) -> set[object]:
    return {getattr(source, "id", None) for source in run.task_inputs.get("wait_for", [])}


def search_again(adit: RunningStack, job_id: int) -> None:
    """Have all partitions searched again."""
    with adit.db.session() as session:
        job = lock_job(session, job_id)
        assert job is not None
        reset_tasks(session, job, col(Task.kind) == TaskKind.DISCOVERY, event="Searched again.")
        job.run_number += 1
        job.flow_run_id = job.running_until = job.started_at = job.ended_at = None
        settle_job(session, job)
        session.commit()
    launch_job(adit.db, adit.launcher, job_id)
