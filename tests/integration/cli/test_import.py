"""`adit import` shows what it would do, asks, and does it."""

from adit_core.db import User
from adit_core.services.users import list_users
from tests.integration.cli.conftest import CommandLine
from tests.integration.test_adit_import import DUMP


def test_nothing_is_done_before_somebody_has_seen_it_and_agreed(cli: CommandLine, admin: User) -> None:
    shown = cli.run("import", DUMP, "--dry-run")
    assert shown.exit_code == 0
    assert "Orthanc Test Server 1" in shown.stdout
    assert "This cannot be an AE title" in shown.stdout
    assert "not taken over: 1 batch_transfer.batchtransferjob, 1 sites.site" in shown.stdout

    assert cli.run("import", DUMP, typed="n\n").exit_code == 1
    assert len(list_users(cli.db)) == 1

    done = cli.run("import", DUMP, typed="y\n")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1].startswith("14 new, 0 updated, 1 there already;")
    assert [user.username for user in list_users(cli.db)] == ["admin", "bob", "carol", "dora"]


def test_programs_import_without_a_question_and_into_an_empty_database(cli: CommandLine) -> None:
    assert cli.run("import", DUMP, "--json").exit_code == 2
    report = cli.json("import", DUMP, "--yes")
    assert {item["outcome"] for item in report["items"]} == {"new"}
    assert {problem["pk"] for problem in report["problems"]} >= {"5", "entry 30"}


def test_a_file_that_is_no_dump_is_refused(cli: CommandLine, admin: User) -> None:
    error = cli.error("import", __file__, "--dry-run")
    assert "no JSON" in error["error"]
