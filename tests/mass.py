"""Mass transfers for tests: studies on some days, and jobs that look for them."""

from datetime import date
from typing import Any

from sqlmodel import col, select

from adit_core.db import (
    DicomNode,
    Job,
    JobKind,
    MassTransferOptions,
    SeriesProgress,
    Task,
    TaskKind,
    TaskStatus,
)
from adit_core.db.engine import Database
from adit_core.services.claims import claim_task, finish_task
from adit_core.services.discovery import execute_discovery
from adit_core.services.partitions import partitions
from adit_core.services.work import Help, TaskOutcome, Work
from deployments.demo.specs import Form, SeriesSpec, StudySpec
from tests import factories
from tests.rows import load, make_folder, make_user

FIRST_DAY, LAST_DAY = date(2024, 3, 30), date(2024, 4, 1)
"""Clocks change on the day between them in Europe."""
BERLIN = "Europe/Berlin"


def head(day: int, number: int, *, at: str = "101500", reports: int = 1) -> StudySpec:
    """Return a study of `day` of the range (from 0) with a CT series and a report."""
    series = [SeriesSpec(Form.CT, 2, "Axial head", 16, 16)]
    series += [SeriesSpec(Form.REPORT, 1, "Report")] * reports
    days = ("20240329", "20240330", "20240331", "20240401", "20240402")
    return factories.study(
        *series,
        key=f"mass {day} {number}",
        patient_id=f"MASS{number}",
        accession_number=f"M{day}{number}",
        study_date=days[day + 1],
        study_time=at,
        description="CT head",
    )


def mass_options(**changes: Any) -> MassTransferOptions:
    """Return options for the range of days."""
    days = {"first_day": FIRST_DAY, "last_day": LAST_DAY, "time_zone": BERLIN}
    return MassTransferOptions.model_validate({**days, **changes})


def add_mass_job(db: Database, source: DicomNode, options: MassTransferOptions) -> Job:
    """Add a job that looks for studies, with its partitions."""
    owner = make_user(db, f"owner of {source.name}")
    destination = make_folder(db, f"destination of {source.name}")
    with db.session() as session:
        job = Job(
            kind=JobKind.MASS_TRANSFER,
            owner_id=owner.id,
            source_id=source.id,
            destination_id=destination.id,
            mass=options,
            run_number=1,
        )
        session.add(job)
        session.flush()
        session.add_all(
            Task(job_id=job.id, kind=TaskKind.DISCOVERY, period_start=period.start, period_end=period.end)
            for period in partitions(options)
        )
        session.commit()
        session.refresh(job)
    return job


def tasks_of(db: Database, job: Job, kind: TaskKind) -> list[Task]:
    """Return the tasks of one kind in the order in which they were added."""
    with db.reading() as session:
        chosen = select(Task).where(Task.job_id == job.id, Task.kind == kind).order_by(col(Task.id))
        return list(session.exec(chosen))


def series_of(db: Database, task: Task) -> list[SeriesProgress]:
    with db.reading() as session:
        return list(session.exec(select(SeriesProgress).where(SeriesProgress.task_id == task.id)))


def discover(db: Database, job: Job, partition: int = 0) -> TaskOutcome:
    """Do the discovery of one partition as a child process does, and end it."""
    task_id = tasks_of(db, job, TaskKind.DISCOVERY)[partition].id
    task = claim_task(db, task_id, token="discovery", lease=60)
    assert task is not None
    outcome = execute_discovery(Work(db, load(db, Job, job.id), task, "discovery", Help()))
    status = TaskStatus.WARNING if outcome.has_remarks else TaskStatus.SUCCESS
    assert finish_task(
        db, task_id, token="discovery", status=status, message=outcome.message, counts=outcome.counts
    )
    return outcome
