"""Commands about the database, users and nodes, and what all commands have in common."""

import json
from pathlib import Path

import pytest
from sqlmodel import col, select

from adit_core.db import AuditEvent, User
from adit_core.dicom.layout import Names
from adit_core.dicom.node import ArchiveNode, NiftiNode, SidecarContent
from adit_core.services.nodes import get_node, node_value
from adit_core.services.users import check_password
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_folder, make_job, make_server, make_user

PASSWORD = "a long password"
SERVER = ("--ae-title", "PACS", "--host", "pacs.example", "--port", "11112")


def test_without_tables_commands_say_how_to_make_them(empty_cli: CommandLine) -> None:
    assert "adit db upgrade" in empty_cli.error("jobs", "list")["error"]
    assert not empty_cli.data_dir.exists()


def test_a_database_of_another_version_is_no_mystery_either(empty_cli: CommandLine) -> None:
    empty_cli.data_dir.mkdir()
    (empty_cli.data_dir / "adit.sqlite").touch()

    assert "adit db upgrade" in empty_cli.error("users", "list")["error"]


def test_the_upgrade_makes_the_tables(empty_cli: CommandLine) -> None:
    done = empty_cli.json("db", "upgrade")

    assert done == {"database": f"sqlite:///{empty_cli.data_dir}/adit.sqlite"}
    assert empty_cli.db.is_current()
    assert "up to date" in empty_cli.run("db", "upgrade").stdout


def test_a_password_is_read_from_standard_input(cli: CommandLine) -> None:
    added = cli.json("users", "add", "Ada", "--staff", "--password-stdin", typed=f"{PASSWORD}\nrest")

    assert (added["username"], added["is_staff"]) == ("ada", True)
    assert check_password(cli.db, "ada", PASSWORD)


def test_a_password_is_read_from_the_environment(cli: CommandLine) -> None:
    cli.variables["ADIT_PASSWORD"] = PASSWORD

    assert cli.run("users", "add", "ada", "--email", "ada@example.org").stdout == "Added the user ada.\n"
    assert check_password(cli.db, "ada", PASSWORD)


