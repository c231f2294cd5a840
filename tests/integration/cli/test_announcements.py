"""`adit announcements` and `adit maintenance`."""

from adit_core.db import User
from adit_core.services.maintenance import maintenance_now
from tests.integration.cli.conftest import CommandLine


def test_announcements_are_added_listed_and_removed(cli: CommandLine, admin: User) -> None:
    assert "no announcements" in cli.run("announcements", "list").output
    made = cli.json("announcements", "add", "The PACS moves.", "--hours", 2, "--importance", "warning")

    assert "The PACS moves." in cli.run("announcements", "list").output
    assert cli.json("announcements", "list") == [made]
    cli.json("announcements", "remove", made["id"])
    assert cli.json("announcements", "list") == []
    assert "no announcement" in cli.error("announcements", "remove", made["id"])["error"]


def test_maintenance_mode_is_switched(cli: CommandLine, admin: User) -> None:
    assert cli.json("maintenance", "on", "Back at 20:00.")["is_on"]
    assert "Back at 20:00." in cli.run("maintenance", "show").output

    assert not cli.json("maintenance", "off")["is_on"]
    assert maintenance_now(cli.db) is None
