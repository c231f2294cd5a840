"""Asking a real archive from the command line."""

import json
from pathlib import Path

import pytest

from adit_core.db import StorageForm, User
from deployments.demo.studies import write_study
from deployments.stack import free_port
from tests.factories import ct_study
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_folder, make_server, make_user
from tests.servers import OrthancServer

pytestmark = pytest.mark.system

HEAD = ct_study(2, key="head", patient_id="P1", patient_name="Sample^Anna", accession_number="A1")
FOOT = ct_study(1, key="foot", patient_id="P2", patient_name="Other^Eve", study_date="20230506")


@pytest.fixture
def pacs(cli: CommandLine, admin: User, orthanc_source: OrthancServer, tmp_path: Path) -> str:
    """The name of an archive with two studies."""
    archive = orthanc_source.archive
    archive.load(file for spec in (HEAD, FOOT) for file in write_study(spec, tmp_path / "studies"))
    node = archive.node
    make_server(cli.db, "PACS", ae_title=node.ae_title, host=node.host, port=node.port)
    return "PACS"


def test_an_archive_answers_an_echo(cli: CommandLine, pacs: str) -> None:
    answer = cli.json("nodes", "echo", pacs)

    assert answer["node"] == pacs
    assert answer["seconds"] > 0
    assert cli.run("nodes", "echo", pacs).stdout.startswith("PACS answered after ")


def test_an_archive_that_does_not_answer_is_named(cli: CommandLine, admin: User) -> None:
    port = free_port()
    make_server(cli.db, "Dead", ae_title="DEAD", port=port)

    for command in (("nodes", "echo", "Dead"), ("find", "Dead")):
        assert f"127.0.0.1:{port}" in cli.error(*command)["error"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ((), {HEAD, FOOT}),
        (("--patient-id", "P1"), {HEAD}),
        (("--patient-name", "OTHER*"), {FOOT}),
        (("--accession-number", "A1"), {HEAD}),
        (("--from", "2024-01-01"), {HEAD}),
        (("--until", "20231231"), {FOOT}),
        (("--modality", "CT", "--modality", "MR"), {HEAD, FOOT}),
        (("--modality", "MR"), set()),
        (("--description", "Test*"), {HEAD, FOOT}),
        (("--study", FOOT.study_instance_uid), {FOOT}),
    ],
)
def test_studies_are_found_by_their_keys(
    cli: CommandLine, pacs: str, keys: tuple[str, ...], expected: set
) -> None:
    found = cli.json("find", pacs, *keys)

    assert {study["study_instance_uid"] for study in found} == {spec.study_instance_uid for spec in expected}


def test_each_level_is_told_with_what_identifies_it(cli: CommandLine, pacs: str) -> None:
    study, series = HEAD.study_instance_uid, HEAD.series_instance_uid(0)

    patients = cli.json("find", pacs, "--level", "patient")
    all_series = cli.json("find", pacs, "--level", "series", "--study", study)
    instances = cli.json("find", pacs, "--level", "instance", "--study", study, "--series", series)

    assert {(patient["patient_id"], patient["patient_name"]) for patient in patients} == {
        ("P1", "Sample^Anna"),
        ("P2", "Other^Eve"),
    }
    assert [(one["series_instance_uid"], one["modality"]) for one in all_series] == [(series, "CT")]
    assert {one["sop_instance_uid"] for one in instances} == {HEAD.sop_instance_uid(0, n) for n in range(2)}
    assert {one["study_instance_uid"] for one in (*all_series, *instances)} == {study}


def test_results_are_shown_in_a_table(cli: CommandLine, pacs: str) -> None:
    shown = cli.run("find", pacs).stdout

    assert HEAD.study_instance_uid in shown
    assert "Sample^Anna" in shown
    assert cli.run("find", pacs, "--patient-id", "P9").stdout == "Nothing was found.\n"


def test_a_query_that_was_ended_early_says_so(cli: CommandLine, pacs: str) -> None:
    for_people = cli.run("find", pacs, "--limit", 1)
    for_programs = cli.run("find", pacs, "--limit", 1, "--json")

    assert "There may be more" in for_people.stderr
    assert "There may be more" in json.loads(for_programs.stderr)["warning"]
    assert len(json.loads(for_programs.stdout)) == 1


