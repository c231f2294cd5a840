"""The database itself: sessions, migrations, outages, and several processes at once."""

import multiprocessing
import os
import pickle
import sqlite3
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, inspect, text
from sqlalchemy.exc import InternalError, OperationalError, StatementError
from sqlmodel import select

from adit_core.db import AuditEvent, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import Table
from adit_core.db.engine import Database
from adit_core.db.upsert import upsert
from adit_core.errors import DatabaseUnavailable
from adit_core.services import audit
from tests.rows import load, make_user


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []


def test_constraints_have_the_names_that_later_migrations_use(database: Database) -> None:
    with database.engine.connect() as connection:
        inspector = inspect(connection)
        assert inspector.get_pk_constraint("membership")["name"] == "pk_membership"
        assert {key["name"] for key in inspector.get_foreign_keys("job")} == {
            "fk_job_owner_id",
            "fk_job_group_id",
            "fk_job_source_id",
            "fk_job_destination_id",
            "fk_job_project_id",
        }
        assert [key["name"] for key in inspector.get_unique_constraints("user")] == ["uq_user_username"]


def test_a_database_is_current_once_it_is_upgraded(database_url: str) -> None:
    db = Database(database_url)
    assert not db.is_current()

    db.upgrade()
    db.upgrade()

    assert db.is_current()
    db.dispose()


def test_a_database_of_a_newer_version_is_not_current(database: Database) -> None:
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'newer'"))
        session.commit()

    assert not database.is_current()


def test_looking_for_a_database_file_does_not_make_one(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "adit.sqlite"

    assert not Database(f"sqlite:///{path}").is_current()

    assert not path.exists()


def test_upgrading_makes_the_folder_of_a_database_file_for_us_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"

    db = Database(f"sqlite:///{folder / 'adit.sqlite'}")
    db.upgrade()

    assert folder.stat().st_mode & 0o777 == 0o700
    db.dispose()


def _upgrade(url: str) -> bool:
    db = Database(url)
    db.upgrade()
    current = db.is_current()
    db.dispose()
    return current


def test_processes_that_upgrade_at_once_take_turns(database_url: str) -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        assert all(pool.map(_upgrade, [database_url] * 4))


def test_what_is_not_committed_is_rolled_back(database: Database) -> None:
    with database.session() as session:
        session.add(User(username="ada"))
        session.flush()

    with database.reading() as session:
        assert session.exec(select(User)).all() == []


def test_rows_stay_usable_after_their_session(database: Database) -> None:
    with database.session() as session:
        user = User(username="ada")
        session.add(user)
        session.commit()

    assert (user.username, user.id) == ("ada", 1)


def test_a_reading_session_cannot_write(database: Database) -> None:
    with database.reading() as session:
        session.add(User(username="ada"))
        with pytest.raises((OperationalError, InternalError), match=r"read-?only"):
            session.commit()

    make_user(database, "ada")


def test_a_reading_session_sees_one_moment(database: Database) -> None:
    with database.reading() as session:
        assert session.exec(select(User)).all() == []
        make_user(database, "ada")
        assert session.exec(select(User)).all() == []


def test_reading_and_writing_in_turn_changes_no_settings_of_connections(database: Database) -> None:
    # SQLite compiles all statements of a connection anew after each change of a setting.
    made: list[str] = []
    for engine in (database.engine, database.reading_engine):
        event.listen(engine, "before_cursor_execute", lambda *call: made.append(call[2]))

    for name in ("ada", "bob"):
        make_user(database, name)
        with database.reading() as session:
            assert session.exec(select(User.username).where(User.username == name)).one() == name

    assert [each for each in made if each.startswith(("PRAGMA", "SET"))] == []


def test_foreign_keys_hold(database: Database) -> None:
    with database.session() as session:
        user = User(username="ada")
        session.add(user)
        session.flush()
        audit.record(session, AuditAction.SIGNED_IN, actor=user)
        session.commit()
        session.delete(user)
        session.commit()

    with database.reading() as session:
        (event,) = session.exec(select(AuditEvent)).all()
    assert event.actor_id is None


def test_ids_are_not_given_twice(database: Database) -> None:
    first = make_user(database, "ada")
    with database.session() as session:
        session.delete(session.get_one(User, first.id))
        session.commit()

    assert make_user(database, "bob").id > first.id


def test_the_migrations_keep_sqlite_from_reusing_ids(database: Database) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL never does")
    rule = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
    with database.engine.connect() as connection:
        obeying = set(connection.exec_driver_sql(rule).scalars())
    tables = Table.metadata.tables.values()
    assert obeying == {table.name for table in tables if table.dialect_options["sqlite"]["autoincrement"]}


def test_writers_wait_for_each_other(database: Database) -> None:
    user = make_user(database, "ada")

    def append(letter: str) -> None:
        for _ in range(20):
            with database.session() as session:
                row = session.exec(select(User).where(User.id == user.id).with_for_update()).one()
                row.full_name += letter
                session.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, "abcd"))

    assert sorted(load(database, User, user.id).full_name) == sorted("abcd" * 20)


