"""Backups of the database: of one moment, proved by restoring them, and put back in one step.

A backup of SQLite is a database itself, one of PostgreSQL the custom format of ``pg_dump``. It holds
patient data, so nobody but its owner may read it. The keys that secrets are sealed with are not in it.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, MetaData, inspect
from sqlmodel import Session

from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput
from adit_core.services import audit
from adit_core.services.disk_space import backups_place, require_space

_SAFETY = "before-restore-"

RowCounts = Mapping[str, int]
"""The number of rows by the name of the table."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written."""

    path: Path
    bytes: int
    rows: int
    """In all tables."""
    is_proved: bool
    """It was restored elsewhere, and all rows were there."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put back."""

    rows: int
    replaced: Backup | None
    """What the database held before, if it held anything."""


def back_up(
    db: Database, folder: Path, *, keep: int, prove: bool = True, min_free: int | None = None
) -> Backup:
    """Write a backup into `folder`, which is made if it is missing, and return it.

    It appears under its name only when it is complete and proved; then all but the newest `keep` are
    deleted. Others go on writing meanwhile: the backup holds what was there when it began.

    Args:
        db: The database.
        folder: Where backups are.
        keep: How many are kept.
        prove: Whether it is restored elsewhere before it gets its name.
        min_free: Bytes that stay free on the disk of `folder`; None for what is usual.

    Raises:
        DestinationFull: There is too little space.
        ActionNotPossible: The database has no tables, a program of PostgreSQL is missing or fails, or the
            backup does not hold what the database holds.
        DatabaseUnavailable: The database does not answer.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_space(backups_place(folder, min_free))
    backup = _write(db, folder, prefix="adit-", prove=prove)
    with db.session() as session:
        audit.record(session, AuditAction.DATABASE_BACKED_UP, actor=audit.SYSTEM, number=backup.rows)
        session.commit()
    # Their names begin with the time, so they sort by it.
    for outdated in sorted(folder.glob(f"adit-*{backup.path.suffix}"))[:-keep]:
        outdated.unlink()
    return backup


def restore(db: Database, path: Path, *, replace: bool) -> Restored:
    """Put a backup back, and bring its tables up to date. All of it happens, or nothing.

    What the database holds is replaced only if that is asked for, and backed up beside `path` before.

    Raises:
        InvalidInput: `path` is no backup of this kind of database.
        ActionNotPossible: The database holds something, and it is not to be replaced; a program of
            PostgreSQL is missing or fails.
        DatabaseUnavailable: The database does not answer.
    """
    kind = _kind_of(db)
    _check_kind(path, kind)
    replaced = None
    if _is_in_use(db):
        if not replace:
            raise ActionNotPossible(
                "The database holds users or jobs already. Say that they are to be replaced (--replace), or "
                "restore into an empty database."
            )
        replaced = _write(db, path.parent, prefix=_SAFETY, prove=False)
    kind.restore(db, path)
    db.upgrade()
    with db.session() as session:
        rows = sum(_count_rows(session.connection()).values())
        audit.record(session, AuditAction.DATABASE_RESTORED, actor=audit.SYSTEM, number=rows)
        session.commit()
    return Restored(rows, replaced)


def _write(db: Database, folder: Path, *, prefix: str, prove: bool) -> Backup:
    kind = _kind_of(db)
    name = f"{prefix}{_stamp(utc_now())}{kind.ending}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
        written = Path(unfinished) / name
        with db.reading() as session:
            counts = _count_rows(session.connection())
            if not counts:
                raise ActionNotPossible("The database has no tables yet. Make them: adit db upgrade.")
            kind.write(db, session, written)
        if prove and (found := kind.prove(db, written)) != counts:
            wrong = sorted(table for table in counts if found.get(table) != counts[table])
            raise ActionNotPossible(f"The backup lacks rows of {', '.join(wrong)}; it was not kept.")
        written.chmod(0o600)
        _sync(written)
        path = written.rename(folder / name)
        _sync(folder)
    return Backup(path, path.stat().st_size, sum(counts.values()), is_proved=prove)


@dataclass(frozen=True, slots=True)
class _DatabaseKind:
    """How databases of a kind are backed up."""

    name: str
    ending: str
    """Of the names of files."""
    magic: bytes
    """How files begin."""
    write: Callable[[Database, Session, Path], None]
    """Writes what a session sees."""
    prove: Callable[[Database, Path], RowCounts]
    """Restores a backup elsewhere, and counts what is in it."""
    restore: Callable[[Database, Path], None]
    """Replaces what a database holds, as a whole or not at all."""


def _kind_of(db: Database) -> _DatabaseKind:
    return _KINDS[db.engine.url.get_backend_name()]


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S.%fZ}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_kind(path: Path, kind: _DatabaseKind) -> None:
    try:
        with path.open("rb") as file:
            begins_right = file.read(len(kind.magic)) == kind.magic
    except OSError as error:
        raise InvalidInput(InputProblem(f"{path} cannot be read: {error.strerror}.", field="file")) from error
    if not begins_right:
        raise InvalidInput(
            InputProblem(f"{path} is no backup of a database of this kind ({kind.name}).", field="file")
        )


def _is_in_use(db: Database) -> bool:
    with db.reading() as session:
        counts = _count_rows(session.connection())
    return bool(counts.get("user") or counts.get("job"))


def _count_rows(connection: Connection) -> dict[str, int]:
    quote = connection.dialect.identifier_preparer.quote
    return {
        table: connection.exec_driver_sql(f"SELECT count(*) FROM {quote(table)}").scalar_one()  # noqa: S608
        for table in sorted(inspect(connection).get_table_names())
    }


# SQLite


def _write_sqlite(_db: Database, session: Session, path: Path) -> None:
    source = session.connection().connection.driver_connection
    assert isinstance(source, sqlite3.Connection), "the driver of SQLite is sqlite3"
    with closing(sqlite3.connect(path)) as copy:
        source.backup(copy)  # of the moment that the session sees
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


def _prove_sqlite(_db: Database, path: Path) -> RowCounts:
    with closing(sqlite3.connect(path)) as copy:
        _check_integrity(copy, path)
    restored = Database(f"sqlite:///{path}")
    with restored.reading() as session:
        counts = _count_rows(session.connection())
    restored.dispose()
    return counts


def _restore_sqlite(db: Database, path: Path) -> None:
    # By SQLite's own backup, which other processes see as one transaction; a file that is put in the
    # place of one that is open would damage both.
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source:
        _check_integrity(source, path)
        with closing(sqlite3.connect(str(db.engine.url.database), timeout=30)) as live:
            source.backup(live)


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise InvalidInput(InputProblem(f"{path} is damaged.", field="file")) from error
    if verdict != "ok":
        raise InvalidInput(InputProblem(f"{path} is damaged.", field="file"))


# PostgreSQL


def _write_postgresql(db: Database, session: Session, path: Path) -> None:
    # The session stays open while the dump is written, which takes longer than a transaction may idle.
    connection = session.connection()
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    _run(db.engine.url, "pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={path}")


def _prove_postgresql(db: Database, path: Path) -> RowCounts:
    with _scratch_database(db.engine.url) as url:
        _run(url, "pg_restore", "--exit-on-error", "--no-owner", str(path))
        restored = Database(url.render_as_string(hide_password=False))
        with restored.reading() as session:
            counts = _count_rows(session.connection())
        restored.dispose()
    return counts


@contextmanager
def _scratch_database(url: URL) -> Iterator[URL]:
    name = f"adit_proof_{uuid4().hex[:12]}"
    identifier = sql.Identifier(name)
    with closing(psycopg.connect(_conninfo(url, with_password=True), autocommit=True)) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(identifier))
        except psycopg.errors.InsufficientPrivilege as error:
            raise ActionNotPossible(
                "A backup is proved by restoring it into a database that is made for this, which the user of "
                'ADIT may not do. Let it: ALTER ROLE "…" CREATEDB; or back up without proof (--unproved).'
            ) from error
        try:
            yield url.set(database=name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def _restore_postgresql(db: Database, path: Path) -> None:
    metadata = MetaData()
    with db.engine.connect() as connection:
        metadata.reflect(connection)
        quote = connection.dialect.identifier_preparer.quote
        drops = "".join(
            f"DROP TABLE IF EXISTS {quote(table.name)} CASCADE;\n" for table in metadata.sorted_tables
        )
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as unfinished:
        # Everything in one script, and that in one transaction: pg_restore alone would leave tables of a
        # newer version, and a pipe that breaks would be taken for the end of the script.
        drop_script, restore_script = Path(unfinished) / "drop.sql", Path(unfinished) / "restore.sql"
        drop_script.write_text(drops)
        program = (
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            f"--file={restore_script}",
            str(path),
        )
        _run(None, *program)
        _run(
            db.engine.url,
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--single-transaction",
            "--set=ON_ERROR_STOP=1",
            f"--file={drop_script}",
            f"--file={restore_script}",
        )


def _run(url: URL | None, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL on the database at `url`; its password is not shown to other users."""
    found = shutil.which(program)
    if found is None:
        raise ActionNotPossible(
            f"The program {program} is missing: install PostgreSQL's client programs (on Debian, "
            "postgresql-client)."
        )
    environment = dict(os.environ)
    target: Sequence[str] = ()
    if url is not None:
        target = (f"--dbname={_conninfo(url, with_password=False)}",)
        if url.password:
            environment["PGPASSWORD"] = str(url.password)
    done = subprocess.run(
        [found, *target, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise ActionNotPossible(f"{program} failed{_why(done.stderr)} (exit status {done.returncode}).")


def _why(stderr: bytes) -> str:
    # An error about data quotes them; these do not.
    for line in stderr.decode(errors="replace").splitlines():
        if "server version mismatch" in line:
            return ": it is older than the server, so install the client programs of the server's version"
        if "permission denied" in line or "must be owner" in line:
            return ": the user of ADIT lacks a right in the database"
        if "could not connect" in line or "connection to server" in line:
            return ": the database does not answer"
    return ""


def _conninfo(url: URL, *, with_password: bool) -> str:
    parts = url.translate_connect_args(username="user", database="dbname")
    if not with_password:
        parts.pop("password", None)
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    with suppress(KeyError):
        del query["options"]
    return make_conninfo(**parts, **query)


_KINDS = {
    kind.name: kind
    for kind in (
        _DatabaseKind(
            name="sqlite",
            ending=".sqlite",
            magic=b"SQLite format 3\x00",
            write=_write_sqlite,
            prove=_prove_sqlite,
            restore=_restore_sqlite,
        ),
        _DatabaseKind(
            name="postgresql",
            ending=".pgdump",
            magic=b"PGDMP",
            write=_write_postgresql,
            prove=_prove_postgresql,
            restore=_restore_postgresql,
        ),
    )
}
