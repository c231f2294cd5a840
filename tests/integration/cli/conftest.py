"""The command line on a database of its own, in this process or as a program."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adit_core.cli import app
from adit_core.db import SeriesProgress, TaskStatus, User
from adit_core.db.engine import Database
from adit_core.services.claims import claim_task, finish_task
from adit_core.services.database import configured_database
from adit_core.services.progress import TaskCounts, record_progress
from adit_core.settings import get_settings
from tests.databases import new_database
from tests.rows import make_user

PROGRAM = Path(sys.executable).with_name("adit")
OTHER_VARIABLES = ("ADIT_DATABASE_URL", "ADIT_SECRET_KEYS", "ADIT_USER", "ADIT_PASSWORD", "PREFECT_API_URL")


@dataclass
class CommandLine:
    """Runs commands and keeps what is around them."""

    data_dir: Path
    db: Database
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object, typed: str = "") -> Result:
        """Run a command in this process."""
        runner = CliRunner(env=self.variables)
        return runner.invoke(app, list(map(str, arguments)), input=typed, catch_exceptions=False)

    def json(self, *arguments: object, typed: str = "") -> Any:
        """Run a command that has to succeed without a word besides its JSON, and return that."""
        result = self.run(*arguments, "--json", typed=typed)
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    def error(self, *arguments: object) -> dict[str, Any]:
        """Run a command that has to fail, and return what it says as JSON; people get the same in words."""
        for_people = self.run(*arguments)
        assert (for_people.exit_code, for_people.stdout) == (1, "")
        assert for_people.stderr.startswith("Error: ")
        for_programs = self.run(*arguments, "--json")
        assert (for_programs.exit_code, for_programs.stdout) == (1, "")
        error = json.loads(for_programs.stderr)
        assert error.keys() == {"error", "problems"}
        return error

    def start(self, *arguments: object, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command as a program of its own."""
        others = {name: value for name, value in os.environ.items() if name not in OTHER_VARIABLES}
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            env={**others, **self.variables, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def empty_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """The command line before its database has been made."""
    for name in OTHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    data_dir = tmp_path / "data"
    monkeypatch.setenv("ADIT_DATA_DIR", str(data_dir))
    get_settings.cache_clear()
    db = configured_database(get_settings())
    yield CommandLine(data_dir, db, {"ADIT_DATA_DIR": str(data_dir)})
    db.dispose()
    get_settings.cache_clear()


@pytest.fixture
def cli(empty_cli: CommandLine) -> CommandLine:
    """The command line with a database without rows."""
    empty_cli.data_dir.mkdir()
    new_database(empty_cli.data_dir / "adit.sqlite")
    return empty_cli


@pytest.fixture
def admin(cli: CommandLine) -> User:
    """The only staff user, in whose name commands act."""
    return make_user(cli.db, "admin", staff=True)


def start_task(db: Database, task_id: int, counts: TaskCounts) -> str:
    """Begin a task and get so far; return the token of its claim."""
    claim_task(db, task_id, token="token", lease=60)
    series = SeriesProgress(task_id=task_id, series_instance_uid="1.2.3", modality="CT")
    record_progress(db, task_id, token="token", series=[series], counts=counts)
    return "token"


def end_task(db: Database, task_id: int, status: TaskStatus, counts: TaskCounts, message: str = "") -> None:
    """Begin a task and end it."""
    token = start_task(db, task_id, counts)
    assert finish_task(db, task_id, token=token, status=status, message=message, counts=counts)
