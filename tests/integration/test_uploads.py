"""Uploads: files are taken in, recognised, transferred and removed, on both databases."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Job, JobStatus, Permission, Task, TaskStatus, Upload, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotAllowed, NotFound, StudyFailed
from adit_core.services.claims import unfinished_task_ids
from adit_core.services.job_actions import cancel_job, resume_job
from adit_core.services.run_job import JobRun
from adit_core.services.submit_upload import submit_upload
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import (
    UploadLimits,
    UploadSummary,
    files_below,
    receive_upload,
    remove_uploads,
)
from adit_core.settings import Settings
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.factories import ct_study, instances_in, study
from tests.fakes.launcher import FakeLauncher
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_user

LIMITS = UploadLimits(total_bytes=10 << 20, files=100)
KEEP = timedelta(days=7)
HEAD = study(
    SeriesSpec(Form.CT, 3, "Axial", 16, 16), SeriesSpec(Form.REPORT, 1, "Report"), key="uploaded head"
)
CHEST = ct_study(2, rows=16, key="uploaded chest", patient_id="0815")


@pytest.fixture
def ada(database: Database, tmp_path: Path) -> User:
    """A user who may transfer to a folder."""
    user = make_user(database)
    (tmp_path / "arrivals").mkdir()
    node = make_folder(database, path=str(tmp_path / "arrivals"))
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    allow(database, make_group(database, user, permissions=granted), node, as_destination=True)
    return user


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    for spec in (HEAD, CHEST):
        write_study(spec, tmp_path / "studies")
    return tmp_path / "studies"


def upload(db: Database, user: User, tmp_path: Path, *paths: Path) -> UploadSummary:
    return receive_upload(db, user, files_below(paths), root=tmp_path / "uploads", limits=LIMITS)


def submit(db: Database, user: User, upload_id: str) -> Job:
    request = TransferRequest(owner_id=user.id, source=None, destination="Export")
    return load(db, Job, submit_upload(db, FakeLauncher(), request, upload_id))


def run(db: Database, job: Job) -> None:
    with JobRun(db, job.id, Settings()) as execution:
        for task_id in execution.new_tasks():
            execution.perform(task_id)


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "uploads").glob("*/*"))


def test_what_was_uploaded_is_recognised_and_arrives(
    database: Database, ada: User, studies: Path, tmp_path: Path
) -> None:
    summary = upload(database, ada, tmp_path, studies)

    counts = (summary.patients, len(summary.studies), summary.series, summary.instances)
    assert counts == (2, 2, 3, 6)
    assert (summary.modalities, summary.refused, summary.problems) == (("CT", "SR"), (), ())

    job = submit(database, ada, summary.id)
    planned = [load(database, Task, task_id).planned for task_id in unfinished_task_ids(database, job.id)]
    assert sorted(planned) == [2, 4]
    run(database, job)

    assert load(database, Job, job.id).status is JobStatus.SUCCESS
    assert instances_in(tmp_path / "arrivals") == instances_in(studies)
    with database.reading() as session:
        events = [event.action.value for event in session.exec(select(AuditEvent))]
    assert events == ["uploaded", "job submitted", "study transferred", "study transferred"]


def test_files_that_are_no_instances_are_told_with_the_reason(
    database: Database, ada: User, studies: Path, tmp_path: Path
) -> None:
    first, second, *_ = sorted(path for path in studies.rglob("*") if path.is_file())
    (studies / "notes.txt").write_text("no DICOM at all")
    (studies / "copy.dcm").write_bytes(first.read_bytes())
    (studies / "empty").touch()
    second.write_bytes(second.read_bytes()[:-100])

    summary = upload(database, ada, tmp_path, studies)

    reasons = {Path(file.name).name: file.reason for file in summary.refused}
    assert reasons.keys() == {"notes.txt", "empty", second.name} | (reasons.keys() & {first.name, "copy.dcm"})
    assert len(reasons) == 4
    assert "no DICOM file" in reasons["notes.txt"]
    assert "damaged" in reasons[second.name]
    assert summary.instances == 6


def test_no_name_becomes_a_path(database: Database, ada: User, studies: Path, tmp_path: Path) -> None:
    content = next(path for path in studies.rglob("*") if path.is_file()).read_bytes()
    names = ("../../evil.dcm", "/etc/evil.dcm", "..", "a\x00b", "")
    files: Iterator[tuple[str, BinaryIO]] = ((name, BytesIO(content)) for name in names)

    before = set(tmp_path.rglob("*"))
    receive_upload(database, ada, files, root=tmp_path / "uploads", limits=LIMITS)

    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.name for path in new if "uploads" in path.parts} == {f"{n}.dcm" for n in range(1, 6)}
    assert all("uploads" in path.parts or path.name.startswith("adit.sqlite") for path in new)


def test_links_are_not_followed(database: Database, ada: User, studies: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write_study(ct_study(key="secret"), secret)
    (studies / "link").symlink_to(next(path for path in secret.rglob("*") if path.is_file()))
    assert upload(database, ada, tmp_path, studies).instances == 6


@pytest.mark.parametrize("limits", [UploadLimits(2000, 100), UploadLimits(10 << 20, 5)])
def test_of_what_is_too_much_nothing_is_kept(
    database: Database, ada: User, studies: Path, tmp_path: Path, limits: UploadLimits
) -> None:
    with pytest.raises(InvalidInput, match="most that may be uploaded"):
        receive_upload(database, ada, files_below([studies]), root=tmp_path / "uploads", limits=limits)
    assert kept(tmp_path) == []


def test_an_upload_without_any_instance_is_refused(database: Database, ada: User, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no DICOM at all")
    with pytest.raises(InvalidInput, match="no instance"):
        upload(database, ada, tmp_path, tmp_path / "notes.txt")
    with pytest.raises(InvalidInput, match="cannot be read"):
        upload(database, ada, tmp_path, tmp_path / "missing")
    assert kept(tmp_path) == []


def test_a_damaged_instance_fails_visibly(
    database: Database, ada: User, studies: Path, tmp_path: Path
) -> None:
    files = [path for path in studies.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    files[0].write_bytes(files[0].read_bytes()[:-100])
    job = submit(database, ada, upload(database, ada, tmp_path, studies).id)

    with JobRun(database, job.id, Settings()) as execution:
        for task_id in execution.new_tasks():
            with suppress(StudyFailed):
                execution.perform(task_id)

    with database.reading() as session:
        tasks = session.exec(select(Task).where(Task.job_id == job.id)).all()
    assert [task.failed for task in tasks if "damaged" in task.message] == [1]
    assert load(database, Job, job.id).status is JobStatus.WARNING
    assert len(instances_in(tmp_path / "arrivals")) == 5


def test_a_study_of_several_patients_is_told_and_transferred_once(
    database: Database, ada: User, tmp_path: Path
) -> None:
    from pydicom import dcmread

    paths = write_study(CHEST, tmp_path / "studies")
    other = dcmread(paths[0])
    other.PatientID = "4711"
    other.save_as(paths[0])

    summary = upload(database, ada, tmp_path, tmp_path / "studies")

    assert summary.problems == (f"Study {CHEST.study_instance_uid} names several patients.",)
    assert [study.instances for study in summary.studies] == [2]


def test_an_upload_is_transferred_by_its_owner_and_once(
    database: Database, ada: User, studies: Path, tmp_path: Path
) -> None:
    uploaded = upload(database, ada, tmp_path, studies)
    eve = make_user(database, "eve", staff=True)
    with pytest.raises(NotFound):
        submit(database, eve, uploaded.id)
    with pytest.raises(NotAllowed):
        upload(database, make_user(database, "bob"), tmp_path, studies)

    def try_it(_: int) -> bool:
        try:
            submit(database, ada, uploaded.id)
        except NotFound:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(try_it, range(4))) == 1


@pytest.mark.parametrize(
    ("status", "age", "is_kept"),
    [
        (JobStatus.SUCCESS, timedelta(), False),
        (JobStatus.WARNING, timedelta(), True),
        (JobStatus.WARNING, timedelta(days=8), False),
        (JobStatus.PENDING, timedelta(days=8), True),
        (JobStatus.UNVERIFIED, timedelta(days=8), True),
        (None, timedelta(), True),
        (None, timedelta(days=8), False),
    ],
)
def test_uploads_are_removed_when_they_are_not_needed(
    database: Database,
    ada: User,
    studies: Path,
    tmp_path: Path,
    *,
    status: JobStatus | None,
    age: timedelta,
    is_kept: bool,
) -> None:
    uploaded = upload(database, ada, tmp_path, studies)
    if status is not None:
        job = submit(database, ada, uploaded.id)
        with database.session() as session:
            session.get_one(Job, job.id).status = status
            session.commit()

    removed = remove_uploads(database, now=utc_now() + age, keep=KEEP)

    assert removed == (not is_kept)
    assert bool(kept(tmp_path)) == is_kept
    assert (load(database, Upload, uploaded.id).removed_at is None) == is_kept
    assert remove_uploads(database, now=utc_now() + age, keep=KEEP) == 0


def test_uploads_that_are_out_of_reach_are_left_to_others(
    database: Database, ada: User, studies: Path, tmp_path: Path
) -> None:
    uploaded = upload(database, ada, tmp_path, studies)
    os.rename(tmp_path / "uploads", tmp_path / "elsewhere")  # noqa: PTH104
    assert remove_uploads(database, now=utc_now() + 2 * KEEP, keep=KEEP) == 0
    assert load(database, Upload, uploaded.id).removed_at is None


def test_a_job_whose_upload_was_removed_says_so(
    database: Database, ada: User, studies: Path, tmp_path: Path
) -> None:
    job = submit(database, ada, upload(database, ada, tmp_path, studies).id)
    launcher = FakeLauncher()
    cancel_job(database, launcher, ada, job.id)
    remove_uploads(database, now=utc_now() + 2 * KEEP, keep=KEEP)
    resume_job(database, launcher, ada, job.id)

    with pytest.raises(StudyFailed, match="upload it again"):
        run(database, job)
    assert load(database, Task, 1).status is TaskStatus.FAILURE
