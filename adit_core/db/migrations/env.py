"""What Alembic runs: the migrations, on the connection that `adit_core.db.migrations` hands over."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Enum
from sqlalchemy.types import String, TypeDecorator

from adit_core.db import AuditEvent


def _render(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write columns with the plain types underneath ours, which may change while migrations must not."""
    if kind != "type":
        return False
    if isinstance(item, Enum):
        return f"sa.String(length={item.length})"
    plain = item.impl_instance if isinstance(item, TypeDecorator) else item
    if isinstance(plain, String):
        return f"sa.String(length={plain.length})" if plain.length else "sa.String()"
    return f"sa.{plain!r}" if plain is not item else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=AuditEvent.metadata,
    render_item=_render,
    render_as_batch=True,  # SQLite cannot alter a table, so it is copied
    transactional_ddl=True,  # true of SQLite as we drive it
)
context.run_migrations()
