"""The keys that secrets are sealed with: whether they fit, and changing them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table
from sqlmodel import Session, select, update

from adit_core.db import User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import Table as AnyTable
from adit_core.db.engine import Database
from adit_core.db.secrets import SealedSecret
from adit_core.services import audit
from adit_core.services.rights import require_administrator


def rotate_secrets(db: Database, *, actor: User | str = audit.SYSTEM) -> int:
    """Seal every secret of the database with the first key, and return how many there are.

    To change the key: put a new one in front of the old one, restart all processes, rotate, take the
    old one away. It happens in one transaction, so all secrets are rotated or none.

    Raises:
        SecretUnreadable: A secret was sealed with a key that is not at hand.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    with db.session() as session:
        number = sum(_rotate_column(db, session, column) for column in _sealed_columns())
        audit.record(session, AuditAction.SECRETS_ROTATED, actor=actor, number=number)
        session.commit()
    return number


@dataclass(frozen=True, slots=True)
class SecretCounts:
    """How many secrets of the database can be read with the keys at hand."""

    readable: int
    unreadable: int


def count_secrets(db: Database) -> SecretCounts:
    """Try the keys at hand on every secret.

    Raises:
        SecretUnreadable: There are secrets, but no key at all, or one that is none.
    """
    with db.reading() as session:
        sealed = [
            secret
            for column in _sealed_columns()
            for secret in session.execute(select(column).where(column.is_not(None))).scalars()
        ]
    readable = sum(map(db.keyring.opens, sealed))
    return SecretCounts(readable, len(sealed) - readable)


def _sealed_columns() -> list[Column[Any]]:
    tables = AnyTable.metadata.sorted_tables
    return [column for table in tables for column in table.columns if isinstance(column.type, SealedSecret)]


def _rotate_column(db: Database, session: Session, column: Column[Any]) -> int:
    table = column.table
    assert isinstance(table, Table), "columns of views are not sealed"
    keys = list(table.primary_key.columns)
    rows = session.execute(select(column, *keys).where(column.is_not(None)).with_for_update()).all()
    for sealed, *values in rows:
        is_row = [key == value for key, value in zip(keys, values, strict=True)]
        resealed = db.keyring.seal(db.keyring.unseal(sealed))
        session.execute(update(table).where(*is_row).values({column.name: resealed}))
    return len(rows)
