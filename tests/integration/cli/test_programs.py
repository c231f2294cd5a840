"""The command line as a program: what it takes over from `make up`, how it starts, how it is interrupted."""

import json
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from adit_core.db import Job, JobStatus, User
from adit_core.db.engine import Database
from adit_core.settings import STACK_ENVIRONMENT
from deployments.stack import free_port
from tests.integration.cli.conftest import CommandLine
from tests.rows import load, make_folder, make_job, make_server, make_user


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


def test_what_make_up_left_is_taken_over(cli: CommandLine, admin: User, tmp_path: Path) -> None:
    elsewhere = Database(f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    elsewhere.upgrade()
    make_user(elsewhere, "somebody")
    elsewhere.dispose()
    (cli.data_dir / STACK_ENVIRONMENT).write_text(f"ADIT_DATABASE_URL='{elsewhere.url}'\n")

    status, stdout, stderr = finished(cli.start("users", "list", "--json"))
    overruled = finished(cli.start("users", "list", "--json", env={"ADIT_DATABASE_URL": cli.db.url}))

    assert (status, stderr) == (0, "")
    assert [user["username"] for user in json.loads(stdout)] == ["somebody"]
    assert [user["username"] for user in json.loads(overruled[1])] == ["admin"]


def test_a_scheduler_that_does_not_answer_is_named_and_the_job_waits(cli: CommandLine, admin: User) -> None:
    make_server(cli.db, "PACS")
    make_folder(cli.db, "Export")
    batch = cli.data_dir / "batch.csv"
    batch.write_text("PatientID;StudyInstanceUID\nP1;1.2.1\n")
    prefect = f"http://127.0.0.1:{free_port()}/api"
    (cli.data_dir / STACK_ENVIRONMENT).write_text(f"PREFECT_API_URL={prefect}\n")

    status, stdout, stderr = finished(
        cli.start("submit", "batch", batch, "--from", "PACS", "--to", "Export", "--json")
    )

    assert status == 0
    assert json.loads(stdout)["status"] == "PENDING"
    assert f"Prefect does not answer at {prefect}" in json.loads(stderr)["warning"]


def test_an_error_is_no_traceback(empty_cli: CommandLine) -> None:
    status, stdout, stderr = finished(empty_cli.start("jobs", "list"))

    assert (status, stdout) == (1, "")
    assert stderr.count("\n") == 1


def test_an_interrupt_ends_watching_but_not_the_job(cli: CommandLine, admin: User) -> None:
    job = make_job(cli.db, owner=admin)
    process = cli.start("jobs", "watch", job.id)
    assert process.stdout is not None
    assert "PENDING" in process.stdout.readline()

    process.send_signal(signal.SIGINT)
    status, stdout, stderr = finished(process)

    assert (status, stderr) == (130, "")
    assert "the job itself was not" in stdout
    assert load(cli.db, Job, job.id).status is JobStatus.PENDING


@pytest.mark.parametrize(
    ("arguments", "needless"),
    [
        (["--help"], {"sqlalchemy", "prefect", "pandas", "pydicom", "pynetdicom"}),
        (["jobs", "list"], {"alembic", "prefect", "pandas", "pydicom", "pynetdicom"}),
        (["nodes", "list"], {"alembic", "prefect", "pandas", "pydicom", "pynetdicom"}),
    ],
)
def test_what_a_command_does_not_need_is_not_imported(
    cli: CommandLine, admin: User, arguments: list[str], needless: set[str]
) -> None:
    script = f"""
import sys
from adit_core.cli import main
sys.argv = ["adit", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(sorted({needless!r} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=cli.variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_told(cli: CommandLine) -> None:
    assert cli.run("--version").stdout == f"{version('adit')}\n"


def test_malformed_settings_are_told_in_one_line(cli: CommandLine, admin: User) -> None:
    wrong = {"ADIT_TASK_TIMEOUT": "soon"}

    for_people = finished(cli.start("jobs", "list", env=wrong))
    for_programs = finished(cli.start("jobs", "list", "--json", env=wrong))

    assert for_people[:2] == for_programs[:2] == (1, "")
    assert for_people[2].startswith("Error: ADIT_TASK_TIMEOUT: ")
    assert for_people[2].count("\n") == 1
    (problem,) = json.loads(for_programs[2])["problems"]
    assert problem["field"] == "ADIT_TASK_TIMEOUT"


def test_a_malformed_database_url_is_told_in_one_line(empty_cli: CommandLine) -> None:
    status, stdout, stderr = finished(
        empty_cli.start("jobs", "list", env={"ADIT_DATABASE_URL": "adit:hunter2"})
    )

    assert (status, stdout) == (1, "")
    assert stderr.startswith("Error: ADIT_DATABASE_URL: ")
    assert stderr.count("\n") == 1
