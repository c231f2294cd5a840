"""The audit trail cannot be changed, and its events are chained."""

import sqlalchemy as sa
from alembic import op

revision = "9c47e0b2d815"
down_revision = "3b9d61f7a2ce"
branch_labels = None
depends_on = None

_EVENT = ("id", "at", "actor", "action", "succeeded", "object_kind", "object_id", "address", "details")
_SEAL = ("number", "event_id", "chained_hash", "sealed_at")


def upgrade() -> None:
    op.create_table(
        "audit_seal",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("chained_hash", sa.String(length=64), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["audit_event.id"], name=op.f("fk_audit_seal_event_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seal")),
        sa.UniqueConstraint("event_id", name=op.f("uq_audit_seal_event_id")),
    )
    # The id of a user who was deleted goes, the name stays: so `actor_id` is not among the columns.
    if op.get_bind().dialect.name == "sqlite":
        for table, columns in (("audit_event", _EVENT), ("audit_seal", _SEAL)):
            _keep_in_sqlite(table, columns)
    else:
        op.execute(
            "CREATE OR REPLACE FUNCTION adit_keep() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'The audit trail cannot be changed.'; END $$"
        )
        for table, columns in (("audit_event", _EVENT), ("audit_seal", _SEAL)):
            _keep_in_postgresql(table, columns)


def _keep_in_sqlite(table: str, columns: tuple[str, ...]) -> None:
    for name, event in (("delete", "DELETE"), ("update", f"UPDATE OF {', '.join(columns)}")):
        op.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'The audit trail cannot be changed.'); END"
        )


def _keep_in_postgresql(table: str, columns: tuple[str, ...]) -> None:
    quoted = ", ".join(f'"{column}"' for column in columns)
    for name, event, each in (
        ("delete", "DELETE", "ROW"),
        ("update", f"UPDATE OF {quoted}", "ROW"),
        ("truncate", "TRUNCATE", "STATEMENT"),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_{name} BEFORE {event} ON {table} "
            f"FOR EACH {each} EXECUTE FUNCTION adit_keep()"
        )
