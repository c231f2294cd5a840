"""Discoveries add a task for each study that is wanted, once, and tell what was filtered."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from adit_core.db import DicomNode, Job, NodePolicy, SeriesProgress, Task, TaskKind, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import TaskStopped, TooManyResults
from adit_core.services.claims import claim_task
from adit_core.services.discovery import execute_discovery
from adit_core.services.job_progress import measure
from adit_core.services.progress import TaskCounts
from adit_core.services.work import Help, Work
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from deployments.demo.studies import write_study
from tests import servers
from tests.factories import study
from tests.mass import add_mass_job, discover, head, mass_options, series_of, tasks_of
from tests.rows import load, make_folder, make_server, told


@pytest.fixture
def folder(database: Database, tmp_path: Path) -> DicomNode:
    """A folder that studies are transferred from."""
    (tmp_path / "source").mkdir()
    return make_folder(database, "Archive", path=str(tmp_path / "source"))


def keep(node: DicomNode, *studies: StudySpec) -> None:
    for spec in studies:
        write_study(spec, Path(node.path))


def found(db: Database, job: Job) -> set[str]:
    """The studies that transfers were added for, each of which must be there once."""
    uids = [task.study_instance_uid for task in tasks_of(db, job, TaskKind.TRANSFER)]
    assert len(uids) == len(set(uids))
    return set(uids)


def uids(*studies: StudySpec) -> set[str]:
    return {spec.study_instance_uid for spec in studies}


def test_a_partition_adds_its_studies_with_their_series_and_counts(
    database: Database, folder: DicomNode
) -> None:
    first, second, last = head(0, 1), head(0, 2), head(2, 1)
    keep(folder, head(-1, 1), first, second, last, head(3, 1))
    job = add_mass_job(database, folder, mass_options())

    outcome = discover(database, job, 0)

    assert found(database, job) == uids(first, second)
    assert outcome.counts == TaskCounts(planned=4, delivered=4)
    assert outcome.message == "2 studies found; 4 of 4 series wanted. 2 tasks added."
    task = tasks_of(database, job, TaskKind.TRANSFER)[0]
    partition = tasks_of(database, job, TaskKind.DISCOVERY)[0]
    assert (task.parent_id, task.status, task.planned) == (partition.id, TaskStatus.PENDING, 3)
    assert {row.series_instance_uid: (row.modality, row.planned) for row in series_of(database, task)} == {
        first.series_instance_uid(0): ("CT", 2),
        first.series_instance_uid(1): ("SR", 1),
    }
    discover(database, job, 1)
    discover(database, job, 2)
    assert found(database, job) == uids(first, second, last)


def test_series_that_are_not_wanted_are_counted_with_the_reason(
    database: Database, folder: DicomNode
) -> None:
    keep(folder, head(0, 1), head(0, 2, reports=2))
    options = mass_options(include={"modalities": ["CT", "SR"]}, exclude={"series_descriptions": ["REPORT"]})
    job = add_mass_job(database, folder, options)

    outcome = discover(database, job)

    assert outcome.counts == TaskCounts(planned=5, delivered=2, filtered=3)
    assert "2 of 5 series wanted. Filtered: 3 by series description." in outcome.message
    chosen = {task.series_instance_uids for task in tasks_of(database, job, TaskKind.TRANSFER)}
    assert chosen == {(head(0, 1).series_instance_uid(0),), (head(0, 2).series_instance_uid(0),)}


def test_studies_without_a_wanted_series_add_nothing(database: Database, folder: DicomNode) -> None:
    keep(folder, head(0, 1), head(0, 2))
    job = add_mass_job(database, folder, mass_options(include={"modalities": ["MR"]}, max_age=3))

    outcome = discover(database, job)

    assert outcome.counts == TaskCounts(planned=4, filtered=4)
    assert "Filtered: 4 by age." in outcome.message
    assert found(database, job) == set()


def test_discovering_again_adds_only_what_is_new(database: Database, folder: DicomNode) -> None:
    old, grown, new = head(0, 1), head(0, 2), head(0, 3)
    keep(folder, old, grown)
    job = add_mass_job(database, folder, mass_options())
    discover(database, job)
    again = add_again(database, job)

    keep(folder, head(0, 2, reports=2), new)
    outcome = discover(database, job, again)

    assert outcome.counts == TaskCounts(planned=7, delivered=7)
    added = tasks_of(database, job, TaskKind.TRANSFER)[2:]
    assert {task.study_instance_uid: len(task.series_instance_uids) for task in added} == {
        grown.study_instance_uid: 1,
        new.study_instance_uid: 2,
    }
    every = [uid for task in tasks_of(database, job, TaskKind.TRANSFER) for uid in task.series_instance_uids]
    assert len(every) == len(set(every)) == 7


def test_a_series_that_has_grown_is_transferred_anew(database: Database, folder: DicomNode) -> None:
    few, more = (
        study(SeriesSpec(Form.CT, count, "Axial", 16, 16), key="grows", study_date="20240330")
        for count in (1, 2)
    )
    keep(folder, few, head(0, 1))
    job = add_mass_job(database, folder, mass_options())
    discover(database, job)
    grows, stays = sorted(
        tasks_of(database, job, TaskKind.TRANSFER),
        key=lambda task: task.study_instance_uid != few.study_instance_uid,
    )
    for task in (grows, stays):
        set_task(database, task.id, status=TaskStatus.SUCCESS)
    keep(folder, more)

    discover(database, job, add_again(database, job))

    assert load(database, Task, grows.id).status is TaskStatus.PENDING
    assert load(database, Task, stays.id).status is TaskStatus.SUCCESS
    assert told(database, grows.id)[-1].endswith("The source has more of it by now.")
    assert found(database, job) == uids(few, head(0, 1))


def set_task(db: Database, task_id: int, **values: Any) -> None:
    with db.session() as session:
        session.exec(update(Task).where(col(Task.id) == task_id).values(**values))
        session.commit()


def add_again(db: Database, job: Job) -> int:
    """Add the first partition once more, and return its number."""
    partitions = tasks_of(db, job, TaskKind.DISCOVERY)
    with db.session() as session:
        session.add(
            Task(
                job_id=job.id,
                kind=TaskKind.DISCOVERY,
                period_start=partitions[0].period_start,
                period_end=partitions[0].period_end,
            )
        )
        session.commit()
    return len(partitions)


def test_discoveries_do_not_count_as_instances_of_the_job(database: Database, folder: DicomNode) -> None:
    keep(folder, head(0, 1))
    job = add_mass_job(database, folder, mass_options())
    discover(database, job)

    with database.reading() as session:
        progress = measure(session, [load(database, Job, job.id)], now=utc_now())[job.id]
    assert progress.counts == TaskCounts(planned=3)
    assert progress.tasks == {TaskStatus.SUCCESS: 1, TaskStatus.PENDING: 3}


@pytest.mark.parametrize("obstacle", ["claim lost", "job canceled"])
def test_nothing_is_added_once_the_task_is_not_ours_or_not_wanted(
    database: Database, folder: DicomNode, obstacle: str
) -> None:
    keep(folder, head(0, 1))
    job = add_mass_job(database, folder, mass_options())
    task = claim_task(database, tasks_of(database, job, TaskKind.DISCOVERY)[0].id, token="mine", lease=60)
    assert task is not None
    with database.session() as session:
        session.get_one(Job, job.id).cancel_requested = obstacle == "job canceled"
        session.commit()

    token = "another's" if obstacle == "claim lost" else "mine"
    with pytest.raises(TaskStopped):
        execute_discovery(Work(database, job, task, token, Help()))
    assert found(database, job) == set()


CROWD = tuple(head(0, number, at=f"{8 + number % 5:02}{number:02}00") for number in range(12))


@pytest.mark.system
def test_an_archive_that_cuts_its_answers_off_is_searched_completely(
    database: Database, tmp_path: Path
) -> None:
    with servers.orthanc(tmp_path / "orthanc", settings={"LimitFindResults": 4}) as orthanc:
        node = _loaded(database, orthanc.archive, tmp_path)
        job = add_mass_job(database, node, mass_options())
        outcome = discover(database, job)
    assert found(database, job) == uids(*CROWD)
    assert outcome.counts == TaskCounts(planned=24, delivered=24)


@pytest.mark.system
def test_a_limit_that_the_policy_knows_is_kept_to(database: Database, tmp_path: Path) -> None:
    with servers.dcmqrscp(tmp_path / "dcmqrscp") as archive:
        node = _loaded(database, archive.archive, tmp_path)
        with database.session() as session:
            session.add(NodePolicy(node_id=node.id, find_limit=3))
            session.commit()
        job = add_mass_job(database, node, mass_options(find_limit=5))
        discover(database, job)
        questions = archive.archive.server.log.read_text().count("Find SCP Request")
    assert found(database, job) == uids(*CROWD)
    assert questions > len(CROWD) + 1


@pytest.mark.system
def test_a_minute_with_more_than_the_archive_tells_fails_and_keeps_what_was_told(
    database: Database, tmp_path: Path
) -> None:
    crowded = tuple(head(0, number, at="081500") for number in range(6))
    with servers.orthanc(tmp_path / "orthanc", settings={"LimitFindResults": 4}) as orthanc:
        node = _loaded(database, orthanc.archive, tmp_path, (*crowded, head(0, 9)))
        job = add_mass_job(database, node, mass_options())
        with pytest.raises(TooManyResults, match="2024-03-30 08:15 to 08:15") as failed:
            discover(database, job)
    assert "5 studies found" in str(failed.value)
    assert len(found(database, job)) == 5
    assert load(database, Task, 1).planned == 10


def _loaded(
    db: Database, archive: servers.Archive, tmp_path: Path, studies: Sequence[StudySpec] = CROWD
) -> DicomNode:
    for spec in studies:
        archive.load(write_study(spec, tmp_path / "studies"))
    node = archive.node
    return make_server(db, node.name, ae_title=node.ae_title, host=node.host, port=node.port)


def test_a_series_that_is_gone_before_its_transfer_is_not_expected_any_more(
    database: Database, folder: DicomNode
) -> None:
    from adit_core.services.progress import record_progress

    keep(folder, head(0, 1))
    job = add_mass_job(database, folder, mass_options())
    discover(database, job)
    (task,) = tasks_of(database, job, TaskKind.TRANSFER)
    claim_task(database, task.id, token="mover", lease=60)
    left = SeriesProgress(task_id=task.id, series_instance_uid=head(0, 1).series_instance_uid(0), planned=2)
    record_progress(database, task.id, token="mover", series=[left], counts=TaskCounts(planned=2))

    assert sorted((row.planned, row.message) for row in series_of(database, task)) == [
        (0, "The source does not have it any more."),
        (2, ""),
    ]
