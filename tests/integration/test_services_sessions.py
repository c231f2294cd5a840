from datetime import datetime, timedelta

from sqlmodel import col, select, update

from adit_core.db import AuditEvent, User, WebSession
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.sessions import (
    SessionLimits,
    close_session,
    find_active_principal,
    find_principal,
    open_session,
    session_id_of,
    sign_in,
)
from adit_core.services.users import create_user, set_password

LIMITS = SessionLimits(idle=timedelta(hours=1), length=timedelta(hours=12))


def _sign_in(database: Database, username: str = "alice") -> str:
    user = create_user(database, username=username, password=None)
    return session_id_of(open_session(database, user, LIMITS, address="127.0.0.1"))


def _age(database: Database, session_id: str, **ages: timedelta) -> None:
    """Move times of a session into the past, as if so much time had gone by."""
    with database.session() as session:
        row = session.get_one(WebSession, session_id)
        for field, age in ages.items():
            setattr(row, field, getattr(row, field) - age)
        session.add(row)
        session.commit()


def _last_seen(database: Database, session_id: str) -> datetime:
    with database.reading() as session:
        return session.get_one(WebSession, session_id).last_seen_at


def test_a_session_tells_who_is_signed_in(database: Database):
    session_id = _sign_in(database)

    principal = find_principal(database, session_id, LIMITS)

    assert principal is not None
    assert (principal.user.username, principal.session_id) == ("alice", session_id)
    assert len(principal.csrf_token) >= 32


def test_the_database_holds_the_digest_of_the_token_only(database: Database):
    user = create_user(database, username="alice", password=None)

    token = open_session(database, user, LIMITS, address="127.0.0.1")

    with database.reading() as session:
        row = session.exec(select(WebSession)).one()
    assert row.token_hash == session_id_of(token)
    assert token not in row.model_dump_json()
    assert find_principal(database, token, LIMITS) is None


def test_every_session_has_a_token_of_its_own(database: Database):
    user = create_user(database, username="alice", password=None)

    tokens = {open_session(database, user, LIMITS, address="") for _ in range(3)}

    assert len(tokens) == 3
    assert all(len(token) >= 43 for token in tokens), "256 bits are 43 characters of base 64"


def test_a_session_ends_after_idleness(database: Database):
    session_id = _sign_in(database)

    _age(database, session_id, last_seen_at=timedelta(minutes=61))

    assert find_principal(database, session_id, LIMITS) is None
    assert find_active_principal(database, session_id, LIMITS) is None


def test_a_session_ends_after_its_length_however_active_it_is(database: Database):
    session_id = _sign_in(database)

    _age(database, session_id, expires_at=timedelta(hours=12, seconds=1))

    assert find_principal(database, session_id, LIMITS) is None
    assert find_active_principal(database, session_id, LIMITS) is None


def test_activity_keeps_a_session_alive_and_watching_does_not(database: Database):
    session_id = _sign_in(database)
    _age(database, session_id, last_seen_at=timedelta(minutes=50))

    before = _last_seen(database, session_id)
    assert find_principal(database, session_id, LIMITS) is not None
    assert _last_seen(database, session_id) == before
    assert find_active_principal(database, session_id, LIMITS) is not None
    assert utc_now() - _last_seen(database, session_id) < timedelta(minutes=1)


def test_activity_is_written_once_a_minute_at_most(database: Database):
    session_id = _sign_in(database)
    _age(database, session_id, last_seen_at=timedelta(seconds=30))

    before = _last_seen(database, session_id)
    find_active_principal(database, session_id, LIMITS)

    assert _last_seen(database, session_id) == before


def test_a_closed_session_is_over_and_may_be_closed_again(database: Database):
    session_id, other = _sign_in(database), _sign_in(database, "bob")
    principal = find_principal(database, session_id, LIMITS)
    assert principal is not None

    close_session(database, principal, address="127.0.0.1")
    close_session(database, principal, address="127.0.0.1")

    assert find_principal(database, session_id, LIMITS) is None
    assert find_principal(database, other, LIMITS) is not None


def test_closing_an_account_ends_its_sessions(database: Database):
    session_id = _sign_in(database)

    with database.session() as session:
        session.exec(update(User).where(col(User.username) == "alice").values(is_active=False))
        session.commit()

    assert find_principal(database, session_id, LIMITS) is None


def test_a_new_password_ends_the_sessions_of_its_user(database: Database):
    session_id, other = _sign_in(database), _sign_in(database, "bob")

    set_password(database, "alice", "another long password")

    assert find_principal(database, session_id, LIMITS) is None
    assert find_principal(database, other, LIMITS) is not None


def test_ended_sessions_are_deleted_when_somebody_signs_in(database: Database):
    idle, expired = _sign_in(database, "idle"), _sign_in(database, "expired")
    _age(database, idle, last_seen_at=timedelta(minutes=61))
    _age(database, expired, expires_at=timedelta(hours=13))

    live = _sign_in(database, "live")

    with database.reading() as session:
        assert set(session.exec(select(WebSession.token_hash))) == {live}


def _audited(database: Database) -> list[tuple[str, str, bool, str]]:
    with database.reading() as session:
        events = session.exec(select(AuditEvent).order_by(col(AuditEvent.id)))
        return [(event.actor, event.action.value, event.succeeded, event.address) for event in events]


def test_signing_in_and_out_is_audited(database: Database):
    create_user(database, username="alice", password="a long password")

    token = sign_in(database, "Alice", "a long password", LIMITS, address="192.0.2.7")
    assert token is not None
    principal = find_principal(database, session_id_of(token), LIMITS)
    assert principal is not None
    close_session(database, principal, address="192.0.2.8")

    assert _audited(database)[1:] == [
        ("alice", "signed in", True, "192.0.2.7"),
        ("alice", "signed out", True, "192.0.2.8"),
    ]


def test_a_failed_sign_in_is_audited_without_what_was_typed_as_an_unknown_name(database: Database):
    create_user(database, username="alice", password="a long password")

    assert sign_in(database, "alice", "a wrong password", LIMITS, address="192.0.2.7") is None
    assert sign_in(database, "a long password", "", LIMITS, address="192.0.2.7") is None

    assert _audited(database)[1:] == [
        ("alice", "sign-in failed", False, "192.0.2.7"),
        ("unknown user", "sign-in failed", False, "192.0.2.7"),
    ]
