"""Groups and users from before rights were told apart lose nothing."""

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import text
from sqlmodel import select

from adit_core.db import Group, Job, Membership, Permission, User, migrations
from adit_core.db.engine import Database
from adit_core.services.groups import list_groups

BEFORE = "c7d3e19f5a42"
_GROUPS = {
    1: ("transfer", "transfer unpseudonymized"),
    2: ("query",),
    3: ("DICOMweb retrieve",),
    4: (),
    5: (),
}
_ALL_TRANSFERS = {
    Permission.TRANSFER_SELECTED,
    Permission.TRANSFER_BATCHES,
    Permission.TRANSFER_MASSES,
    Permission.UPLOAD,
    Permission.CONVERT_TO_NIFTI,
    Permission.MAKE_ARCHIVES,
}


@pytest.fixture
def upgraded(database_url: str) -> Iterator[Database]:
    """A database with groups, a member of the fourth and a job, brought up to date."""
    db = Database(database_url)
    with db.engine.begin() as connection:
        command.upgrade(migrations._configured(connection), BEFORE)
    with db.session() as session:
        user = (
            'INSERT INTO "user" (id, username, full_name, email, is_staff, is_active, needs_approval, '
            "notify_by_email, time_zone, must_change_password, created_at) VALUES "
            "(7, 'ada', '', '', false, true, false, false, '', false, '2024-01-01 00:00:00+00:00')"
        )
        job = (
            "INSERT INTO job (id, kind, name, owner_id, options, urgent, status, message, cancel_requested, "
            "run_number, idle_runs, created_at) VALUES (3, 'upload', 'old', 7, '{}', false, 'SUCCESS', '', "
            "false, 1, 0, '2024-01-01 00:00:00+00:00')"
        )
        for statement in (user, job):
            session.execute(text(statement))
        for group_id, permissions in _GROUPS.items():
            session.execute(text('INSERT INTO "group" (id, name) VALUES (:id, :name)'), _named(group_id))
            for word in permissions:
                values = {"id": group_id, "word": word}
                session.execute(text("INSERT INTO group_permission VALUES (:id, :word)"), values)
        session.execute(text("INSERT INTO membership (user_id, group_id) VALUES (7, 4)"))
        session.commit()
    db.upgrade()
    yield db
    db.dispose()


def _named(group_id: int) -> dict[str, object]:
    return {"id": group_id, "name": f"group {group_id}"}


def test_one_right_becomes_all_that_it_stood_for(upgraded: Database) -> None:
    permissions = {group.id: set(group.permissions) for group in list_groups(upgraded)}

    assert permissions == {
        1: {*_ALL_TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED, Permission.USE_API},
        2: {Permission.QUERY, Permission.USE_API},
        3: {Permission.DICOMWEB_RETRIEVE, Permission.CONVERT_TO_NIFTI, Permission.USE_API},
        4: {Permission.USE_API},
        5: set(),
    }


def test_users_jobs_and_memberships_stay_and_no_group_is_active(upgraded: Database) -> None:
    with upgraded.reading() as session:
        (user,) = session.exec(select(User)).all()
        (job,) = session.exec(select(Job)).all()
        (membership,) = session.exec(select(Membership)).all()

    assert (user.id, user.username, user.active_group_id) == (7, "ada", None)
    assert (job.id, job.name, job.owner_id, job.group_id) == (3, "old", 7, None)
    assert (membership.user_id, membership.group_id) == (7, 4)


def test_a_group_that_is_removed_is_no_longer_active(upgraded: Database) -> None:
    with upgraded.session() as session:
        session.get_one(User, 7).active_group_id = 4
        session.get_one(Job, 3).group_id = 4
        session.commit()
    with upgraded.session() as session:
        session.delete(session.get_one(Group, 4))
        session.commit()

    with upgraded.reading() as session:
        assert session.get_one(User, 7).active_group_id is None
        assert session.get_one(Job, 3).group_id is None
