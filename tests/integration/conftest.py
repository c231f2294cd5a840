"""The database that a test of the services runs on, once SQLite and once PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'adit.sqlite'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with all tables."""
    db = Database(database_url, Keyring((new_key(),)))
    db.upgrade()
    yield db
    db.dispose()
