"""Identities at an OpenID provider, and which sessions were opened by it."""

import sqlalchemy as sa
from alembic import op

revision = "5e1c8f3a7d20"
down_revision = "d84a1b7e3f60"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "external_identity",
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("linked_by", sa.String(length=150), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name=op.f("fk_external_identity_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_external_identity")),
    )
    op.create_index(op.f("ix_external_identity_user_id"), "external_identity", ["user_id"])
    # The default stays, as everywhere: SQLite would have to copy the table to drop it.
    op.add_column(
        "web_session", sa.Column("issuer", sa.String(length=500), nullable=False, server_default="")
    )
    op.add_column("web_session", sa.Column("id_token", sa.String(), nullable=True))
