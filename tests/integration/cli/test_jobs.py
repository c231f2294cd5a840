"""Submitting, following and changing jobs from the command line, without a scheduler."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from adit_core.db import (
    Job,
    JobStatus,
    Permission,
    SeriesProgress,
    StorageForm,
    TaskStatus,
    TransferOptions,
    User,
)
from adit_core.services.claims import unfinished_task_ids
from adit_core.services.jobs import list_jobs
from adit_core.services.nodes import list_nodes
from adit_core.services.progress import TaskCounts
from adit_core.services.projects import ProjectChanges, add_project
from adit_core.services.users import get_user
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.integration.cli.conftest import CommandLine, end_task, start_task
from tests.rows import (
    TRANSFERS,
    allow,
    load,
    make_folder,
    make_group,
    make_job,
    make_server,
    make_transfer,
    make_user,
)
from tests.web_pages import set_job

DELIVERED = TaskCounts(planned=3, delivered=2, filtered=1, sent=2, bytes_sent=2_500_000)
FAILED = TaskCounts(planned=3, delivered=1, failed=2, sent=1, bytes_sent=100)


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    path = tmp_path / "batch.csv"
    path.write_text("PatientID,StudyInstanceUID\nP1,1.2.1\nP2,1.2.2\n")
    return path


@pytest.fixture
def nodes(cli: CommandLine, admin: User) -> tuple[str, ...]:
    """The options that name the nodes."""
    make_server(cli.db, "PACS")
    make_folder(cli.db, "Export")
    return "--from", "PACS", "--to", "Export"


@pytest.fixture
def job(cli: CommandLine, admin: User) -> Job:
    """A job of two studies."""
    return make_job(cli.db, studies=2, owner=admin)


def end_all(cli: CommandLine, job: Job, *endings: tuple[TaskStatus, TaskCounts]) -> None:
    for task_id, (status, counts) in zip(unfinished_task_ids(cli.db, job.id), endings, strict=True):
        end_task(cli.db, task_id, status, counts, "1 of it was lost." if counts.failed else "")


def test_a_batch_is_submitted_and_waits_for_the_scheduler(
    cli: CommandLine, nodes: Sequence[str], batch: Path
) -> None:
    options = ("--name", "Study A", "--exclude-modality", "SR", "--no-direct-move")
    result = cli.run("submit", "batch", batch, *nodes, *options)

    assert (result.exit_code, result.stdout) == (0, "Submitted job 1: `adit jobs watch 1`.\n")
    assert result.stderr.startswith("Warning: Job 1: Waits for the scheduler.")
    assert "make up" in result.stderr
    submitted = load(cli.db, Job, 1)
    assert submitted.name == "Study A"
    assert submitted.options == TransferOptions(excluded_modalities=("SR",), direct_move=False)


def test_a_submitted_job_is_told_to_programs_and_the_warning_too(
    cli: CommandLine, nodes: Sequence[str], batch: Path
) -> None:
    result = cli.run("submit", "batch", batch, *nodes, "--urgent", "--json")

    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["id"], told["urgent"], told["source"], told["destination"]) == (1, True, "PACS", "Export")
    assert told["progress"]["tasks"] == {"PENDING": 2}
    assert json.loads(result.stderr).keys() == {"warning"}


def test_all_problems_of_a_batch_are_told_by_row_and_column(
    cli: CommandLine, nodes: Sequence[str], batch: Path
) -> None:
    batch.write_text("PatientID,StudyInstanceUID\nP1,1.2.x\n,1.2.2\n")

    problems = cli.error("submit", "batch", batch, *nodes)["problems"]
    shown = cli.run("submit", "batch", batch, *nodes).stderr

    assert [(problem["row"], problem["field"]) for problem in problems] == [
        (2, "StudyInstanceUID"),
        (3, "PatientID"),
    ]
    header, first, second = (line for line in shown.splitlines() if line.startswith(("row", "2 ", "3 ")))
    assert header.split() == ["row", "column", "message"]
    assert first.split()[:2] == ["2", "StudyInstanceUID"]
    assert second.split()[:2] == ["3", "PatientID"]
    assert cli.json("jobs", "list") == []


def test_a_batch_needs_a_file_and_known_nodes(
    cli: CommandLine, nodes: Sequence[str], batch: Path, tmp_path: Path
) -> None:
    assert (
        "missing.csv cannot be read"
        in cli.error("submit", "batch", tmp_path / "missing.csv", *nodes)["error"]
    )
    unknown = cli.error("submit", "batch", batch, "--from", "PACS", "--to", "Moon")["error"]
    assert "no node called Moon" in unknown
    make_folder(cli.db, "Vault", storage=StorageForm.NIFTI)
    reverse = cli.error("submit", "batch", batch, "--from", "Vault", "--to", "PACS")["error"]
    assert "Vault holds no DICOM files" in reverse


def test_jobs_are_listed_newest_first(
    cli: CommandLine, admin: User, nodes: Sequence[str], batch: Path
) -> None:
    assert cli.run("jobs", "list").stdout == "No jobs.\n"

    for name in ("first", "second"):
        cli.run("submit", "batch", batch, *nodes, "--name", name)
    theirs = make_job(cli.db, owner=make_user(cli.db, "bob")).id

    assert [job["name"] for job in cli.json("jobs", "list")] == ["second", "first"]
    assert [job["id"] for job in cli.json("jobs", "list", "--all")] == [theirs, 2, 1]
    assert [job["id"] for job in cli.json("jobs", "list", "--limit", 1)] == [2]
    assert [job["id"] for job in cli.json("jobs", "list", "--before", 2)] == [1]
    assert [job["id"] for job in cli.json("jobs", "list", "--status", "pending")] == [2, 1]
    assert cli.json("jobs", "list", "--status", "success", "--status", "FAILURE") == []
    assert "first" in cli.run("jobs", "list").stdout


def test_only_staff_see_the_jobs_of_others(cli: CommandLine, job: Job) -> None:
    make_user(cli.db, "bob")

    assert "Only staff" in cli.error("--user", "bob", "jobs", "list", "--all")["error"]
    assert f"no job {job.id}" in cli.error("--user", "bob", "jobs", "show", job.id)["error"]


def test_a_job_is_shown_with_the_group_that_it_is_for(cli: CommandLine, admin: User) -> None:
    group = make_group(cli.db, admin)
    job = make_job(cli.db, owner=admin, group_id=group.id)

    assert cli.json("jobs", "show", job.id)["group"] == group.name
    assert group.name in cli.run("jobs", "show", job.id).stdout


def test_a_job_is_shown(cli: CommandLine, job: Job) -> None:
    assert cli.json("jobs", "show", job.id)["status"] == "PENDING"
    shown = cli.run("jobs", "show", job.id).stdout
    assert f"Job {job.id}  source of admin → destination of admin  PENDING" in shown
    assert "0/2" in shown


def test_what_became_of_every_study_is_shown(cli: CommandLine, job: Job) -> None:
    end_all(cli, job, (TaskStatus.SUCCESS, DELIVERED), (TaskStatus.FAILURE, FAILED))

    told = cli.json("jobs", "show", job.id, "--tasks")
    shown = cli.run("jobs", "show", job.id, "--tasks").stdout

    assert told["job"]["status"] == "WARNING"
    assert [task["status"] for task in told["tasks"]] == ["SUCCESS", "FAILURE"]
    assert told["tasks"][0]["modalities"] == ["CT"]
    assert "claim_token" not in told["tasks"][0]
    rows = [line.split() for line in shown.splitlines()]
    assert ["2", "1.2.1", "CT", "SUCCESS", "3", "2", "1", "0", "2", "2.5"] in rows
    assert ["3", "1.2.2", "CT", "FAILURE", "3", "1", "0", "2", "1", "0.0"] in rows
    assert ["2", "studies", "6", "3", "1", "2", "3", "2.5"] in rows
    assert "row 3: 1.2.2: 1 of it was lost." in shown
    assert "P1" not in shown


def test_what_became_of_every_study_is_a_spreadsheet(cli: CommandLine, job: Job, tmp_path: Path) -> None:
    end_all(cli, job, (TaskStatus.SUCCESS, DELIVERED), (TaskStatus.FAILURE, FAILED))
    path = tmp_path / "studies.csv"

    assert cli.json("jobs", "show", job.id, "--output", path) == {"output": str(path)}

    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    told = [(line["Row"], line["Status"], line["StudyInstanceUID"], line["Delivered"]) for line in lines]
    assert told == [("2", "SUCCESS", "1.2.1", "2"), ("3", "FAILURE", "1.2.2", "1")]
    assert ".xlsx or .csv" in cli.error("jobs", "show", job.id, "-o", "studies.pdf")["error"]


@pytest.mark.parametrize(
    ("endings", "status", "exit_status"),
    [
        ([(TaskStatus.SUCCESS, DELIVERED), (TaskStatus.SUCCESS, DELIVERED)], "SUCCESS", 0),
        ([(TaskStatus.SUCCESS, DELIVERED), (TaskStatus.FAILURE, FAILED)], "WARNING", 3),
        ([(TaskStatus.FAILURE, FAILED), (TaskStatus.FAILURE, FAILED)], "FAILURE", 4),
        ([(TaskStatus.SUCCESS, DELIVERED), (TaskStatus.CANCELED, FAILED)], "CANCELED", 5),
    ],
)
def test_watching_ends_with_a_status_that_says_how_the_job_ended(
    cli: CommandLine,
    job: Job,
    endings: Sequence[tuple[TaskStatus, TaskCounts]],
    status: str,
    exit_status: int,
) -> None:
    end_all(cli, job, *endings)

    for_people = cli.run("jobs", "watch", job.id)
    for_programs = cli.run("jobs", "watch", job.id, "--json")

    assert for_people.exit_code == for_programs.exit_code == exit_status
    assert f"Job {job.id} {status}: 2 of 2 studies ended" in for_people.stdout
    assert json.loads(for_programs.stdout)["status"] == status
    assert for_programs.stderr == ""


def test_a_job_that_does_not_exist_cannot_be_watched(cli: CommandLine, admin: User) -> None:
    assert cli.error("jobs", "watch", 7) == {"error": "There is no job 7.", "problems": []}


def test_a_canceled_job_can_be_resumed(cli: CommandLine, job: Job) -> None:
    assert cli.run("jobs", "cancel", job.id).stdout == f"Job {job.id} is CANCELED.\n"
    assert "can be canceled; this one is CANCELED" in cli.error("jobs", "cancel", job.id)["error"]

    resumed = cli.run("jobs", "resume", job.id)

    assert (resumed.exit_code, resumed.stdout) == (0, f"Job {job.id} is PENDING.\n")
    assert "Waits for the scheduler." in resumed.stderr


def test_a_running_job_is_being_canceled(cli: CommandLine, job: Job) -> None:
    start_task(cli.db, unfinished_task_ids(cli.db, job.id)[0], DELIVERED)

    assert cli.json("jobs", "cancel", job.id)["status"] == "CANCELING"


def test_failed_studies_can_be_tried_again(cli: CommandLine, job: Job) -> None:
    assert "Only failed tasks can be tried again" in cli.error("jobs", "retry", job.id)["error"]
    end_all(cli, job, (TaskStatus.SUCCESS, DELIVERED), (TaskStatus.FAILURE, FAILED))

    retried = cli.run("jobs", "retry", job.id, "--json")

    assert json.loads(retried.stdout)["progress"]["tasks"] == {"PENDING": 1, "SUCCESS": 1}
    assert "Waits for the scheduler." in json.loads(retried.stderr)["warning"]


def test_the_reconciler_says_that_it_needs_the_scheduler(cli: CommandLine) -> None:
    assert cli.run("reconcile").exit_code == 0, "there is nothing to repair"
    make_job(cli.db, flow_run_id=str(uuid4()))

    assert "make up" in cli.error("reconcile")["error"]


def test_the_reconciler_tells_of_jobs_that_wait_for_the_scheduler(cli: CommandLine, admin: User) -> None:
    job = make_job(cli.db)

    assert cli.run("reconcile").stdout == (
        "There was nothing to repair. "
        "Jobs that wait for the scheduler, or for a node: 1; each says for which.\n"
    )
    assert cli.json("reconcile")["jobs_waiting"] == 1
    assert "Waits for the scheduler." in cli.json("jobs", "show", job.id)["message"]


def test_studies_and_series_are_picked_by_their_uids(cli: CommandLine, nodes: Sequence[str]) -> None:
    picked = ("--patient-id", "P1", "--study", "1.2.1", "--study", "1.2.2:1.2.2.1:1.2.2.2")
    result = cli.run("submit", "studies", *picked, *nodes)

    assert (result.exit_code, result.stdout) == (0, "Submitted job 1: `adit jobs watch 1`.\n")
    tasks = cli.json("jobs", "show", 1, "--tasks")["tasks"]
    assert [(task["study_instance_uid"], task["series_instance_uids"]) for task in tasks] == [
        ("1.2.1", []),
        ("1.2.2", ["1.2.2.1", "1.2.2.2"]),
    ]
    assert "numbers with dots" in cli.error("submit", "studies", *picked, "--study", "x", *nodes)["error"]


def test_a_mass_transfer_takes_a_file_and_options_that_pass_it(
    cli: CommandLine, nodes: Sequence[str], tmp_path: Path
) -> None:
    file = tmp_path / "mass.yaml"
    file.write_text(
        "first_day: 2024-01-01\nlast_day: 2024-01-31\ninclude: {modalities: [CT], series_numbers: [1]}\n"
    )
    passing = ("--last-day", "2024-01-02", "--modality", "mr", "--modality", "sr", "--max-age", "17")

    result = cli.run("submit", "mass", file, *nodes, *passing, "--exclude-institution", "/foo|bar/")

    assert (result.exit_code, result.stdout) == (0, "Submitted job 1: `adit jobs watch 1`.\n")
    mass = load(cli.db, Job, 1).mass
    assert mass is not None
    assert (str(mass.first_day), str(mass.last_day), mass.max_age) == ("2024-01-01", "2024-01-02", 17)
    assert (mass.include.modalities, mass.include.series_numbers) == (("MR", "SR"), (1,))
    assert mass.exclude.institutions == ("/foo|bar/",)
    assert [task["kind"] for task in cli.json("jobs", "show", 1, "--tasks")["tasks"]] == ["discovery"] * 2
    assert "2024-01-01 00:00 to 2024-01-02 00:00 UTC" in cli.run("jobs", "show", 1, "--tasks").stdout


def test_problems_of_a_mass_transfer_name_their_fields(cli: CommandLine, nodes: Sequence[str]) -> None:
    wrong = ("--first-day", "2024-01-02", "--last-day", "2024-01-01", "--series-description", "/(/")
    problems = cli.error("submit", "mass", *nodes, *wrong)["problems"]
    assert [problem["field"] for problem in problems] == ["last_day", "include.series_descriptions.0"]


def test_files_of_this_machine_are_uploaded_and_submitted(
    cli: CommandLine, nodes: Sequence[str], tmp_path: Path
) -> None:
    write_study(ct_study(2, rows=16), tmp_path / "studies")
    (tmp_path / "studies" / "notes.txt").write_text("no DICOM at all")

    result = cli.run("submit", "upload", tmp_path / "studies", "--to", "Export")

    assert (result.exit_code, result.stdout) == (0, "Submitted job 1: `adit jobs watch 1`.\n")
    assert "notes.txt: this is no DICOM file" in result.stderr
    assert [task["planned"] for task in cli.json("jobs", "show", 1, "--tasks")["tasks"]] == [2]
    assert len(list((cli.data_dir / "uploads").glob("*/*.dcm"))) == 2
    assert "cannot be read" in cli.error("submit", "upload", tmp_path / "missing", "--to", "Export")["error"]


def test_a_transfer_of_each_kind_can_be_previewed(cli: CommandLine, admin: User, tmp_path: Path) -> None:
    spec = ct_study(2, rows=16)
    for name in ("source", "arrivals"):
        (tmp_path / name).mkdir()
        make_folder(cli.db, name, path=str(tmp_path / name))
    write_study(spec, tmp_path / "source")
    batch = tmp_path / "batch.csv"
    batch.write_text(f"PatientID,StudyInstanceUID\n{spec.patient_id},{spec.study_instance_uid}\n")
    nodes = ("--from", "source", "--to", "arrivals", "--preview")
    picked = ("--patient-id", spec.patient_id, "--study", spec.study_instance_uid)
    days = ("--first-day", "2024-01-02", "--last-day", "2024-01-02")

    for arguments in (
        ("batch", batch, *nodes),
        ("studies", *picked, *nodes),
        ("mass", *days, *nodes),
        ("upload", tmp_path / "source", *nodes[2:]),
    ):
        told = cli.json("submit", *arguments)
        assert [study["study_instance_uid"] for study in told["studies"]] == [spec.study_instance_uid]
        assert "1 studies with 1 series and 2 instances" in cli.run("submit", *arguments).stdout

    assert cli.json("jobs", "list") == []
    assert list((tmp_path / "arrivals").iterdir()) == []
    assert list((cli.data_dir / "uploads").iterdir()) == []


def test_jobs_of_a_user_who_needs_approval_wait_until_staff_approve_them(
    cli: CommandLine, nodes: Sequence[str], batch: Path
) -> None:
    added = cli.json("users", "add", "eve", "--needs-approval", "--password-stdin", typed="a long password\n")
    assert added["needs_approval"]
    _let_transfer(cli, "eve")

    submitted = cli.run("--user", "eve", "submit", "batch", batch, *nodes)

    assert "Warning: Job 1: Waits for the approval of a member of staff." in submitted.stderr
    assert cli.json("jobs", "show", 1)["status"] == "UNVERIFIED"
    assert "Only staff may do this" in cli.error("--user", "eve", "jobs", "verify", 1)["error"]
    task_ids = [task["id"] for task in cli.json("jobs", "show", 1, "--tasks")["tasks"]]
    verified = cli.run("--user", "admin", "jobs", "verify", 1, "--task", task_ids[0])
    assert verified.stdout == "Job 1 is PENDING.\n"
    assert cli.json("jobs", "show", 1)["progress"]["tasks"] == {"PENDING": 1, "CANCELED": 1}


def test_a_job_is_looked_ahead_at_before_it_is_approved(
    cli: CommandLine, admin: User, tmp_path: Path
) -> None:
    studies = [ct_study(2, key="first ahead", rows=16), ct_study(3, key="second ahead", rows=16)]
    for study in studies:
        write_study(study, tmp_path / "archive")
    (tmp_path / "out").mkdir()
    source, destination = (
        make_folder(cli.db, name, path=str(tmp_path / name)) for name in ("archive", "out")
    )
    eve = make_user(cli.db, "eve")
    job = make_transfer(cli.db, eve, source, destination, studies)
    assert "does not wait for approval" in cli.error("jobs", "preview", job.id)["error"]
    set_job(cli.db, job, status=JobStatus.UNVERIFIED)
    second = max(unfinished_task_ids(cli.db, job.id))

    whole = cli.run("jobs", "preview", job.id)
    part = cli.json("jobs", "preview", job.id, "--task", second)

    assert "2 studies with 2 series and 5 instances" in whole.stdout
    assert [study["study_instance_uid"] for study in part["studies"]] == [studies[1].study_instance_uid]
    assert "has no task 4711" in cli.error("jobs", "preview", job.id, "--task", 4711)["error"]
    assert "staff" in cli.error("--user", "eve", "jobs", "preview", job.id)["error"]
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_query_asks_is_told_before_it_is_approved(
    cli: CommandLine, nodes: Sequence[str], tmp_path: Path
) -> None:
    sheet = tmp_path / "query.csv"
    sheet.write_text("PatientID,StudyDescription\n0012,/knee/\n")
    cli.run("submit", "query", sheet, "--from", "PACS")
    set_job(cli.db, load(cli.db, Job, 1), status=JobStatus.UNVERIFIED)

    assert "1 rows. Nothing was asked." in cli.run("jobs", "preview", 1).stdout
    (row,) = cli.json("jobs", "preview", 1)["rows"]
    assert (row["asked"], row["sifted"]) == (["PatientID"], ["StudyDescription"])


def test_a_user_can_be_trusted_later(cli: CommandLine, nodes: Sequence[str], batch: Path) -> None:
    cli.run("users", "add", "eve", "--needs-approval", "--password-stdin", typed="a long password\n")
    _let_transfer(cli, "eve")

    changed = cli.json("users", "change", "eve", "--no-needs-approval")

    assert not changed["needs_approval"]
    cli.run("--user", "eve", "submit", "batch", batch, *nodes)
    assert cli.json("jobs", "show", 1)["status"] == "PENDING"


def test_a_job_is_deleted(cli: CommandLine, job: Job) -> None:
    assert cli.run("jobs", "delete", job.id).stdout == f"Deleted job {job.id}.\n"
    assert cli.json("jobs", "list") == []


def test_a_job_is_made_urgent_and_restarted(cli: CommandLine, job: Job) -> None:
    assert cli.run("jobs", "urgent", job.id).stdout == f"Job {job.id} is PENDING.\n"
    assert "It is urgent already" in cli.error("jobs", "urgent", job.id)["error"]
    end_all(cli, job, (TaskStatus.SUCCESS, DELIVERED), (TaskStatus.SUCCESS, DELIVERED))
    restarted = json.loads(cli.run("jobs", "restart", job.id, "--json").stdout)
    assert (restarted["status"], restarted["urgent"], restarted["run_number"]) == ("PENDING", True, 3)


def test_single_tasks_are_reset_deleted_and_killed(cli: CommandLine, job: Job) -> None:
    first, second = unfinished_task_ids(cli.db, job.id)
    end_task(cli.db, first, TaskStatus.FAILURE, FAILED)

    assert cli.run("tasks", "reset", first).stdout == f"Task {first} begins anew.\n"
    assert cli.run("tasks", "delete", second).stdout == f"Task {second} is deleted.\n"
    assert "only task of its job" in cli.error("tasks", "delete", first)["error"]
    start_task(cli.db, first, DELIVERED)
    assert cli.run("tasks", "kill", first).stdout == f"Task {first} is being ended.\n"
    assert cli.error("tasks", "kill", 12345)["error"] == "There is no task 12345."


def test_the_history_of_a_job_is_told_in_order(cli: CommandLine, job: Job) -> None:
    first, second = unfinished_task_ids(cli.db, job.id)
    end_task(cli.db, first, TaskStatus.FAILURE, FAILED, "1 of it was lost.")
    cli.run("jobs", "cancel", job.id)

    told = cli.json("jobs", "history", job.id)

    assert [(event["task_id"], event["status"], event["actor"]) for event in told] == [
        (first, "IN_PROGRESS", None),
        (None, "IN_PROGRESS", None),
        (first, "FAILURE", None),
        (None, None, "admin"),
        (second, "CANCELED", "admin"),
        (None, "CANCELED", None),
    ]
    assert [event["id"] for event in told] == sorted(event["id"] for event in told)
    assert cli.json("jobs", "history", job.id, "--task", second) == [told[4]]
    assert cli.json("jobs", "history", job.id, "--after", told[1]["id"], "--limit", 2) == told[2:4]
    shown = cli.run("jobs", "history", job.id).stdout
    assert "1 of it was lost." in shown
    assert "P1" not in shown


def _let_transfer(cli: CommandLine, username: str) -> None:
    """Let a user transfer between all nodes."""
    group = make_group(
        cli.db,
        get_user(cli.db, username),
        permissions=(*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED),
    )
    for node in list_nodes(cli.db):
        allow(cli.db, group, node, as_source=True, as_destination=True)


def test_series_are_told_with_their_state(cli: CommandLine, job: Job, tmp_path: Path) -> None:
    assert "No series is known" in cli.run("jobs", "series", job.id).stdout
    with cli.db.session() as session:
        session.add(SeriesProgress(task_id=1, series_instance_uid="1.2.1.1", modality="CT", planned=3))
        session.commit()

    assert "waiting" in cli.run("jobs", "series", job.id).stdout
    (told,) = json.loads(cli.run("jobs", "series", job.id, "--json").stdout)
    assert (told["series_instance_uid"], told["state"]) == ("1.2.1.1", "waiting")
    cli.run("jobs", "series", job.id, "--output", tmp_path / "series.csv")
    assert "1.2.1.1" in (tmp_path / "series.csv").read_text()


def test_only_a_mass_transfer_searches_again(cli: CommandLine, job: Job) -> None:
    end_all(cli, job, (TaskStatus.SUCCESS, DELIVERED), (TaskStatus.SUCCESS, DELIVERED))

    result = cli.run("jobs", "search-again", job.id)

    assert result.exit_code != 0
    assert "Only a mass transfer looks for studies." in result.stderr


def test_what_a_query_asks_is_told_without_asking(
    cli: CommandLine, nodes: Sequence[str], tmp_path: Path
) -> None:
    sheet = tmp_path / "query.csv"
    sheet.write_text("PatientID,StudyDescription\n0012,/knee/\n")

    result = cli.run("submit", "query", sheet, "--from", "PACS", "--preview")

    assert (result.exit_code, list_jobs(cli.db, get_user(cli.db, "admin"), all_users=True)) == (0, [])
    assert "PatientID" in result.stdout
    assert "1 rows. Nothing was asked." in result.stdout


def test_a_job_may_make_an_encrypted_archive_whose_password_is_asked_for(
    cli: CommandLine, nodes: Sequence[str], batch: Path
) -> None:
    password = "gull harbour 19"
    cli.run("submit", "batch", batch, *nodes, "--archive", typed=f"{password}\n{password}\n")

    sealed = load(cli.db, Job, 1).archive_password
    assert sealed is not None
    assert cli.db.keyring.unseal(sealed) == password
    assert cli.json("jobs", "show", "1")["archive_file"] == "job-1.7z"
    shown = cli.run("jobs", "show", "1").stdout
    assert "job-1.7z" in shown
    assert password not in shown


def test_a_job_may_make_volumes_and_name_a_trial_protocol(
    cli: CommandLine, nodes: Sequence[str], batch: Path
) -> None:
    add_project(cli.db, "Livers", ProjectChanges())
    trial = ("--trial-protocol-id", "L-2", "--trial-protocol-name", "Livers again")
    cli.run("submit", "batch", batch, *nodes, "--project", "Livers", "--nifti", *trial)

    options = load(cli.db, Job, 1).options
    assert (options.as_nifti, options.trial_protocol_id, options.trial_protocol_name) == (
        True,
        "L-2",
        "Livers again",
    )
    assert "L-2 Livers again" in cli.run("jobs", "show", "1").stdout
