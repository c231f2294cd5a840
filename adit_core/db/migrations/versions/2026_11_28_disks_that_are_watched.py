"""How full disks are, what is asked of folders, and notifications that are about no job."""

import sqlalchemy as sa
from alembic import op

revision = "b7d40c6a91f3"
down_revision = "9c47e0b2d815"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "disk_reading",
        sa.Column("place", sa.String(length=80), nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("free", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told", sa.String(length=40), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["node_id"], ["dicom_node.id"], name=op.f("fk_disk_reading_node_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_disk_reading")),
        sa.UniqueConstraint("node_id", name=op.f("uq_disk_reading_node_id")),
    )
    op.add_column("node_policy", sa.Column("min_free_bytes", sa.BigInteger(), nullable=True))
    op.add_column("node_policy", sa.Column("quota_bytes", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("notification", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.alter_column("job_id", existing_type=sa.Integer(), nullable=True)
        batch_op.alter_column("job_end", existing_type=sa.JSON(), nullable=True)
        batch_op.add_column(sa.Column("recipient_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("disk", sa.JSON(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_notification_recipient_id"), "user", ["recipient_id"], ["id"], ondelete="CASCADE"
        )
