"""A mass transfer that searches again transfers only what is new; its series are told in one list."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, update

from adit_core.db import Job, JobStatus, SeriesProgress, Task, TaskKind, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, NotFound
from adit_core.services.job_actions import cancel_job, restart_job, search_again
from adit_core.services.job_export import SERIES_COLUMNS, export_series
from adit_core.services.job_history import history_of_job
from adit_core.services.job_series import JobSeries, SeriesState, list_series, series_of_job
from adit_core.services.run_job import JobRun
from adit_core.services.spreadsheet import read_spreadsheet
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.text_sheet import SheetFormat
from adit_core.services.transfer_request import TransferRequest
from adit_core.settings import Settings
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from deployments.demo.studies import write_study
from tests.factories import instances_in, study
from tests.fakes.launcher import FakeLauncher
from tests.mass import head, mass_options, tasks_of
from tests.rows import load, make_folder, make_job, make_user
from tests.statements import watched


def growing(instances: int) -> StudySpec:
    return study(SeriesSpec(Form.CT, instances, "Axial", 16, 16), key="grows", study_date="20240331")


@dataclass
class Site:
    """A mass transfer from a folder to another one."""

    db: Database
    staff: User
    archive: Path
    arrivals: Path
    launcher: FakeLauncher
    job_id: int = 0

    def keep(self, *studies: StudySpec) -> None:
        for spec in studies:
            write_study(spec, self.archive)

    def submit(self, **options: object) -> None:
        request = TransferRequest(owner_id=self.staff.id, source="Archive", destination="Arrivals")
        self.job_id = submit_mass_transfer(self.db, self.launcher, request, mass_options(**options))

    def run(self) -> JobStatus:
        """Do all tasks of the job, also those that are added meanwhile."""
        with JobRun(self.db, self.job_id, Settings()) as run:
            while task_ids := run.new_tasks():
                for task_id in task_ids:
                    run.perform(task_id)
        return load(self.db, Job, self.job_id).status

    def series(self) -> list[JobSeries]:
        return list(series_of_job(self.db, self.staff, self.job_id))


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    archive, arrivals = tmp_path / "archive", tmp_path / "arrivals"
    for name, path in (("Archive", archive), ("Arrivals", arrivals)):
        path.mkdir()
        make_folder(database, name, path=str(path))
    return Site(database, make_user(database, "staff", staff=True), archive, arrivals, FakeLauncher())


def test_only_what_is_new_is_transferred(site: Site) -> None:
    old, new = head(0, 1), head(2, 2)
    site.keep(old, growing(1))
    site.submit()
    assert site.run() is JobStatus.SUCCESS
    before = instances_in(site.arrivals)
    site.keep(new, growing(3))

    search_again(site.db, site.launcher, site.staff, site.job_id)
    assert load(site.db, Job, site.job_id).status is JobStatus.PENDING
    assert site.run() is JobStatus.SUCCESS

    assert instances_in(site.arrivals) == instances_in(site.archive)
    sent = {task.study_instance_uid: task.sent for task in _transfers(site)}
    assert sent[old.study_instance_uid] == len(old.sop_instance_uids()), "it was left as it was"
    assert sent[growing(3).study_instance_uid] == 2, "only what is missing is sent"
    assert set(before) < set(instances_in(site.arrivals))
    told = [each.message for each in history_of_job(site.db, site.staff, site.job_id, limit=1000)]
    assert told.count("Searches again.") == 1 + 3, "of the job, and of its three searches"


def test_a_search_that_finds_nothing_new_changes_nothing(site: Site) -> None:
    site.keep(head(0, 1))
    site.submit()
    site.run()
    before = _transfers(site)

    search_again(site.db, site.launcher, site.staff, site.job_id)

    assert site.run() is JobStatus.SUCCESS
    assert _transfers(site) == before


def test_only_a_mass_transfer_that_was_done_searches_again(site: Site) -> None:
    site.submit()
    with pytest.raises(ActionNotPossible, match="PENDING"):
        search_again(site.db, site.launcher, site.staff, site.job_id)
    cancel_job(site.db, site.launcher, site.staff, site.job_id)
    with pytest.raises(ActionNotPossible, match="CANCELED"):
        search_again(site.db, site.launcher, site.staff, site.job_id)
    batch = make_job(site.db, status=JobStatus.SUCCESS)
    with pytest.raises(ActionNotPossible, match="Only a mass transfer"):
        search_again(site.db, site.launcher, site.staff, batch.id)


def test_the_series_of_all_studies_are_told_with_their_state(site: Site) -> None:
    site.keep(head(0, 1), head(2, 1))
    site.submit()
    site.run()

    series = site.series()
    assert {(each.study_instance_uid, each.series_instance_uid) for each in series} == {
        (spec.study_instance_uid, spec.series_instance_uid(index))
        for spec in (head(0, 1), head(2, 1))
        for index in (0, 1)
    }
    assert {each.state for each in series} == {SeriesState.DELIVERED}
    assert [each.modality for each in series] == ["CT", "SR"] * 2

    restart_job(site.db, site.launcher, site.staff, site.job_id)
    again = site.series()
    assert {each.series_instance_uid for each in again} == {each.series_instance_uid for each in series}
    assert {each.state for each in again} == {SeriesState.WAITING}


@pytest.mark.parametrize(
    ("task", "counts", "state"),
    [
        (TaskStatus.PENDING, {"planned": 2}, SeriesState.WAITING),
        (TaskStatus.IN_PROGRESS, {"planned": 2, "delivered": 1}, SeriesState.IN_PROGRESS),
        (TaskStatus.IN_PROGRESS, {"planned": 2, "delivered": 2}, SeriesState.DELIVERED),
        (TaskStatus.WARNING, {"planned": 2, "delivered": 1, "filtered": 1}, SeriesState.DELIVERED),
        (TaskStatus.SUCCESS, {"planned": 2, "filtered": 2}, SeriesState.FILTERED),
        (TaskStatus.WARNING, {"planned": 2, "delivered": 1, "failed": 1}, SeriesState.FAILED),
        (TaskStatus.FAILURE, {}, SeriesState.FAILED),
        (TaskStatus.CANCELED, {"planned": 2, "failed": 2}, SeriesState.CANCELED),
        (TaskStatus.SUCCESS, {}, SeriesState.EMPTY),
    ],
)
def test_a_series_is_in_the_state_that_its_instances_are_in(
    database: Database, task: TaskStatus, counts: dict[str, Any], state: SeriesState
) -> None:
    job = make_job(database)
    with database.session() as session:
        session.exec(update(Task).values(status=task))
        session.add(SeriesProgress(task_id=1, series_instance_uid="1.2.3", **counts))
        session.commit()
    owner = load(database, User, job.owner_id)

    (only,) = series_of_job(database, owner, job.id)

    assert only.state is state


def test_pages_of_series_end_with_a_study_and_read_no_more_than_they_show(database: Database) -> None:
    job = make_job(database, 30)
    with database.session() as session:
        session.add_all(
            SeriesProgress(task_id=task_id, series_instance_uid=f"1.2.{task_id}.{number}", planned=1)
            for task_id in range(1, 31)
            for number in (1, 2)
        )
        session.exec(update(Task).where(col(Task.id) > 20).values(status=TaskStatus.FAILURE))
        session.commit()
    owner = load(database, User, job.owner_id)

    with watched(database) as statements:
        first = list_series(database, owner, job.id, limit=10)

    of_parts = [
        each for each, _ in statements.made if each.startswith("SELECT") and "audit_event" not in each
    ]
    assert len(of_parts) == 3
    assert ([each.task_id for each in first.series[-2:]], len(first.series)) == ([10, 10], 20)
    assert first.next_after == 10
    last = list_series(database, owner, job.id, limit=10, after_id=20)
    assert (last.series[0].task_id, last.next_after) == (21, None)
    failed = list_series(database, owner, job.id, statuses=[TaskStatus.FAILURE])
    assert [each.task_id for each in failed.series] == [task_id for task_id in range(21, 31) for _ in (1, 2)]


def test_the_series_are_exported_and_are_for_those_who_may_see_the_job(database: Database) -> None:
    job = make_job(database)
    owner = load(database, User, job.owner_id)
    with database.session() as session:
        session.add(SeriesProgress(task_id=1, series_instance_uid="1.2.1.1", modality="CT", planned=3))
        session.commit()

    for form in SheetFormat:
        sheet = read_spreadsheet(export_series(database, owner, job.id, form), f"series.{form}")
        assert tuple(sheet.header) == SERIES_COLUMNS
        assert list(map(list, sheet.rows.values())) == [
            ["P1", "", "1.2.1", "1.2.1.1", "", "CT", "waiting", "3", "0", "0", "0", ""]
        ]
    with pytest.raises(NotFound):
        list_series(database, make_user(database, "eve"), job.id)


def _transfers(site: Site) -> list[Task]:
    return tasks_of(site.db, load(site.db, Job, site.job_id), TaskKind.TRANSFER)
