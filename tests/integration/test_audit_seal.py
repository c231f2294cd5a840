"""The chain of the audit trail, in both databases: who tampers with events is found out."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, delete, select, update

from adit_core.db import AuditEvent, AuditSeal, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.services import audit
from adit_core.services.audit_seal import head_of, seal_events, verify_events
from tests.rows import make_user

TABLES = ("audit_event", "audit_seal")


@pytest.fixture
def user(database: Database) -> User:
    return make_user(database)


@pytest.fixture
def sealed(database: Database, user: User) -> Database:
    """A database in which five events are sealed."""
    record(database, user, 5)
    seal_events(database)
    return database


def record(db: Database, user: User, number: int) -> None:
    for each in range(number):
        with db.session() as session:
            audit.record(
                session, AuditAction.QUERIED, actor=user, object_kind="node", object_id=each, rows=each
            )
            session.commit()


def tamper(db: Database, *statements: object) -> None:
    """Do what the database refuses, as its administrator could."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            for table in TABLES:
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        else:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table in TABLES:
                for event in ("delete", "update"):
                    connection.exec_driver_sql(f"DROP TRIGGER {table}_{event}")
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]
        connection.commit()


def test_the_chain_holds_as_long_as_nobody_tampers(sealed: Database, user: User):
    first = verify_events(sealed)
    assert (first.problem, first.head.number, first.waiting) == ("", 5, 0)

    record(sealed, user, 2)
    assert verify_events(sealed).waiting == 2
    assert seal_events(sealed) == 2

    then = verify_events(sealed, known=first.head)
    assert (then.problem, then.head) == ("", head_of(sealed))
    assert then.head.number == 7


def test_an_empty_trail_is_good(database: Database):
    assert seal_events(database) == 0
    assert verify_events(database).problem == ""


def test_more_than_are_sealed_at_once_are_sealed(
    database: Database, user: User, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("adit_core.services.audit_seal._AT_ONCE", 2)
    record(database, user, 5)

    assert seal_events(database) == 5
    assert verify_events(database).head.number == 5


@pytest.mark.parametrize(
    "statement",
    [
        update(AuditEvent).values(actor="somebody"),
        update(AuditEvent).values(details={}),
        delete(AuditEvent),
        update(AuditSeal).values(chained_hash="0" * 64),
        delete(AuditSeal),
    ],
    ids=["event changed", "details changed", "event deleted", "seal changed", "seal deleted"],
)
def test_the_database_refuses_to_change_the_trail(sealed: Database, statement: object):
    with sealed.engine.connect() as connection, pytest.raises(DBAPIError, match="cannot be changed"):
        connection.execute(statement)  # type: ignore[call-overload]

    assert verify_events(sealed).problem == ""


def test_the_trail_outlives_the_account(sealed: Database, user: User):
    with sealed.session() as session:
        session.delete(session.get_one(User, user.id))
        session.commit()

    with sealed.reading() as session:
        assert set(session.exec(select(AuditEvent.actor_id))) == {None}
    assert verify_events(sealed).problem == ""


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ([update(AuditEvent).where(col(AuditEvent.id) == 3).values(actor="x")], "Event 3 of .* changed"),
        (
            [update(AuditEvent).where(col(AuditEvent.id) == 3).values(succeeded=False)],
            "Event 3 of .* changed",
        ),
        ([update(AuditEvent).where(col(AuditEvent.id) == 3).values(details={})], "Event 3 of .* changed"),
        ([delete(AuditSeal).where(col(AuditSeal.number) == 3)], "Seal 3 is missing"),
        (
            [
                delete(AuditSeal).where(col(AuditSeal.number) == 3),
                delete(AuditEvent).where(col(AuditEvent.id) == 3),
                update(AuditSeal).where(col(AuditSeal.number) == 4).values(number=3),
                update(AuditSeal).where(col(AuditSeal.number) == 5).values(number=4),
            ],
            "Event 4 of .* was changed",
        ),
    ],
    ids=["actor", "outcome", "details", "seal", "event and seal"],
)
def test_who_tampers_is_found_out(sealed: Database, statements: list[object], problem: str):
    tamper(sealed, *statements)

    verification = verify_events(sealed)

    assert verification.head.number == 2
    assert re.search(problem, verification.problem)


def cut_off(db: Database) -> None:
    tamper(
        db,
        delete(AuditSeal).where(col(AuditSeal.number) > 3),
        delete(AuditEvent).where(col(AuditEvent.id) > 3),
    )


def write_anew(db: Database) -> None:
    tamper(db, delete(AuditSeal), update(AuditEvent).where(col(AuditEvent.id) == 1).values(actor="x"))
    seal_events(db)


@pytest.mark.parametrize(
    ("deed", "problem"),
    [(cut_off, "3 seals, but 5 were noted down"), (write_anew, "Seal 5 is not the one that was noted down")],
)
def test_who_writes_the_chain_anew_is_found_out_by_what_was_noted_down(
    sealed: Database, deed: Callable[[Database], None], problem: str
):
    noted = head_of(sealed)

    deed(sealed)

    assert verify_events(sealed).problem == ""
    assert problem in verify_events(sealed, known=noted).problem


def test_two_who_seal_at_once_seal_each_event_once(database: Database, user: User):
    record(database, user, 40)

    with ThreadPoolExecutor(4) as pool:
        sealed = sum(pool.map(lambda _: seal_events(database), range(4)))
    sealed += seal_events(database)

    assert sealed == 40
    assert verify_events(database).head.number == 40
    assert verify_events(database).problem == ""
