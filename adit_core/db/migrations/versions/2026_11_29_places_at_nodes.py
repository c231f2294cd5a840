"""One account of who uses which node, for all processes."""

import sqlalchemy as sa
from alembic import op

revision = "f18b6c2d9e03"
down_revision = "c7d3e19f5a42"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node_place",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("asker", sa.String(length=36), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("precedence", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["node_id"], ["dicom_node.id"], name=op.f("fk_node_place_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_place")),
        sa.UniqueConstraint("node_id", "asker", name=op.f("uq_node_place_node_id_asker")),
    )
    op.create_index(op.f("ix_node_place_asker"), "node_place", ["asker"])
