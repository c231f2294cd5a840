"""Announcements and maintenance mode, on both databases."""

from datetime import timedelta

import pytest
from sqlmodel import col, select

from adit_core.db import AuditEvent, JobStatus, Permission, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotAllowed, NotFound, UnderMaintenance
from adit_core.services.announcements import (
    add_announcement,
    current_announcements,
    list_announcements,
    remove_announcement,
)
from adit_core.services.job_actions import restart_job
from adit_core.services.maintenance import begin_maintenance, end_maintenance, maintenance_now
from adit_core.services.query_file import QueryFile, Question
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.transfer_request import TransferRequest
from tests.fakes.launcher import FakeLauncher
from tests.rows import TRANSFERS, allow, make_folder, make_group, make_job, make_server, make_user


@pytest.fixture
def root(database: Database) -> User:
    return make_user(database, "root", staff=True)


@pytest.fixture
def ada(database: Database) -> User:
    """A user who may transfer from the PACS to a folder, and query."""
    user = make_user(database)
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED, Permission.QUERY)
    group = make_group(database, user, permissions=granted)
    allow(database, group, make_server(database), as_source=True)
    allow(database, group, make_folder(database), as_destination=True)
    return user


def events(db: Database) -> list[str]:
    with db.reading() as session:
        return [event.action.value for event in session.exec(select(AuditEvent).order_by(col(AuditEvent.id)))]


def test_an_announcement_is_made_until_it_ends_or_is_removed(database: Database, root: User) -> None:
    now = utc_now()
    ending = add_announcement(database, root, " The PACS moves. ", ends_at=now + timedelta(hours=1))
    lasting = add_announcement(database, root, "Welcome.")
    add_announcement(database, root, "Later.", starts_at=now + timedelta(days=1))

    def told(hours: float) -> list[str]:
        return [row.message for row in current_announcements(database, now=now + timedelta(hours=hours))]

    assert told(0.5) == ["Welcome.", "The PACS moves."]
    assert told(2) == ["Welcome."]
    assert told(25) == ["Later.", "Welcome."]
    remove_announcement(database, root, lasting.id)
    assert told(2) == []
    assert [row.message for row in list_announcements(database, root)] == ["Later.", ending.message]
    assert events(database) == [*["announcement added"] * 3, "announcement removed"]
    with pytest.raises(NotFound):
        remove_announcement(database, root, lasting.id)


def test_what_would_never_be_seen_is_refused(database: Database, root: User) -> None:
    for message, ends_at in (("  ", None), ("x" * 1001, None), ("Past.", utc_now() - timedelta(minutes=1))):
        with pytest.raises(InvalidInput):
            add_announcement(database, root, message, ends_at=ends_at)
    assert current_announcements(database) == []


def test_only_staff_announce_and_maintain(database: Database, ada: User) -> None:
    for act in (
        lambda: add_announcement(database, ada, "Hello."),
        lambda: remove_announcement(database, ada, 1),
        lambda: list_announcements(database, ada),
        lambda: begin_maintenance(database, ada, "Mine."),
        lambda: end_maintenance(database, ada),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert (maintenance_now(database), events(database)) == (None, [])


def test_in_maintenance_mode_only_staff_begin_anything(database: Database, root: User, ada: User) -> None:
    launcher = FakeLauncher()
    ended = make_job(database, owner=ada, status=JobStatus.FAILURE)
    picked = [PickedStudy("P1", "1.2.1")]
    query = QueryFile((Question(2, {"PatientID": "P1"}),))

    def transfer(user: User) -> int:
        request = TransferRequest(owner_id=user.id, source="PACS", destination="Export")
        return submit_selective_transfer(database, launcher, request, picked)

    def ask(user: User) -> int:
        return submit_batch_query(database, launcher, owner_id=user.id, source="PACS", query=query)

    begin_maintenance(database, root, "We move the archive.")
    begin_maintenance(database, root, "We are back at 20:00.")
    for act in (transfer, ask, lambda user: restart_job(database, launcher, user, ended.id)):
        with pytest.raises(UnderMaintenance, match=r"takes no new jobs for now: We are back at 20:00\."):
            act(ada)
    assert not launcher.runs
    assert transfer(root)

    end_maintenance(database, root)
    assert transfer(ada) < ask(ada)
    begun = [event for event in events(database) if event.startswith("maintenance")]
    assert begun == ["maintenance begun", "maintenance begun", "maintenance ended"]
