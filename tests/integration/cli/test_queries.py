"""Batch queries from the command line, without a scheduler."""

import json
from pathlib import Path

import pytest

from adit_core.db import Job, JobKind, User
from adit_core.services.batch_file import read_batch_file
from deployments.demo.studies import write_study
from tests.factories import ct_study
from tests.integration.cli.conftest import CommandLine
from tests.queries import perform, sheet_of
from tests.rows import load, make_folder, make_job

STUDY = ct_study(2, rows=16, key="asked", patient_id="0001", accession_number="A1")


@pytest.fixture
def folder(cli: CommandLine, admin: User, tmp_path: Path) -> str:
    """The name of a node with one study."""
    write_study(STUDY, tmp_path / "studies")
    make_folder(cli.db, "Files", path=str(tmp_path / "studies"))
    return "Files"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two questions, of which the node can answer the first."""
    path = tmp_path / "query.csv"
    path.write_bytes(sheet_of({"PatientID": "0001"}, {"PatientID": "0002"}))
    return path


@pytest.fixture
def answered(cli: CommandLine, folder: str, file: Path) -> int:
    """The id of a query that has ended."""
    job_id = cli.run("submit", "query", file, "--from", folder, "--json")
    number = json.loads(job_id.stdout)["id"]
    perform(cli.db, number)
    return number


def test_a_query_is_submitted_and_waits_for_the_scheduler(cli: CommandLine, folder: str, file: Path) -> None:
    result = cli.run("submit", "query", file, "--source", folder, "--name", "Who")

    assert (result.exit_code, result.stdout) == (0, "Submitted job 1: `adit jobs watch 1`.\n")
    assert result.stderr.startswith("Warning: Job 1: Waits for the scheduler.")
    job = load(cli.db, Job, 1)
    assert (job.kind, job.name) == (JobKind.BATCH_QUERY, "Who")


def test_all_problems_of_a_query_are_told_by_row_and_column(
    cli: CommandLine, folder: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_bytes(sheet_of({"PatientID": "*", "From": ""}, {"PatientID": "P1", "From": "soon"}))

    problems = cli.error("submit", "query", path, "--from", folder)["problems"]

    assert [(problem["row"], problem["field"]) for problem in problems] == [(2, None), (3, "From")]


def test_jobs_speak_of_rows(cli: CommandLine, answered: int) -> None:
    watched = cli.run("jobs", "watch", answered)
    assert watched.exit_code == 3
    assert f"Job {answered} WARNING: 2 of 2 rows ended, 2 of 2 answered" in watched.stdout
    shown = [line.split() for line in cli.run("jobs", "show", answered, "--tasks").stdout.splitlines()]
    assert ["found", "1"] in shown
    assert ["nothing", "found", "1"] in shown
    assert cli.json("jobs", "show", answered, "--tasks")["tasks"][0]["rows"] == [2, 3]
    assert "MB/s" not in cli.run("jobs", "show", answered).stdout


@pytest.mark.parametrize("name", ["results.xlsx", "results.csv"])
def test_results_are_written_for_a_batch_transfer(
    cli: CommandLine, answered: int, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    assert cli.run("jobs", "results", answered, "--output", path).stdout == f"Wrote {path}.\n"

    (study,) = read_batch_file(path).studies
    assert (study.patient_id, study.study_instance_uid) == ("0001", STUDY.study_instance_uid)


def test_results_are_printed(cli: CommandLine, answered: int) -> None:
    printed = cli.run("jobs", "results", answered).stdout_bytes.decode("utf-8-sig").splitlines()
    assert printed[0].startswith("QueryRow,Outcome,Message,Transfer,Pseudonym,PatientID")
    assert printed[1].startswith("2,found,,yes,,0001,")
    assert printed[2].startswith("3,nothing found,,no,,0002,")
    assert [line["Outcome"] for line in cli.json("jobs", "results", answered)] == ["found", "nothing found"]


def test_results_need_a_query_and_a_place(
    cli: CommandLine, admin: User, answered: int, tmp_path: Path
) -> None:
    transfer = make_job(cli.db, owner=admin).id
    assert "asks for nothing" in cli.error("jobs", "results", transfer)["error"]
    assert "There is no job 99." in cli.error("jobs", "results", 99)["error"]
    assert ".xlsx or .csv" in cli.error("jobs", "results", answered, "-o", "results.pdf")["error"]
    nowhere = tmp_path / "nowhere" / "results.csv"
    assert "cannot be written" in cli.error("jobs", "results", answered, "-o", nowhere)["error"]
