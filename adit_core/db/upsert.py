"""Adding rows, or bringing those that exist up to date, in one statement."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from adit_core.db.columns import Table


def upsert(session: Session, rows: Sequence[Table], *, key: Collection[str]) -> None:
    """Write `rows`, all of one table; a row whose `key` columns exist already replaces what was there.

    `key` is the primary key or a unique constraint. Generated ids are not read back. A key must not
    occur twice in `rows`.
    """
    if not rows:
        return
    values = [row.model_dump(exclude={"id"}) for row in rows]
    table: Any = type(rows[0])  # pyright takes no class with a metaclass for hashable
    session.execute(_upsert(_dialect(session), table, tuple(key), tuple(values[0])), values)


def add_if_missing(session: Session, row: Table, *, key: Collection[str]) -> bool:
    """Write `row`, unless one with the same `key` columns exists; tell whether it was written."""
    statement = _insert(_dialect(session), type(row)).values(row.model_dump(exclude={"id"}))
    written = statement.on_conflict_do_nothing(index_elements=list(key)).returning(literal(1))
    return session.execute(written).first() is not None


@cache
def _upsert(
    dialect: str, table: type[Table], key: tuple[str, ...], columns: tuple[str, ...]
) -> postgresql.Insert | sqlite.Insert:
    statement = _insert(dialect, table)
    changes = {name: statement.excluded[name] for name in columns if name not in key}
    return statement.on_conflict_do_update(index_elements=list(key), set_=changes)


def _insert(dialect: str, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name
