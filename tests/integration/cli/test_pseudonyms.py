"""Commands about projects, links and held images."""

from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import Task
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.factories import study
from tests.fakes.launcher import FakeLauncher
from tests.integration.cli.conftest import CommandLine
from tests.queries import perform
from tests.rows import make_folder, make_user

SCAN = study(
    SeriesSpec(Form.CT, 2, "Axial", 16, 16),
    SeriesSpec(Form.US_CINE, 1, "Cine", 24, 32, frames=2),
    patient_id="PID4711",
    key="pseudonyms by command",
)


@pytest.fixture
def folders(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """A command line whose jobs go from a folder with a study to another one; no scheduler is there."""
    make_user(cli.db, "root", staff=True)
    write_study(SCAN, tmp_path / "studies")
    (tmp_path / "arrivals").mkdir()
    make_folder(cli.db, "PACS", path=str(tmp_path / "studies"))
    make_folder(cli.db, "Export", path=str(tmp_path / "arrivals"))
    for module in ("submit", "held"):
        monkeypatch.setattr(f"adit_core.cli.{module}.scheduler", FakeLauncher)
    return cli


def submit(cli: CommandLine, *options: str) -> int:
    """Submit the study and return the number of the job."""
    study_options = ("--study", SCAN.study_instance_uid, "--patient-id", SCAN.patient_id)
    nodes = ("--from", "PACS", "--to", "Export")
    return cli.json("submit", "studies", *study_options, *nodes, *options)["id"]


def test_projects_are_managed(cli: CommandLine, tmp_path: Path) -> None:
    make_user(cli.db, "root", staff=True)
    assert "no projects yet" in cli.run("projects", "list").stdout
    added = cli.json("projects", "add", "Trial", "--trial-protocol-id", "T1")
    assert (added["name"], added["profile"]["name"], added["pseudonyms"]) == ("Trial", "research", "keyed")
    assert "secret" not in added
    own = tmp_path / "own.yaml"
    own.write_text("name: own\noptions: [retain uids]\n")
    problem = cli.error("projects", "change", "Trial", "--profile", own)["problems"]
    assert problem[0]["field"].startswith("options")
    own.write_text("name: own\noptions: [retain UIDs]\n")
    assert cli.json("projects", "change", "Trial", "--profile", own)["profile"]["options"] == ["retain UIDs"]
    assert (
        "There is no profile nonsense" in cli.error("projects", "add", "B", "--profile", "nonsense")["error"]
    )
    assert "own 1" in cli.run("projects", "list").stdout
    assert "no group called readers" in cli.error("projects", "allow", "Trial", "readers")["error"]
    assert cli.json("projects", "remove", "Trial") == {"removed": "Trial"}


def test_from_a_project_to_who_was_who(folders: CommandLine, tmp_path: Path) -> None:
    folders.json("projects", "add", "Trial")
    tried = folders.run(
        *("projects", "dry-run", "Trial", "--from", "PACS"),
        *("--study", SCAN.study_instance_uid, "--patient-id", SCAN.patient_id),
    )
    assert "PatientName" in tried.stdout
    assert "held back" in tried.stdout

    job_id = submit(folders, "--project", "Trial", "--pseudonym", "ANON1")
    perform(folders.db, job_id)
    (held,) = folders.json("held", "list")
    assert (held["job_id"], held["pseudonym"]) == (job_id, "ANON1")
    picture = tmp_path / "picture.png"
    folders.json("held", "show", held["id"], "-o", picture, "--frame", 2, "--blank", "32x8+0+0")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "is no region" in folders.error("held", "release", held["id"], "--blank", "all")["error"]
    folders.json("held", "release", held["id"], "--blank", "32x8+0+0")
    perform(folders.db, job_id)
    with folders.db.reading() as session:
        (task,) = session.exec(select(Task))
    assert (task.delivered, task.filtered) == (3, 0)
    assert folders.run("held", "list").stdout == "No instance waits for a reviewer.\n"

    (found,) = folders.json("links", "find", "Trial", "ANON1")
    assert found["patient_id"] == SCAN.patient_id
    assert found["studies"][0]["study_instance_uid"] == SCAN.study_instance_uid
    sheet = tmp_path / "links.csv"
    folders.json("links", "export", "Trial", "--output", sheet)
    assert SCAN.patient_id in sheet.read_text("utf-8-sig")
    refused = folders.run("links", "delete", "Trial")
    assert refused.exit_code == 2
    assert folders.run("links", "delete", "Trial", "--everybody", typed="n\n").exit_code == 1
    assert folders.json("links", "delete", "Trial", "ANON1", "--yes") == {"patients": 1}
    assert folders.json("links", "find", "Trial", "ANON1") == []


def test_a_held_instance_is_rejected(folders: CommandLine) -> None:
    folders.json("projects", "add", "Trial")
    perform(folders.db, submit(folders, "--project", "Trial"))
    (held,) = folders.json("held", "list")
    assert folders.run("held", "reject", held["id"]).stdout == "Rejected 1 instances.\n"
    assert folders.json("held", "list", "--status", "rejected")[0]["id"] == held["id"]
    assert "There is no held instance 99" in folders.error("held", "reject", 99)["error"]
