"""The clock that all processes share, by which claims and signs of life are timed."""

from datetime import datetime

from sqlalchemy import ColumnElement, func, literal
from sqlmodel import Session, select

from adit_core.db.columns import UtcDateTime, utc_now


def shared_now(session: Session) -> datetime:
    """Return the present moment by the database's clock; those of the machines need not agree.

    SQLite has none of its own, but all who use such a database are on one machine.
    """
    if session.get_bind().dialect.name == "postgresql":
        return session.exec(select(func.clock_timestamp())).one()
    return utc_now()


def clock_of(session: Session) -> ColumnElement[datetime]:
    """Return what `shared_now` says as a column, for those who ask for something else as well."""
    if session.get_bind().dialect.name == "postgresql":
        return func.clock_timestamp()
    return literal(utc_now(), UtcDateTime())
