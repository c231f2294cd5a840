"""How a job has its studies kept in a folder, and the trial protocol that it writes into data sets."""

from pathlib import Path
from typing import Any

import py7zr
import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Job, JobKind, JobStatus, StorageForm, TransferOptions, User
from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key
from adit_core.errors import InvalidInput
from adit_core.services.jobs import show_job
from adit_core.services.nodes import add_folder
from adit_core.services.preview import preview_studies
from adit_core.services.secret_rotation import rotate_secrets
from adit_core.services.storage import Storage
from adit_core.services.submit_selective import PickedStudy
from adit_core.services.submit_upload import submit_upload
from adit_core.services.uploads import UploadLimits, receive_upload
from adit_core.services.uploads import files_below as open_files
from deployments.demo.specs import StudySpec
from deployments.demo.studies import write_study
from tests.archives import extract
from tests.factories import ct_study, instances_in
from tests.projects import Way, files_below, make_project
from tests.rows import load, make_folder, make_server, make_user
from tests.volumes import read_volume, recorded_instances

PASSWORD = "gull harbour 19 ä"
HEAD = ct_study(3, key="kept head", patient_id="P1")
CHEST = ct_study(4, key="kept chest", patient_id="P2")


@pytest.fixture
def staff(database: Database) -> User:
    return make_user(database, "staff", staff=True)


@pytest.fixture
def way(database: Database, staff: User, tmp_path: Path) -> Way:
    """From a folder of two studies to an empty folder."""
    for name in ("studies", "arrivals"):
        (tmp_path / name).mkdir()
    for spec in (HEAD, CHEST):
        write_study(spec, tmp_path / "studies")
    source = make_folder(database, "Studies", path=str(tmp_path / "studies"))
    destination = make_folder(database, "Arrivals", path=str(tmp_path / "arrivals"))
    return Way(database, staff, source, destination, make_project(database, trial_protocol_id="USUAL"))


def picked(*specs: StudySpec) -> list[PickedStudy]:
    return [PickedStudy(spec.patient_id, spec.study_instance_uid) for spec in specs]


def refusal_of(way: Way, **asked: Any) -> list[tuple[str | None, str]]:
    with pytest.raises(InvalidInput) as refused:
        way.submit(HEAD, **asked)
    return [(problem.field, problem.message) for problem in refused.value.problems]


def test_all_studies_of_a_job_go_into_one_archive_that_only_its_password_opens(
    way: Way, tmp_path: Path
) -> None:
    job, tasks = way.run(way.submit(HEAD, CHEST, project="", archive_password=PASSWORD))

    assert (job.status, [task.delivered for task in tasks]) == (JobStatus.SUCCESS, [3, 4])
    (archive,) = (tmp_path / "arrivals").iterdir()
    assert archive.name == show_job(way.db, way.user, job.id).archive_file == f"job-{job.id}.7z"
    extract(archive, PASSWORD, tmp_path / "extracted")
    assert instances_in(tmp_path / "extracted") == instances_in(tmp_path / "studies")
    with pytest.raises(Exception):  # noqa: B017, PT011 - py7zr has no exception of its own for it
        extract(archive, PASSWORD + "?", tmp_path / "wrong")
    with pytest.raises(py7zr.PasswordRequired), py7zr.SevenZipFile(archive) as encrypted:
        encrypted.getnames()


def test_another_job_makes_an_archive_of_its_own(way: Way, tmp_path: Path) -> None:
    ids = [way.submit(HEAD, project="", archive_password=password) for password in (PASSWORD, "another " * 2)]
    for job_id in ids:
        assert way.run(job_id)[0].status is JobStatus.SUCCESS
    assert sorted(path.name for path in (tmp_path / "arrivals").iterdir()) == [
        f"job-{job_id}.7z" for job_id in ids
    ]


def test_what_goes_into_an_archive_is_pseudonymized_before(way: Way, tmp_path: Path) -> None:
    job, _ = way.run(way.submit(HEAD, pseudonym="HEAD-1", archive_password=PASSWORD))
    extract(tmp_path / f"arrivals/job-{job.id}.7z", PASSWORD, tmp_path / "extracted")
    assert {str(one.PatientID) for one in files_below(tmp_path / "extracted")} == {"HEAD-1"}
    assert all("P1" not in path.parts for path in (tmp_path / "extracted").rglob("*"))


def test_the_password_is_sealed_and_told_nobody(way: Way) -> None:
    request = way.request(archive_password=PASSWORD)
    job_id = way.submit(HEAD, project="", archive_password=PASSWORD)
    way.run(job_id)
    job = load(way.db, Job, job_id)
    assert job.archive_password is not None
    assert way.db.keyring.unseal(job.archive_password) == PASSWORD
    with way.db.reading() as session:
        audited = [str(event.details) for event in session.exec(select(AuditEvent))]
    told = [repr(request), repr(job), job.archive_password.token, repr(show_job(way.db, way.user, job_id))]
    assert not [text for text in (*audited, *told) if "gull" in text]
    assert [text for text in audited if "'in_archive': True" in text]


