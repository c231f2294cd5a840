"""Creations that may be repeated under a key."""

import sqlalchemy as sa
from alembic import op

revision = "d84a1b7e3f60"
down_revision = "c1f58e2d07ab"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "repeatable_creation",
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["user.id"], name=op.f("fk_repeatable_creation_owner_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner_id", "key", name=op.f("pk_repeatable_creation")),
    )