def _rename(db: Database, names: list[str]) -> None:
    for name in names:
        with db.session() as session:
            session.exec(select(User)).all()
            session.add(User(username=name))
            session.commit()


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_a_database_can_be_handed_to_child_processes(database: Database, start_method: str) -> None:
    make_user(database, "ada")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(start_method)) as pool:
        names = [[f"{child}-{number}" for number in range(10)] for child in "ab"]
        futures = [pool.submit(_rename, database, some) for some in names]
        for future in futures:
            future.result()

    with database.reading() as session:
        assert len(session.exec(select(User)).all()) == 21


def test_a_forked_child_leaves_the_connections_of_its_parent_alone(database: Database) -> None:
    with database.engine.connect() as connection:
        of_parent = connection.connection.driver_connection
    child = os.fork()
    if child == 0:
        with database.engine.connect() as connection:
            connection.execute(select(User))
            os._exit(connection.connection.driver_connection is of_parent)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    with database.engine.connect() as connection:
        assert connection.connection.driver_connection is of_parent


def test_a_database_shows_no_password() -> None:
    db = Database("postgresql+psycopg://adit:secret@127.0.0.1:1/adit")

    assert "secret" not in repr(db)
    assert pickle.loads(pickle.dumps(db)).url == db.url


def test_a_database_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    for url in ("postgresql+psycopg://adit@127.0.0.1:1/adit", f"sqlite:///{tmp_path / 'no' / 'folder'}"):
        with pytest.raises(DatabaseUnavailable), Database(url).session() as session:
            session.exec(select(User)).all()


def test_a_database_that_stays_locked_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adit_core.db.engine._BUSY_TIMEOUT", 0.1)
    path = tmp_path / "adit.sqlite"
    db = Database(f"sqlite:///{path}")
    db.upgrade()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DatabaseUnavailable), db.session() as session:
        session.exec(select(User)).all()
    with db.reading() as session:
        assert session.exec(select(User)).all() == []

    other.close()
    db.dispose()


def test_a_connection_that_the_server_closed_is_replaced(postgres_url: str) -> None:
    db = Database(postgres_url)
    db.upgrade()
    with db.session() as session:
        session.execute(text("SELECT 1"))
    with Database(postgres_url).session() as session:
        session.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        )

    make_user(db, "ada")

    db.dispose()


def test_a_mistake_is_not_taken_for_an_outage(database_url: str) -> None:
    db = Database(database_url)
    with pytest.raises(Exception, match="user") as caught, db.session() as session:
        session.exec(select(User)).all()

    assert not isinstance(caught.value, DatabaseUnavailable)
    db.dispose()


def test_errors_show_no_values(database: Database) -> None:
    with pytest.raises(Exception, match="hidden") as caught, database.session() as session:
        session.execute(text("SELECT :value FROM nowhere"), {"value": "Doe^Jane"})

    assert "Doe" not in str(caught.value)


def test_rows_are_added_or_replaced_by_their_key(database: Database) -> None:
    for full_names in (["a", "b"], ["c", "d"]):
        with database.session() as session:
            rows = [User(username=f"user{number}", full_name=name) for number, name in enumerate(full_names)]
            upsert(session, rows, key=["username"])
            upsert(session, [], key=["username"])
            session.commit()

    with database.reading() as session:
        assert sorted(user.full_name for user in session.exec(select(User))) == ["c", "d"]


def test_a_naive_time_is_refused(database: Database) -> None:
    with database.session() as session:
        session.add(User(username="ada", created_at=datetime(2024, 1, 1)))  # noqa: DTZ001
        with pytest.raises(StatementError, match="naive time"):
            session.commit()


def test_times_come_back_in_utc(database: Database) -> None:
    summer = datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=ZoneInfo("Europe/Berlin"))
    with database.session() as session:
        session.add(User(username="ada", created_at=summer))
        session.commit()

    with database.reading() as session:
        (user,) = session.exec(select(User)).all()
    assert user.created_at == summer
    assert user.created_at.tzinfo is UTC
