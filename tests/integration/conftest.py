"""The database that a test of the services runs on, once SQLite and once PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adit_core.db.engine import Database
from adit_core.db.secrets import Keyring, new_key
from tests.databases import new_database
from tests.servers import PostgresCluster


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of the database."""
    return request.param


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database without tables."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'adit.sqlite'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: PostgresCluster) -> str:
    """The URL of a database of PostgreSQL with all tables, to be copied."""
    url = postgres.create_database()
    db = Database(url)
    db.upgrade()
    db.dispose()
    return url


@pytest.fixture
def copied_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with all tables and no rows."""
    if backend == "sqlite":
        yield new_database(tmp_path / "adit.sqlite").url
    else:
        cluster: PostgresCluster = request.getfixturevalue("postgres")
        url = cluster.create_database(like=request.getfixturevalue("postgres_with_tables"))
        yield url
        cluster.drop_database(url)


@pytest.fixture
def database(copied_url: str) -> Iterator[Database]:
    """A database with all tables and no rows, and a key for secrets."""
    db = Database(copied_url, Keyring((new_key(),)))
    yield db
    db.dispose()
