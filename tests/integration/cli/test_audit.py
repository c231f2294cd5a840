"""`adit audit list` and `adit audit verify`."""

from adit_core.db import User
from adit_core.services.audit_seal import seal_events
from tests.integration.cli.conftest import CommandLine


def test_what_was_done_is_listed(cli: CommandLine, admin: User) -> None:
    cli.run(
        "nodes", "add", "server", "PACS", "--ae-title", "PACS", "--host", "pacs.example.org", "--port", "104"
    )

    (event,) = cli.json("audit", "list", "--kind", "node")

    assert (event["action"], event["actor"], event["object_id"]) == ("node added", "admin", "PACS")
    assert "node added" in cli.run("audit", "list").stdout
    assert cli.json("audit", "list", "--actor", "nobody") == []


def test_the_trail_is_verified_against_a_head_that_was_noted_down(cli: CommandLine, admin: User) -> None:
    cli.json("db", "backup")
    waiting = cli.json("audit", "verify")
    seal_events(cli.db)
    told = cli.run("audit", "verify")
    head = told.stdout.split("Head: ")[1].replace("\n", "").strip()

    assert waiting["waiting"] > 0
    assert told.exit_code == 0
    assert cli.run("audit", "verify", "--head", head).exit_code == 0
    wrong = cli.run("audit", "verify", "--head", f"{head[:-1]}x")
    assert wrong.exit_code == 1
    assert "noted down" in wrong.stdout
    assert "64 hexadecimal digits" in cli.error("audit", "verify", "--head", "1:abc")["error"]
