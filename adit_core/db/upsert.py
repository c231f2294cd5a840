"""Adding rows, or bringing those that exist up to date, in one statement."""

from collections.abc import Collection, Sequence

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
    statement = _insert(session, type(rows[0]))
    changes = {name: statement.excluded[name] for name in values[0] if name not in key}
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changes), values)


def add_if_missing(session: Session, row: Table, *, key: Collection[str]) -> bool:
    """Write `row`, unless one with the same `key` columns exists; tell whether it was written."""
    statement = _insert(session, type(row)).values(row.model_dump(exclude={"id"}))
    written = statement.on_conflict_do_nothing(index_elements=list(key)).returning(literal(1))
    return session.execute(written).first() is not None


def _insert(session: Session, table: type[Table]) -> postgresql.Insert | sqlite.Insert:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table)
