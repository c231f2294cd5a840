"""`adit nodes policy`, and how the other commands deal with a node that is closed."""

from datetime import UTC, datetime, timedelta

from adit_core.db import JobStatus, User
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_folder, make_job, make_server


def test_a_policy_is_shown_changed_and_taken_back(cli: CommandLine, admin: User) -> None:
    make_server(cli.db)
    nothing = {
        "node": "PACS",
        "open": "always",
        "outside": "finish",
        "instances_per_second": None,
        "find_limit": None,
        "min_free_bytes": None,
        "quota_bytes": None,
        "closed": "",
    }
    assert cli.json("nodes", "policy", "PACS") == nothing

    changed = cli.json(
        *("nodes", "policy", "PACS", "--window", "Mon-Fri 20:00-06:00", "--window", "Sat 00:00-24:00"),
        *("--time-zone", "Europe/Berlin", "--outside", "stop", "--instances-per-second", 20),
    )
    assert changed["open"] == "Mon-Fri 20:00-06:00, Sat 00:00-00:00 (Europe/Berlin)"
    assert (changed["outside"], changed["instances_per_second"]) == ("stop", 20)

    cli.json("nodes", "policy", "PACS", "--window", "always", "--outside", "finish")
    assert cli.json("nodes", "policy", "PACS", "--instances-per-second", 0) == nothing


def test_people_are_told_the_policy_in_sentences(cli: CommandLine, admin: User) -> None:
    make_server(cli.db)
    shown = cli.run("nodes", "policy", "PACS", "--window", "Mon-Sun 00:00-24:00", "--find-limit", 500)
    assert "PACS is open Mon-Sun 00:00-00:00 (UTC)." in shown.stdout
    assert "is finished" in shown.stdout
    assert "At most 500 results to a query." in shown.stdout


def test_a_closed_node_is_told_in_the_list_and_refused_to_those_who_ask(
    cli: CommandLine, admin: User
) -> None:
    make_server(cli.db)
    make_server(cli.db, "OPEN")
    day = datetime.now(UTC) + timedelta(days=3)
    cli.json("nodes", "policy", "PACS", "--window", f"{day:%a} 00:00-00:01")
    closed = {node["name"]: node["closed"] for node in cli.json("nodes", "list")}
    assert closed["OPEN"] == ""
    assert closed["PACS"].startswith("PACS is open ")
    assert cli.error("find", "PACS")["error"] == closed["PACS"]


def test_what_is_no_policy_is_refused(cli: CommandLine, admin: User) -> None:
    make_server(cli.db)
    error = cli.error("nodes", "policy", "PACS", "--window", "at night")
    assert error["problems"][0]["field"] == "window"


def test_space_of_a_folder_is_limited_in_gb(cli: CommandLine, admin: User) -> None:
    make_folder(cli.db)
    limits = cli.json("nodes", "policy", "Export", "--min-free", 50, "--quota", 0.5)
    assert (limits["min_free_bytes"], limits["quota_bytes"]) == (50 * 10**9, 5 * 10**8)
    said = cli.run("nodes", "policy", "Export").stdout
    assert "50 GB stay free on its disk." in said
    assert "It may hold 0.5 GB." in said
    assert cli.error("nodes", "policy", "Export", "--quota", -1)["problems"][0]["field"] == "quota_bytes"


def test_a_node_is_removed_and_one_with_jobs_restored(cli: CommandLine, admin: User) -> None:
    make_job(cli.db, owner=admin, status=JobStatus.SUCCESS)
    make_server(cli.db)
    assert cli.json("nodes", "remove", "PACS") == {"node": "PACS", "outcome": "deleted"}
    assert "its jobs name it" in cli.run("nodes", "remove", "source of admin").stdout
    assert [node["name"] for node in cli.json("nodes", "list", "--retired")] == ["source of admin"]
    assert cli.json("nodes", "restore", "source of admin")["name"] == "source of admin"
    assert cli.json("nodes", "list", "--retired") == []
