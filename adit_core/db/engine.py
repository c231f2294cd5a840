"""The database: one object that opens sessions on SQLite or PostgreSQL and brings the tables up to date.

On SQLite every writing session takes the write lock when it begins. Processes that write at the same
time therefore wait for each other; a transaction that read first and wrote later would fail with
"database is locked" if another one had written in between.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet, finalize

from sqlalchemy import URL, Connection, Engine, Pool, create_engine, event, make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlmodel import Session

from adit_core.db.secrets import Keyring
from adit_core.errors import DatabaseUnavailable

_NO_KEYS = Keyring()
_BUSY_TIMEOUT = 30
"""Seconds that a process waits for a lock that another one holds."""

# Without these, a server that vanishes from the network is noticed after hours, and a process that is
# suspended in the middle of a transaction keeps its locks for as long.
_POSTGRESQL_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "options": f"-c lock_timeout={_BUSY_TIMEOUT}s -c idle_in_transaction_session_timeout=60s",
}
_READ_ONLY = {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}

# SQLite reports what was asked wrongly (a table that does not exist, say) by the same class of error as
# what is out of order.
_SQLITE_MISTAKES = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY}


class Database:
    """The database behind `url`, and the keys to the secrets in it.

    It may be handed to a child process, forked or spawned: connections are never shared with it.
    """

    def __init__(self, url: str, keyring: Keyring = _NO_KEYS) -> None:
        self.url = url
        self.keyring = keyring
        self.engine, self.reading_engine = _create_engines(make_url(url))
        for engine in (self.engine, self.reading_engine):
            finalize(self, engine.dispose)
        _databases.add(self)

    def __repr__(self) -> str:
        return f"Database({self.engine.url.render_as_string(hide_password=True)!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[str, Keyring]]:
        return type(self), (self.url, self.keyring)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session that may write; what is not committed is rolled back.

        Rows stay usable after the session ends. Keep it short: on SQLite there is one at a time.

        Raises:
            DatabaseUnavailable: The database does not answer, or stayed locked for 30 seconds.
        """
        with _outages_translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that cannot write and sees one moment; it neither waits nor makes others wait.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        with _outages_translated(), Session(self.reading_engine, expire_on_commit=False) as session:
            yield session

    def upgrade(self) -> None:
        """Create the tables, or bring them up to date. Processes that do so at once take turns.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        from adit_core.db import migrations  # noqa: PLC0415 - slow to import: it brings Alembic

        with _outages_translated():
            _make_folder(self.engine.url)
            with self.engine.connect() as connection, _migration_lock(connection):
                migrations.upgrade(connection)

    def is_current(self) -> bool:
        """Tell whether the tables are those that this version of the code expects.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        from adit_core.db import migrations  # noqa: PLC0415 - slow to import: it brings Alembic

        if _is_missing_file(self.engine.url):
            return False  # SQLite would make an empty file of it
        with _outages_translated(), self.reading_engine.connect() as connection:
            return migrations.is_current(connection)

    def dispose(self) -> None:
        """Close all connections that are not in use. The database can be used again afterwards."""
        self.engine.dispose()
        self.reading_engine.dispose()

    def _leave_connections_to_parent(self) -> None:
        # Closing a connection of SQLite in a forked child would release locks of the parent, so it is
        # kept and never used (https://www.sqlite.org/howtocorrupt.html, 2.6).
        for engine in (self.engine, self.reading_engine):
            _pools_of_parent.append(engine.pool)
            engine.dispose(close=False)


_databases: WeakSet[Database] = WeakSet()
_pools_of_parent: list[Pool] = []


def _after_fork() -> None:
    for database in list(_databases):
        database._leave_connections_to_parent()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork)


def _create_engines(url: URL) -> tuple[Engine, Engine]:
    """Return an engine that may write, and one that only reads and sees one moment in a transaction."""
    # Parameters may be patient data, and the text of an error ends up in logs.
    if url.get_backend_name() == "sqlite":
        return _create_sqlite_engine(url, read_only=False), _create_sqlite_engine(url, read_only=True)
    defaults = {name: value for name, value in _POSTGRESQL_DEFAULTS.items() if name not in url.query}
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args=defaults,
        pool_pre_ping=True,
        # Conditional updates rely on it: they look again at a row that they had to wait for.
        isolation_level="READ COMMITTED",
    )
    return engine, engine.execution_options(**_READ_ONLY)


def _create_sqlite_engine(url: URL, *, read_only: bool) -> Engine:
    # Each has connections of its own: one that changes sides forgets what it has compiled of statements.
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_TIMEOUT})
    event.listen(engine, "connect", _prepare_sqlite)
    if read_only:
        event.listen(engine, "connect", _forbid_writing)
    event.listen(engine, "begin", _begin_reading if read_only else _begin_writing)
    return engine


def _is_missing_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and bool(url.database) and not Path(str(url.database)).exists()


def _make_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # sqlite3 begins no transactions on its own, _begin_sqlite does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _forbid_writing(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


def _begin_reading(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN DEFERRED")


def _begin_writing(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _migration_lock(connection: Connection) -> Iterator[None]:
    """Run the block in one transaction that no other migration can run beside."""
    if connection.dialect.name == "sqlite":
        # Neither works inside of a transaction; tables are rebuilt, so keys cannot hold meanwhile.
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection), "the driver of SQLite is sqlite3"
        _switch_to_wal(raw)
        raw.execute("PRAGMA foreign_keys = OFF")
        try:
            with connection.begin():
                yield
        finally:
            raw.execute("PRAGMA foreign_keys = ON")
    else:
        with connection.begin():
            connection.exec_driver_sql("SET LOCAL lock_timeout = '10min'")
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('adit migrations'))")
            yield


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # This is the one statement that does not wait by itself while others use the file.
    deadline = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable("The database stays locked.") from error
            time.sleep(0.05)
        else:
            return


@contextmanager
def _outages_translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("All connections to the database are in use.") from error
    except (OperationalError, InterfaceError) as error:
        if getattr(error.orig, "sqlite_errorcode", None) in _SQLITE_MISTAKES:
            raise
        raise DatabaseUnavailable("The database does not answer, or is locked.") from error