def test_a_password_is_asked_for_twice_and_not_on_standard_output(cli: CommandLine) -> None:
    added = cli.run("users", "add", "ada", "--json", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert json.loads(added.stdout)["username"] == "ada"
    assert PASSWORD not in added.output
    assert check_password(cli.db, "ada", PASSWORD)


def test_a_password_cannot_be_an_argument(cli: CommandLine) -> None:
    assert cli.run("users", "add", "ada", PASSWORD).exit_code == 2
    assert cli.run("users", "add", "ada", f"--password={PASSWORD}").exit_code == 2


def test_what_is_wrong_with_a_user_is_told_with_its_field(cli: CommandLine) -> None:
    cli.variables["ADIT_PASSWORD"] = "short"

    problems = cli.error("users", "add", "no spaces")["problems"]

    assert [problem["field"] for problem in problems] == ["username", "password"]


def test_users_are_listed_without_their_passwords(cli: CommandLine) -> None:
    cli.variables["ADIT_PASSWORD"] = PASSWORD
    cli.run("users", "add", "ada", "--staff")

    (listed,) = cli.json("users", "list")

    assert listed.keys() == {
        "username",
        "full_name",
        "email",
        "is_staff",
        "is_active",
        "needs_approval",
        "notify_by_email",
        "created_at",
    }
    assert "ada" in cli.run("users", "list").stdout


def test_a_user_is_added_in_the_name_of_somebody_once_there_is_somebody(cli: CommandLine) -> None:
    cli.variables["ADIT_PASSWORD"] = PASSWORD
    cli.run("users", "add", "ada", "--staff")
    cli.run("users", "add", "bob")

    with cli.db.reading() as session:
        events = session.exec(select(AuditEvent).order_by(col(AuditEvent.id))).all()
    assert [(event.actor, event.object_id) for event in events] == [("ADIT", "ada"), ("ada", "bob")]


def test_an_account_is_linked_to_whom_the_provider_knows(cli: CommandLine, admin: User) -> None:
    cli.json("users", "add", "ada", "--no-password")
    assert "ADIT_OIDC_ISSUER is not set" in cli.error("users", "link", "ada", "5f0c")["error"]
    issuer = ("--issuer", "https://login.example")

    linked = cli.json("users", "link", "ada", "5f0c", *issuer)

    assert (linked["subject"], linked["linked_by"]) == ("5f0c", "admin")
    assert cli.json("users", "links", "ada") == [linked]
    assert "never" in cli.run("users", "links", "ada").stdout
    assert cli.json("users", "unlink", "ada", "5f0c", *issuer) == []
    assert "is not linked" in cli.error("users", "unlink", "ada", "5f0c", *issuer)["error"]


def test_a_server_is_added_with_what_it_supports(cli: CommandLine, admin: User) -> None:
    added = cli.json(
        *("nodes", "add", "server", "Main PACS", *SERVER, "--no-get", "--no-store", "--move"),
        *("--patient-root", "--calling-ae-title", "ME", "--max-associations", 5),
        "--no-direct-move",
    )

    assert added == {
        "name": "Main PACS",
        "kind": "server",
        "max_associations": 5,
        "ae_title": "PACS",
        "host": "pacs.example",
        "port": 11112,
        "calling_ae_title": "ME",
        "query_root": "PATIENT",
        "services": ["C-FIND", "C-MOVE"],
        "allows_direct_move": False,
        "profile": "",
        "url": "",
        "path": "",
        "storage": None,
        "closed": "",
    }


def test_a_web_server_is_added_with_what_it_supports(cli: CommandLine, admin: User) -> None:
    url = "https://pacs.example/dicom-web"
    added = cli.json("nodes", "add", "web", "Research", url, "--no-stow", "--wado-prefix", "wado")

    assert (added["kind"], added["url"], added["services"]) == ("web", url, ["QIDO-RS", "WADO-RS"])
    assert url in cli.run("nodes", "list").stdout
    assert "reached by DICOMweb" in cli.error("nodes", "echo", "Research")["error"]


def test_nodes_are_added_in_the_name_of_the_acting_user(cli: CommandLine, admin: User) -> None:
    assert cli.run("nodes", "add", "folder", "Export", "/export").stdout == "Added the folder Export.\n"

    with cli.db.reading() as session:
        assert session.exec(select(AuditEvent.actor)).all() == ["admin"]


def test_a_folder_of_archives_is_added_with_a_password_that_is_not_shown(
    cli: CommandLine, admin: User
) -> None:
    cli.variables["ADIT_ARCHIVE_PASSWORD"] = "open sesame"
    templates = (
        "--study",
        "{StudyDate}",
        "--series",
        "{SeriesNumber:03}_{Modality}",
        "--archive",
        "project 7",
    )

    shown = cli.run("nodes", "add", "folder", "Vault", "/vault", "--as", "7z", *templates)

    assert (shown.exit_code, shown.stdout) == (0, "Added the folder Vault.\n")
    value = node_value(cli.db, get_node(cli.db, "Vault"))
    assert value == ArchiveNode(
        "Vault",
        Path("/vault"),
        "open sesame",
        archive="project 7",
        names=Names(patient="", study="{StudyDate}", series="{SeriesNumber:03}_{Modality}"),
    )
    assert "folder (7z)" in cli.run("nodes", "list").stdout
    assert cli.json("nodes", "list")[0]["storage"] == "7z"
    assert "sesame" not in cli.run("nodes", "list", "--json").stdout


def test_a_node_moves_to_another_address(cli: CommandLine, admin: User, tmp_path: Path) -> None:
    cli.run("nodes", "add", "server", "PACS", "--ae-title", "PACS", "--host", "old", "--port", 104)
    cli.run("nodes", "add", "web", "WEB", "http://old/dicom-web")
    cli.run("nodes", "add", "folder", "EXPORT", tmp_path / "old")

    moved = cli.json(
        *("nodes", "change", "PACS", "--host", "new", "--port", 11112, "--ae-title", "PACS2"),
        *("--calling-ae-title", "ADIT2", "--no-direct-move", "--max-associations", 4),
    )
    assert (moved["host"], moved["port"], moved["ae_title"]) == ("new", 11112, "PACS2")
    assert (moved["calling_ae_title"], moved["max_associations"]) == ("ADIT2", 4)
    assert (moved["allows_direct_move"], moved["services"]) == (False, ["C-FIND", "C-GET", "C-STORE"])
    assert cli.json("nodes", "change", "WEB", "--url", "http://new/rs")["url"] == "http://new/rs"
    assert cli.json("nodes", "change", "EXPORT", "--path", tmp_path / "new")["path"] == str(tmp_path / "new")
    assert cli.run("nodes", "change", "EXPORT", "--host", "new").exit_code == 2
    assert "port" in cli.error("nodes", "change", "PACS", "--port", 0)["error"]


def test_the_password_of_archives_is_asked_for(cli: CommandLine, admin: User) -> None:
    added = cli.run("nodes", "add", "folder", "Vault", "/vault", "--as", "zip", typed="a b c\na b c\n")

    assert added.exit_code == 0
    assert "a b c" not in added.output
    value = node_value(cli.db, get_node(cli.db, "Vault"))
    assert isinstance(value, ArchiveNode)
    assert value.password == "a b c"


def test_a_folder_of_volumes_is_added(cli: CommandLine, admin: User) -> None:
    cli.run(
        "nodes", "add", "folder", "Volumes", "/volumes", "--as", "nifti", "--patient", "", "--full-sidecars"
    )

    value = node_value(cli.db, get_node(cli.db, "Volumes"))
    assert value == NiftiNode("Volumes", Path("/volumes"), Names(patient=""), SidecarContent.EVERYTHING)


def test_all_templates_that_cannot_be_used_are_told_at_once(cli: CommandLine, admin: User) -> None:
    wrong = ("--patient", "{PatientName}", "--series", "a/b", "--instance", "")

    problems = cli.error("nodes", "add", "folder", "Export", "/export", *wrong)["problems"]

    assert [problem["field"] for problem in problems] == ["patient", "series", "instance"]


def test_all_that_is_wrong_with_a_server_is_told_at_once(cli: CommandLine, admin: User) -> None:
    wrong = ("--ae-title", "a" * 17, "--host", "no host", "--port", 0)

    problems = cli.error("nodes", "add", "server", "PACS", *wrong)["problems"]

    assert [problem["field"] for problem in problems] == ["ae_title", "host", "port"]


def test_a_name_is_given_to_one_node_only(cli: CommandLine, admin: User) -> None:
    make_server(cli.db, "Export")

    assert "already" in cli.error("nodes", "add", "folder", "Export", "/export")["error"]


def test_nodes_are_listed(cli: CommandLine) -> None:
    assert "no nodes" in cli.run("nodes", "list").stdout

    make_server(cli.db, "PACS", host="pacs.example", port=104)
    make_folder(cli.db, "Export", path="/export")

    assert [node["name"] for node in cli.json("nodes", "list")] == ["Export", "PACS"]
    shown = cli.run("nodes", "list").stdout
    assert "pacs.example:104" in shown
    assert "/export" in shown


def test_only_archives_answer_an_echo(cli: CommandLine) -> None:
    make_folder(cli.db, "Export")

    assert "Export is a folder" in cli.error("nodes", "echo", "Export")["error"]
    assert "Known nodes: Export" in cli.error("nodes", "echo", "PACS")["error"]


def test_without_a_staff_user_there_is_nobody_to_act_for(cli: CommandLine) -> None:
    make_user(cli.db, "ada")
    make_user(cli.db, "closed", staff=True, active=False)

    assert "no staff user" in cli.error("jobs", "list")["error"]


def test_with_several_staff_users_one_must_be_named(cli: CommandLine) -> None:
    ada, _ = make_user(cli.db, "ada", staff=True), make_user(cli.db, "bob", staff=True)
    job = make_job(cli.db, owner=ada)

    assert "several staff users" in cli.error("jobs", "list")["error"]
    assert [row["id"] for row in cli.json("--user", "ada", "jobs", "list")] == [job.id]
    cli.variables["ADIT_USER"] = "bob"
    assert cli.json("jobs", "list") == []


def test_commands_act_for_users_with_an_open_account_only(cli: CommandLine) -> None:
    make_user(cli.db, "ada", active=False)

    assert "closed" in cli.error("--user", "ada", "jobs", "list")["error"]
    assert "no user called bob" in cli.error("--user", "bob", "jobs", "list")["error"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("jobs", "list", "--nonsense"),
        ("jobs", "show"),
        ("jobs", "show", "first"),
        ("jobs", "list", "--status", "DONE"),
        ("find", "PACS", "--from", "yesterday"),
    ],
)
def test_wrong_usage_ends_with_status_2(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    for_people, for_programs = cli.run(*arguments), cli.run(*arguments, "--json")

    assert (for_people.exit_code, for_people.stdout) == (2, "")
    assert "--help" in for_people.stderr
    assert (for_programs.exit_code, for_programs.stdout) == (2, "")
    assert json.loads(for_programs.stderr)["problems"] == []


def test_what_others_wrote_cannot_steer_the_terminal(cli: CommandLine, admin: User, tmp_path: Path) -> None:
    make_job(cli.db, owner=admin, name="[red]\x1b[2J name")

    assert "[red]�[2J name" in cli.run("jobs", "list").stdout