@pytest.mark.parametrize(
    ("keys", "option"),
    [
        (("--level", "patient", "--modality", "CT"), "--modality"),
        (("--level", "patient", "--from", "2024-01-01"), "--from"),
        (("--series", "1.2"), "--series"),
        (("--level", "series"), "--study"),
        (("--level", "series", "--study", "1.2", "--modality", "CT", "--modality", "MR"), "--modality"),
        (("--level", "instance", "--study", "1.2"), "--series"),
    ],
)
def test_keys_that_do_not_fit_the_level_are_refused(
    cli: CommandLine, pacs: str, keys: tuple[str, ...], option: str
) -> None:
    result = cli.run("find", pacs, *keys)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Invalid value for {option}: " in result.stderr


def test_only_archives_that_the_user_may_use_are_asked(cli: CommandLine, pacs: str) -> None:
    make_user(cli.db, "bob")
    make_folder(cli.db, "Export", storage=StorageForm.NIFTI)

    assert "may not use PACS" in cli.error("--user", "bob", "find", pacs)["error"]
    assert "Export cannot be searched" in cli.error("find", "Export")["error"]
    assert "no node called Moon" in cli.error("find", "Moon")["error"]


def test_an_archive_is_checked(cli: CommandLine, pacs: str, orthanc_source: OrthancServer) -> None:
    url = f"http://127.0.0.1:{orthanc_source.archive.http_port}/dicom-web"

    check = cli.json("nodes", "check", pacs, "--web-url", url)
    shown = cli.run("nodes", "check", pacs, "--web-url", url)

    assert {(each["service"], each["verdict"]) for each in check["server"]["services"]} == {
        ("C-FIND", "supported"),
        ("C-GET", "supported"),
        ("C-MOVE", "supported"),
    }
    assert {each["verdict"] for each in check["web"]} == {"supported"}
    assert [each["about"] for each in check["differences"]] == ["C-MOVE"]
    assert (shown.exit_code, "56 of 56 SOP classes" in shown.stdout) == (0, True)
    assert "C-MOVE: It is supported, but not configured." in shown.stdout


def test_a_check_fails_if_jobs_would_fail(cli: CommandLine, admin: User) -> None:
    make_server(cli.db, "Dead", ae_title="DEAD", port=free_port())

    shown = cli.run("nodes", "check", "Dead")
    for_programs = cli.run("nodes", "check", "Dead", "--json")

    assert (shown.exit_code, for_programs.exit_code) == (1, 1)
    assert "does not answer a C-ECHO" in shown.stdout
    assert [each["about"] for each in json.loads(for_programs.stdout)["differences"]] == ["connection"]


def test_an_archive_that_is_reached_by_dicomweb_is_checked(
    cli: CommandLine, admin: User, orthanc_source: OrthancServer
) -> None:
    url = orthanc_source.archive.web_node.base_url
    cli.json("nodes", "add", "web", "WEB", url, "--no-stow")

    check = cli.json("nodes", "check", "WEB")
    shown = cli.run("nodes", "check", "WEB")

    assert (check["server"], check["folder"]) == (None, None)
    assert [each["service"] for each in check["web"]] == ["QIDO-RS", "WADO-RS", "STOW-RS"]
    assert (shown.exit_code, "STOW-RS: It is supported, but not configured." in shown.stdout) == (0, True)
    assert "C-STORE" not in shown.stdout


def test_a_folder_is_checked_on_this_machine(cli: CommandLine, admin: User, tmp_path: Path) -> None:
    make_folder(cli.db, "Export", path=str(tmp_path))
    make_folder(cli.db, "Volumes", path=str(tmp_path / "away"), storage=StorageForm.NIFTI)

    good, bad = cli.run("nodes", "check", "Export"), cli.run("nodes", "check", "Volumes")

    assert (good.exit_code, "can be read and written on" in good.stdout) == (0, True)
    assert "Nothing differs from its configuration." in good.stdout
    assert (bad.exit_code, "writing: It cannot be written to on" in bad.stdout) == (1, True)
    assert "reading:" not in bad.stdout
    url = "https://pacs.example.org"
    problems = cli.error("nodes", "check", "Export", "--web-url", url)["problems"]
    assert [problem["field"] for problem in problems] == ["web_url"]