def test_the_password_survives_a_change_of_keys(way: Way) -> None:
    job_id = way.submit(HEAD, project="", archive_password=PASSWORD)
    key = new_key()
    changed = Database(way.db.url, Keyring((key, *way.db.keyring.keys)))
    rotate_secrets(changed)
    sealed = load(changed, Job, job_id).archive_password
    assert sealed is not None
    assert Keyring((key,)).unseal(sealed) == PASSWORD
    changed.dispose()


@pytest.mark.parametrize("password", ["too short", "x" * 201, "a line\nand another one"])
def test_a_password_that_is_short_long_or_cannot_be_typed_is_refused(way: Way, password: str) -> None:
    (problem,) = refusal_of(way, archive_password=password)
    assert problem == (
        "archive_password",
        "The password of an archive needs 12 to 200 characters that can be typed.",
    )


def test_nifti_volumes_appear_instead_of_files(way: Way, tmp_path: Path) -> None:
    options = TransferOptions(as_nifti=True)
    job, tasks = way.run(way.submit(HEAD, CHEST, project="", options=options))
    assert (job.status, [task.delivered for task in tasks]) == (JobStatus.SUCCESS, [3, 4])
    arrivals = tmp_path / "arrivals"
    assert not list(arrivals.rglob("*.dcm"))
    assert sorted(read_volume(path).shape[2] for path in arrivals.rglob("*.nii.gz")) == [3, 4]
    assert set(recorded_instances(arrivals)) == HEAD.sop_instance_uids() | CHEST.sop_instance_uids()


def test_only_a_folder_of_files_can_be_told_how_it_keeps_studies(way: Way) -> None:
    make_server(way.db, "RESEARCH")
    archives = Storage(StorageForm.ZIP, password="of the folder")
    add_folder(way.db, name="Archives", path="/archives", storage=archives)
    message = "is no folder of DICOM files, so a job cannot change how it keeps studies."
    for name in ("RESEARCH", "Archives"):
        assert refusal_of(way, destination=name, archive_password=PASSWORD) == [
            ("archive_password", f"{name} {message}")
        ]
        assert refusal_of(way, destination=name, options=TransferOptions(as_nifti=True)) == [
            ("as_nifti", f"{name} {message}")
        ]
    both = refusal_of(way, archive_password=PASSWORD, options=TransferOptions(as_nifti=True))
    assert both == [
        ("as_nifti", "A job makes an encrypted archive or NIfTI volumes, not both: choose one of them.")
    ]


def test_a_preview_asks_what_the_job_would_write_to(way: Way) -> None:
    way.run(way.submit(HEAD, project=""))
    studies = picked(HEAD)

    def held(**asked: Any) -> int:
        return preview_studies(
            way.db, way.request(project="", **asked), JobKind.SELECTIVE_TRANSFER, studies
        ).held

    assert held() == 3
    assert held(archive_password=PASSWORD) == 0
    assert held(options=TransferOptions(as_nifti=True)) == 0
    way.run(way.submit(HEAD, project="", options=TransferOptions(as_nifti=True)))
    assert held(options=TransferOptions(as_nifti=True)) == 3


def test_the_trial_protocol_of_a_job_replaces_that_of_the_project(way: Way, tmp_path: Path) -> None:
    options = TransferOptions(trial_protocol_id="LIVER-2", trial_protocol_name="Livers again")
    for submitted in (way.submit(HEAD, options=options), way.submit(CHEST)):
        assert way.run(submitted)[0].status is JobStatus.SUCCESS
    marks = {
        (str(one.ClinicalTrialProtocolID), str(one.ClinicalTrialProtocolName))
        for one in files_below(tmp_path / "arrivals")
    }
    assert marks == {("LIVER-2", "Livers again"), ("USUAL", "")}


@pytest.mark.parametrize(
    ("options", "project", "problem"),
    [
        ({"trial_protocol_id": "T1"}, "", "A trial protocol is written by de-identification"),
        ({"trial_protocol_name": "Livers"}, "Trial", "A trial protocol that has a name needs an ID, too."),
        ({"trial_protocol_id": "a\\b"}, "Trial", "Trial protocols have at most 64 ASCII characters"),
        ({"trial_protocol_id": "é"}, "Trial", "Trial protocols have at most 64 ASCII characters"),
        ({"trial_protocol_id": "x" * 65}, "Trial", "Trial protocols have at most 64 ASCII characters"),
    ],
)
def test_a_trial_protocol_that_cannot_be_written_is_refused(
    way: Way, options: dict[str, Any], project: str, problem: str
) -> None:
    (found,) = refusal_of(way, project=project, options=TransferOptions(**options))
    assert found[1].startswith(problem)


def test_an_upload_goes_into_an_archive_too(way: Way, tmp_path: Path) -> None:
    limits = UploadLimits(total_bytes=1 << 30, files=100)
    files = open_files([tmp_path / "studies"])
    upload = receive_upload(way.db, way.user, files, root=tmp_path / "uploads", limits=limits)
    request = way.request(source=None, project="", archive_password=PASSWORD)
    job, _ = way.run(submit_upload(way.db, way.launcher, request, upload.id))
    extract(tmp_path / f"arrivals/job-{job.id}.7z", PASSWORD, tmp_path / "extracted")
    assert instances_in(tmp_path / "extracted") == instances_in(tmp_path / "studies")
