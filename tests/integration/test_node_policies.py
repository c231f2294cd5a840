"""Policies of nodes with real archives: a dead one, one with a pace, and one that closes in the middle."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select, update

from adit_core.db import DicomNode, Job, NodeHealth, OutsideWindow, Task, TaskStatus, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import AditError, NodeClosed
from adit_core.services.jobs import show_job
from adit_core.services.node_policies import change_policy
from adit_core.services.reconcile import reconcile
from adit_core.services.run_job import JobRun
from adit_core.settings import Settings
from deployments.demo.archives import Archive
from deployments.demo.studies import Form, SeriesSpec, StudySpec, write_study
from tests.databases import new_database
from tests.factories import ct_study, instances_in, study
from tests.fakes.launcher import FakeLauncher
from tests.rows import load, make_folder, make_server, make_transfer, make_user
from tests.servers import OrthancServer

pytestmark = pytest.mark.system

SETTINGS = Settings(studies_in_flight=2)
ALWAYS = ["Mon-Sun 00:00-24:00"]


@dataclass
class Site:
    """A folder that studies are transferred to, from whatever source."""

    db: Database
    owner: User
    arrivals: Path
    destination: DicomNode
    launcher: FakeLauncher = field(default_factory=FakeLauncher)

    def submit(self, source: DicomNode, specs: Sequence[StudySpec]) -> Job:
        return make_transfer(self.db, self.owner, source, self.destination, specs)

    def run(self, job: Job) -> None:
        """Execute a job as a flow does, one task after the other and each as often as it is retried."""
        with JobRun(self.db, job.id, SETTINGS) as execution:
            while task_ids := execution.new_tasks():
                for task_id in task_ids:
                    for _ in range(SETTINGS.task_attempts):
                        with suppress(AditError):
                            execution.perform(task_id)

    def tasks(self, job: Job) -> list[Task]:
        with self.db.reading() as session:
            return list(session.exec(select(Task).where(Task.job_id == job.id).order_by(col(Task.id))))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = new_database(tmp_path / "adit.sqlite")
    arrivals = tmp_path / "arrivals"
    arrivals.mkdir()
    destination = make_folder(database, path=str(arrivals))
    yield Site(database, make_user(database), arrivals, destination)
    database.dispose()


def add(db: Database, archive: Archive, **fields: object) -> DicomNode:
    node = archive.node
    return make_server(
        db, **{"name": node.name, "ae_title": node.ae_title, "host": node.host, "port": node.port, **fields}
    )


def load_studies(archive: Archive, folder: Path, specs: Sequence[StudySpec]) -> dict[str, str]:
    for spec in specs:
        archive.load(write_study(spec, folder))
    return instances_in(folder)


def end_pause(db: Database) -> None:
    with db.session() as session:
        session.exec(update(NodeHealth).values(paused_until=utc_now() - timedelta(seconds=1)))
        session.commit()


def close_while_moving(site: Site, node: DicomNode) -> None:
    """Wait for the first instance to arrive and let the node be open no sooner than in some days."""
    while not instances_in(site.arrivals):
        time.sleep(0.02)
    change_policy(site.db, node.name, windows=in_some_days())


def in_some_days() -> list[str]:
    """Return a window of one minute that does not begin today."""
    return [f"{utc_now() + timedelta(days=3):%a} 00:00-00:01"]


def test_a_dead_source_costs_few_attempts_and_the_job_goes_on_when_it_is_back(
    site: Site, orthanc_source: OrthancServer, dead_port: int, tmp_path: Path
) -> None:
    specs = [ct_study(2, key=f"dead {number}") for number in range(4)]
    expected = load_studies(orthanc_source.archive, tmp_path / "studies", specs)
    source = add(site.db, orthanc_source.archive, port=dead_port)
    job = site.submit(source, specs)

    site.run(job)

    assert [task.status for task in site.tasks(job)] == [TaskStatus.PENDING] * 4
    assert sum(task.attempts for task in site.tasks(job)) == 2
    message = show_job(site.db, site.owner, job.id).message
    assert message.startswith("SOURCE is paused until ")
    assert "after 3 failures in a row" in message

    for _ in range(20):  # more often than a job may be executed for nothing
        end_pause(site.db)
        assert reconcile(site.db, site.launcher, lease=60).jobs_launched == 1
        site.run(job)
    assert sum(task.attempts for task in site.tasks(job)) == 2

    with site.db.session() as session:
        session.get_one(DicomNode, source.id).port = orthanc_source.archive.node.port
        session.commit()
    end_pause(site.db)
    assert reconcile(site.db, site.launcher, lease=60).jobs_launched == 1
    site.run(job)

    assert [task.status for task in site.tasks(job)] == [TaskStatus.SUCCESS] * 4
    assert instances_in(site.arrivals) == expected
    assert load(site.db, NodeHealth, source.id).failures == 0


def test_an_execution_comes_back_to_what_had_to_wait(site: Site, orthanc_source: OrthancServer) -> None:
    source = add(site.db, orthanc_source.archive)
    job = site.submit(source, [ct_study(1, key=f"wait {number}") for number in range(2)])
    with JobRun(site.db, job.id, SETTINGS) as execution:
        first, _ = execution.new_tasks()
        change_policy(site.db, source.name, windows=in_some_days())
        with pytest.raises(NodeClosed):
            execution.perform(first)
        change_policy(site.db, source.name, windows=[])
        assert execution.new_tasks() == [first]
    assert [task.attempts for task in site.tasks(job)] == [0, 0]


def test_a_source_with_a_study_that_fails_is_not_taken_for_dead(
    site: Site, orthanc_source: OrthancServer
) -> None:
    source = add(site.db, orthanc_source.archive)
    job = site.submit(source, [ct_study(1, key=f"unknown {number}") for number in range(4)])
    site.run(job)
    assert [task.status for task in site.tasks(job)] == [TaskStatus.FAILURE] * 4
    with site.db.reading() as session:
        assert session.exec(select(NodeHealth).where(NodeHealth.failures > 0)).all() == []


@pytest.mark.parametrize("slow_end", ["source", "destination"])
def test_instances_flow_at_the_pace_of_the_slower_end(
    site: Site, orthanc_source: OrthancServer, tmp_path: Path, slow_end: str
) -> None:
    specs = [ct_study(10, key="pace 1"), ct_study(10, key="pace 2")]
    expected = load_studies(orthanc_source.archive, tmp_path / "studies", specs)
    source = add(site.db, orthanc_source.archive)
    name = source.name if slow_end == "source" else site.destination.name
    change_policy(site.db, name, instances_per_second=8)
    job = site.submit(source, specs)

    begin = time.monotonic()
    with JobRun(site.db, job.id, SETTINGS) as execution, ThreadPoolExecutor(2) as pool:
        list(pool.map(execution.perform, execution.new_tasks()))
    seconds = time.monotonic() - begin

    assert instances_in(site.arrivals) == expected
    # Two workers fetch the moments of a quarter of a second at once.
    assert len(expected) <= 8 * seconds + 2 * 2


def test_a_window_that_closes_stops_a_study_after_a_series_and_nothing_is_sent_twice(
    site: Site, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    spec = study(*(SeriesSpec(Form.CT, 5, f"Series {number}", 32, 32) for number in range(4)))
    expected = load_studies(orthanc_source.archive, tmp_path / "studies", [spec])
    source = add(site.db, orthanc_source.archive)
    change_policy(site.db, source.name, windows=ALWAYS, outside=OutsideWindow.STOP, instances_per_second=10)
    job = site.submit(source, [spec])

    with JobRun(site.db, job.id, SETTINGS) as execution, ThreadPoolExecutor(1) as pool:
        (task_id,) = execution.new_tasks()
        moving = pool.submit(execution.perform, task_id)
        close_while_moving(site, source)
        with pytest.raises(NodeClosed, match="next opening"):
            moving.result()
        assert execution.new_tasks() == []

    (task,) = site.tasks(job)
    assert (task.status, task.attempts) == (TaskStatus.PENDING, 0)
    assert "next opening" in task.message
    assert 0 < task.sent < 20
    assert task.sent % 5 == 0
    assert len(instances_in(site.arrivals)) == task.delivered == task.sent
    assert reconcile(site.db, site.launcher, lease=60).jobs_launched == 0

    change_policy(site.db, source.name, windows=[], instances_per_second=0)
    assert reconcile(site.db, site.launcher, lease=60).jobs_launched == 1
    site.run(job)
    (task,) = site.tasks(job)
    assert (task.status, task.attempts, task.sent) == (TaskStatus.SUCCESS, 1, 20)
    assert instances_in(site.arrivals) == expected


def test_a_study_under_way_is_finished_if_the_policy_says_so(
    site: Site, orthanc_source: OrthancServer, tmp_path: Path
) -> None:
    spec = study(*(SeriesSpec(Form.CT, 5, f"Series {number}", 32, 32) for number in range(2)))
    expected = load_studies(orthanc_source.archive, tmp_path / "studies", [spec])
    source = add(site.db, orthanc_source.archive)
    change_policy(site.db, source.name, windows=ALWAYS, instances_per_second=10)
    job = site.submit(source, [spec])
    with JobRun(site.db, job.id, SETTINGS) as execution, ThreadPoolExecutor(1) as pool:
        (task_id,) = execution.new_tasks()
        moving = pool.submit(execution.perform, task_id)
        close_while_moving(site, source)
        moving.result()
    assert [task.status for task in site.tasks(job)] == [TaskStatus.SUCCESS]
    assert instances_in(site.arrivals) == expected
