"""`adit db backup` and `adit db restore`."""

from pathlib import Path

from adit_core.db import User
from adit_core.services.users import list_users
from tests.integration.cli.conftest import CommandLine
from tests.rows import make_user


def test_a_backup_is_written_and_put_back(cli: CommandLine, admin: User) -> None:
    written = cli.json("db", "backup")
    make_user(cli.db, "late")

    restored = cli.json("db", "restore", written["path"], "--replace")

    assert written["is_proved"]
    assert Path(written["path"]).parent == cli.data_dir / "backups"
    assert restored["rows"] == written["rows"]
    assert [user.username for user in list_users(cli.db)] == ["admin"]


def test_people_read_what_came_of_it(cli: CommandLine, admin: User) -> None:
    assert "complete" in cli.run("db", "backup").stdout
    (backup,) = (cli.data_dir / "backups").iterdir()
    assert "What it held before is in" in cli.run("db", "restore", backup, "--replace").stdout


def test_a_database_in_use_is_not_replaced_by_chance(cli: CommandLine, admin: User) -> None:
    path = cli.json("db", "backup")["path"]

    assert "--replace" in cli.error("db", "restore", path)["error"]
