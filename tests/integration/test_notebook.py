"""Transfers from a notebook; the scheduler is not there, so jobs wait."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from adit_core.db import Job, JobStatus, Task, TaskKind, TaskStatus, TransferOptions
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InvalidInput, JobFailed, NotFound
from adit_core.services.claims import claim_task, finish_task, unfinished_task_ids
from adit_core.services.database import configured_database
from adit_core.services.progress import TaskCounts
from adit_core.services.projects import ProjectChanges, add_project
from adit_core.services.submit_selective import PickedStudy
from adit_core.settings import get_settings
from deployments.demo.studies import write_study
from flows.notebook import submit_batch, submit_files, submit_mass, submit_query, submit_studies
from tests.factories import ct_study
from tests.mass import mass_options
from tests.queries import perform
from tests.rows import load, make_folder, make_server, make_user

COUNTS = TaskCounts(planned=2, delivered=2, sent=2, bytes_sent=1000)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("ADIT_DATABASE_URL", "ADIT_USER", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ADIT_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    yield tmp_path / "data"
    get_settings.cache_clear()


@pytest.fixture
def db(data_dir: Path) -> Iterator[Database]:
    """The database that notebooks use, with an administrator and two nodes."""
    db = Database(get_settings().resolved_database_url())
    db.upgrade()
    make_user(db, "admin", staff=True)
    make_server(db, "PACS")
    make_folder(db, "Export")
    yield db
    db.dispose()


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"PatientID": ["0001", "P2"], "StudyInstanceUID": ["1.2.1", "1.2.2"], "Age": [7, 8]})


def end_all(db: Database, job_id: int, status: TaskStatus, counts: TaskCounts) -> None:
    for task_id in unfinished_task_ids(db, job_id):
        claim_task(db, task_id, token="token", lease=60)
        assert finish_task(db, task_id, token="token", status=status, message="", counts=counts)


def test_a_file_is_submitted_and_followed(
    db: Database, frame: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "studies.csv"
    frame.to_csv(path, index=False)

    job = submit_batch(str(path), source="PACS", destination="Export", name="A", excluded_modalities=["SR"])
    assert job.status is JobStatus.PENDING
    assert load(db, Job, job.id).options == TransferOptions(excluded_modalities=("SR",))

    end_all(db, job.id, TaskStatus.SUCCESS, COUNTS)
    assert job.follow().status is JobStatus.SUCCESS
    assert "2 of 2 studies ended" in capsys.readouterr().out


def test_following_a_job_of_which_every_study_failed_raises(db: Database, frame: pd.DataFrame) -> None:
    job = submit_batch(frame, source="PACS", destination="Export")
    end_all(db, job.id, TaskStatus.FAILURE, TaskCounts(planned=1, failed=1))

    with pytest.raises(JobFailed, match="2 of 2 studies failed"):
        job.follow()


def test_a_data_frame_counts_its_rows_like_a_spreadsheet(db: Database, frame: pd.DataFrame) -> None:
    job = submit_batch(frame, source="PACS", destination="Export")

    first = load(db, Task, 1)
    assert (first.patient_id, first.study_instance_uid, first.rows) == ("0001", "1.2.1", (2,))
    tasks = job.tasks()
    assert list(tasks["patient_id"]) == ["0001", "P2"]
    assert list(tasks["rows"]) == [(2,), (3,)]
    assert list(tasks["status"]) == ["PENDING", "PENDING"]


def test_a_data_frame_that_has_made_numbers_of_identifiers_is_refused(
    db: Database, frame: pd.DataFrame
) -> None:
    frame["PatientID"] = [1, 2]

    with pytest.raises(InvalidInput, match=r"PatientID: .*dtype=str"):
        submit_batch(frame, source="PACS", destination="Export")


def test_cells_that_are_missing_in_a_data_frame_are_empty(db: Database, frame: pd.DataFrame) -> None:
    frame["SeriesInstanceUID"] = [None, "1.2.2.1"]

    submit_batch(frame, source="PACS", destination="Export")

    assert [load(db, Task, task_id).series_instance_uids for task_id in (1, 2)] == [(), ("1.2.2.1",)]


@pytest.mark.parametrize("columns", [["PatientID"], ["Age"]])
def test_columns_that_are_missing_are_named(db: Database, frame: pd.DataFrame, columns: list[str]) -> None:
    with pytest.raises(InvalidInput, match="StudyInstanceUID"):
        submit_batch(frame[columns].astype(str), source="PACS", destination="Export")


def test_a_user_can_be_named(db: Database, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    bob, eve = make_user(db, "bob", staff=True), make_user(db, "eve", staff=True)
    with pytest.raises(InvalidInput, match="several staff users"):
        submit_batch(frame, source="PACS", destination="Export")
    with pytest.raises(NotFound, match="nobody"):
        submit_batch(frame, source="PACS", destination="Export", user="nobody")

    monkeypatch.setenv("ADIT_USER", "bob")
    by_environment = submit_batch(frame, source="PACS", destination="Export")
    by_argument = submit_batch(frame, source="PACS", destination="Export", user="eve")

    assert load(db, Job, by_environment.id).owner_id == bob.id
    assert load(db, Job, by_argument.id).owner_id == eve.id


def test_without_tables_a_notebook_is_told_how_to_make_them(data_dir: Path, frame: pd.DataFrame) -> None:
    with pytest.raises(ActionNotPossible, match="adit db upgrade"):
        submit_batch(frame, source="PACS", destination="Export")


def test_picked_studies_are_submitted(db: Database) -> None:
    picked = [PickedStudy("P1", "1.2.1", ("1.2.1.1",))]
    job = submit_studies(picked, source="PACS", destination="Export", excluded_modalities=["SR"])

    assert job.status is JobStatus.PENDING
    assert load(db, Job, job.id).options == TransferOptions(excluded_modalities=("SR",))
    assert load(db, Task, 1).series_instance_uids == ("1.2.1.1",)


def test_a_mass_transfer_is_submitted(db: Database) -> None:
    options = mass_options(include={"modalities": ["CT"]})
    job = submit_mass(options, source="PACS", destination="Export")

    assert load(db, Job, job.id).mass == options
    assert job.tasks()["subject"].iloc[0] == "2024-03-29 23:00 to 2024-03-30 23:00 UTC"
    assert set(job.tasks()["kind"]) == {TaskKind.DISCOVERY}


def test_files_are_submitted(db: Database, data_dir: Path, tmp_path: Path) -> None:
    write_study(ct_study(2, rows=16), tmp_path / "studies")

    job = submit_files([tmp_path / "studies"], destination="Export")

    assert load(db, Job, job.id).source_id is None
    assert list(job.tasks()["planned"]) == [2]
    assert len(list((data_dir / "uploads").glob("*/*.dcm"))) == 2


def test_a_query_is_submitted_and_its_results_are_a_data_frame_for_a_batch(
    db: Database, tmp_path: Path
) -> None:
    spec = ct_study(1, rows=16, patient_id="0001")
    write_study(spec, tmp_path / "studies")
    make_folder(db, "Files", path=str(tmp_path / "studies"))
    question = pd.DataFrame({"PatientID": ["0001", "0002"], "StudyID": ["", ""]})

    job = submit_query(question, source="Files", name="Who")
    assert list(job.results()["Outcome"]) == ["not answered", "not answered"]
    perform(db, job.id)
    found = job.results()

    assert list(found["QueryRow"]) == ["2", "3"]
    assert list(found["Outcome"]) == ["found", "nothing found"]
    assert list(found["StudyInstanceUID"]) == [spec.study_instance_uid, ""]
    assert found.columns[-1] == "StudyID"
    batch = submit_batch(found, source="Files", destination="Export")
    assert list(batch.tasks()["patient_id"]) == ["0001"]
    with pytest.raises(ActionNotPossible, match="no results"):
        batch.results()


def test_a_query_that_asks_nothing_is_refused(db: Database) -> None:
    with pytest.raises(InvalidInput, match="PatientNaem"):
        submit_query(pd.DataFrame({"PatientNaem": ["x"]}), source="PACS")
    with pytest.raises(InvalidInput, match="dtype=str"):
        submit_query(pd.DataFrame({"PatientID": [1]}), source="PACS")


def test_how_studies_are_kept_can_be_told(db: Database) -> None:
    configured = configured_database(get_settings())
    add_project(configured, "Livers", ProjectChanges())
    picked = [PickedStudy("P1", "1.2.1")]
    way: Any = {"source": "PACS", "destination": "Export", "project": "Livers"}
    archive = submit_studies(picked, **way, archive_password="gull harbour 19")
    volumes = submit_studies(
        picked, **way, as_nifti=True, trial_protocol_id="L-2", trial_protocol_name="Livers again"
    )

    sealed = load(db, Job, archive.id).archive_password
    assert sealed is not None
    assert configured.keyring.unseal(sealed) == "gull harbour 19"
    assert load(db, Job, volumes.id).options == TransferOptions(
        as_nifti=True, trial_protocol_id="L-2", trial_protocol_name="Livers again"
    )
