"""Adding rows, or bringing those that exist up to date, in one statement."""

from collections.abc import Collection, Sequence

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
    table = type(rows[0])
    values = [row.model_dump(exclude={"id"}) for row in rows]
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    changes = {name: statement.excluded[name] for name in values[0] if name not in key}
    session.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changes), values)
