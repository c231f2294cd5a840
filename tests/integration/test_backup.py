"""Backups of both databases: what is in them, that it comes back, and what goes wrong."""

import shutil
from pathlib import Path

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, Job, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import ActionNotPossible, InvalidInput
from adit_core.services.backup import back_up, restore
from tests.rows import load, make_job, make_user


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def usernames(db: Database) -> set[str]:
    with db.reading() as session:
        return set(session.exec(select(User.username)))


def audited(db: Database) -> list[AuditAction]:
    with db.reading() as session:
        return [event.action for event in session.exec(select(AuditEvent))]


def test_what_was_deleted_after_a_backup_comes_back(database: Database, folder: Path):
    job = make_job(database, owner=make_user(database, "alice"))
    backup = back_up(database, folder, keep=3)
    make_user(database, "late")

    restored = restore(database, backup.path, replace=True)

    assert usernames(database) == {"alice"}
    assert load(database, Job, job.id).owner_id == job.owner_id
    assert backup.is_proved
    assert restored.rows == backup.rows
    assert audited(database) == [AuditAction.DATABASE_RESTORED]


def test_what_the_database_held_before_is_kept_beside_the_backup(database: Database, folder: Path):
    make_user(database, "alice")
    backup = back_up(database, folder, keep=3)
    make_user(database, "late")
    replaced = restore(database, backup.path, replace=True).replaced
    assert replaced is not None

    restore(database, replaced.path, replace=True)

    assert usernames(database) == {"alice", "late"}
    assert AuditAction.DATABASE_BACKED_UP in audited(database)


def test_a_database_in_use_is_not_replaced_by_chance(database: Database, folder: Path):
    make_user(database, "alice")
    backup = back_up(database, folder, keep=3)
    make_user(database, "late")

    with pytest.raises(ActionNotPossible, match="--replace"):
        restore(database, backup.path, replace=False)

    assert usernames(database) == {"alice", "late"}


def test_a_backup_can_be_restored_where_there_is_nothing(database: Database, folder: Path, tmp_path: Path):
    make_user(database, "alice")
    backup = back_up(database, folder, keep=3)
    if database.engine.url.get_backend_name() == "postgresql":
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        empty = database
    else:
        empty = Database(f"sqlite:///{tmp_path / 'elsewhere' / 'adit.sqlite'}")
        empty.upgrade()

    assert restore(empty, backup.path, replace=False).replaced is None

    assert usernames(empty) == {"alice"}
    assert empty.is_current()
    empty.dispose()


def test_only_the_newest_are_kept_and_nothing_is_left_over(database: Database, folder: Path):
    make_user(database)
    paths = [back_up(database, folder, keep=2, prove=False).path for _ in range(4)]

    assert sorted(folder.iterdir()) == paths[-2:]
    assert {path.stat().st_mode & 0o777 for path in paths[-2:]} == {0o600}


def test_a_file_that_is_no_backup_changes_nothing(database: Database, folder: Path, tmp_path: Path):
    make_user(database, "alice")
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"something else")

    for path in (wrong, tmp_path / "missing"):
        with pytest.raises(InvalidInput, match=path.name):
            restore(database, path, replace=True)

    assert usernames(database) == {"alice"}


def test_a_damaged_backup_changes_nothing(database: Database, folder: Path):
    for number in range(50):
        make_user(database, f"user{number}")
    backup = back_up(database, folder, keep=3)
    content = bytearray(backup.path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8192] = b"\xa5" * min(8192, len(content) - middle)
    backup.path.write_bytes(content)

    with pytest.raises((InvalidInput, ActionNotPossible)):
        restore(database, backup.path, replace=True)

    assert len(usernames(database)) == 50


def test_a_missing_program_is_named(postgres_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    database = Database(postgres_url)
    database.upgrade()
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(ActionNotPossible, match="postgresql-client"):
        back_up(database, folder, keep=3)

    assert list(folder.iterdir()) == []
    database.dispose()


def test_a_user_who_may_not_create_databases_is_told_what_to_do(postgres_url: str, folder: Path):
    database = Database(postgres_url)
    database.upgrade()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE modest LOGIN")
        connection.exec_driver_sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO modest")
        connection.exec_driver_sql("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO modest")
    modest = Database(database.engine.url.set(username="modest").render_as_string(hide_password=False))

    with pytest.raises(ActionNotPossible, match="CREATEDB"):
        back_up(modest, folder, keep=3)
    assert not back_up(modest, folder, keep=3, prove=False).is_proved

    modest.dispose()
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DROP OWNED BY modest; DROP ROLE modest")
    database.dispose()
