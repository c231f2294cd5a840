"""The base of all tables, and column types that mean the same on SQLite and PostgreSQL."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import JSON, DateTime, Dialect, Enum, MetaData
from sqlalchemy.orm import declared_attr
from sqlalchemy.types import TypeDecorator
from sqlmodel import SQLModel


def utc_now() -> datetime:
    """Return the present moment as an aware UTC time, the only kind of time that is stored."""
    return datetime.now(UTC)


# Every constraint has a name, so that a migration can drop it on either database.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

NEVER_REUSE_IDS = {"sqlite_autoincrement": True}
"""For tables whose ids live on elsewhere (in Prefect, in the audit trail) after a row is deleted."""


def storable(text: str, length: int | None = None) -> str:
    """Return `text` as both databases take it: without NUL, cut to `length` characters."""
    return text.replace("\x00", "")[:length]


class Table(SQLModel):
    """Base of all tables; a table is named after its class in snake case."""

    metadata = MetaData(naming_convention=_NAMES)

    @declared_attr.directive
    @classmethod
    def __tablename__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps no zone, so it is put back when the value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive times, convert others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A naive time cannot be stored: give it a time zone.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the value with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Validated(TypeDecorator[Any]):
    """JSON that is validated against a type on its way in and out."""

    impl = JSON
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._adapter = TypeAdapter(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Validate and turn into plain JSON values."""
        return (
            None
            if value is None
            else self._adapter.dump_python(self._adapter.validate_python(value), mode="json")
        )

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Validate what the database holds."""
        return None if value is None else self._adapter.validate_python(value)


def validated(kind: Any) -> Any:
    """Return a column type that keeps values of `kind` as JSON."""
    return Validated(kind)


def words(kind: type[StrEnum]) -> Any:
    """Return a column type that stores the words of `kind` as text, the same on both databases."""
    return Enum(
        kind,
        native_enum=False,
        length=40,
        values_callable=lambda members: [member.value for member in members],
    )
