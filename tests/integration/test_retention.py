"""What is deleted when it is old enough, in both databases, and what is not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import func, select

from adit_core.db import ApiToken, AuditEvent, Job, JobStatus, Study, Submission, Task, User, WebSession
from adit_core.db.columns import Table, utc_now
from adit_core.db.engine import Database
from adit_core.services.retention import Outdated, Retention, remove_outdated
from tests.rows import make_job, make_server, make_user
from tests.web_pages import another_job, set_job

DAY = timedelta(days=1)
RETENTION = Retention(jobs=10 * DAY, studies=5 * DAY, tokens=3 * DAY)
NOTHING = Outdated(jobs=0, studies=0, tokens=0, sessions=0, submissions=0)


@pytest.fixture
def now() -> datetime:
    return utc_now()


@pytest.fixture
def user(database: Database) -> User:
    return make_user(database)


def add(database: Database, *rows: Table) -> None:
    with database.session() as session:
        session.add_all(rows)
        session.commit()


def number(database: Database, table: type[Table]) -> int:
    with database.reading() as session:
        return session.exec(select(func.count()).select_from(table)).one()


def token(user: User, number: int, **times: Any) -> ApiToken:
    return ApiToken(
        user_id=user.id, token_hash=str(number), prefix="adit", name="script", scopes=frozenset(), **times
    )


def test_jobs_that_ended_long_ago_go_with_their_tasks(database: Database, user: User, now: datetime):
    old = make_job(database, owner=user)
    young, open_ = another_job(database, old), another_job(database, old)
    set_job(database, old, status=JobStatus.SUCCESS, ended_at=now - 11 * DAY)
    set_job(database, young, status=JobStatus.FAILURE, ended_at=now - 9 * DAY)
    set_job(database, open_, status=JobStatus.PENDING, created_at=now - 99 * DAY)
    tasks = number(database, Task)
    add(database, Submission(owner_id=user.id, key="key", request_hash="", job_id=old.id))

    assert remove_outdated(database, RETENTION, now=now).jobs == 1

    with database.reading() as session:
        assert set(session.exec(select(Job.id))) == {young.id, open_.id}
        assert old.id not in set(session.exec(select(Task.job_id)))
        assert session.exec(select(AuditEvent.details)).all()[-1] == {"jobs": 1}
    assert number(database, Task) == tasks * 2 // 3
    assert number(database, Submission) == 0


def test_more_jobs_than_are_deleted_at_once_go_all(
    database: Database, user: User, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("adit_core.services.retention._JOBS_AT_ONCE", 2)
    first = make_job(database, owner=user)
    for job in (first, *(another_job(database, first) for _ in range(4))):
        set_job(database, job, status=JobStatus.CANCELED, ended_at=now - 11 * DAY)

    assert remove_outdated(database, RETENTION, now=now).jobs == 5
    assert number(database, Job) == 0


def test_jobs_are_kept_for_ever_unless_it_is_said_how_long(database: Database, user: User, now: datetime):
    set_job(database, make_job(database, owner=user), status=JobStatus.SUCCESS, ended_at=now - 9999 * DAY)

    retention = Retention(jobs=None, studies=DAY, tokens=DAY)

    assert remove_outdated(database, retention, now=now) == NOTHING
    assert number(database, Job) == 1


def test_what_archives_told_is_forgotten(database: Database, now: datetime):
    node = make_server(database, "PACS")
    add(
        database,
        Study(node_id=node.id, study_instance_uid="1.2.1", fetched_at=now - 6 * DAY),
        Study(node_id=node.id, study_instance_uid="1.2.2", fetched_at=now - 4 * DAY),
    )

    assert remove_outdated(database, RETENTION, now=now).studies == 1
    assert number(database, Study) == 1


def test_tokens_and_sessions_that_are_over_go(database: Database, user: User, now: datetime):
    add(
        database,
        token(user, 1, expires_at=now - 4 * DAY),
        token(user, 2, revoked_at=now - 4 * DAY),
        token(user, 3, expires_at=now - 2 * DAY),
        token(user, 4),
        WebSession(token_hash="1", user_id=user.id, csrf_token="", expires_at=now - DAY),
        WebSession(token_hash="2", user_id=user.id, csrf_token="", expires_at=now + DAY),
    )

    outdated = remove_outdated(database, RETENTION, now=now)

    assert (outdated.tokens, outdated.sessions) == (2, 1)
    assert (number(database, ApiToken), number(database, WebSession)) == (2, 1)
