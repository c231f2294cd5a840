"""Policies and health of nodes."""

import sqlalchemy as sa
from alembic import op

revision = "95be7871e724"
down_revision = "5b1f0c6f2a31"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node_health",
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("prober", sa.String(length=64), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("busy_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paced_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["node_id"], ["dicom_node.id"], name=op.f("fk_node_health_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_health")),
    )
    op.create_table(
        "node_policy",
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("instances_per_second", sa.Float(), nullable=True),
        sa.Column("windows", sa.JSON(), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("outside", sa.String(length=40), nullable=False),
        sa.Column("find_limit", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["node_id"], ["dicom_node.id"], name=op.f("fk_node_policy_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("node_id", name=op.f("pk_node_policy")),
    )
