"""What mass transfers look for, uploads, and the institutions of studies."""

import sqlalchemy as sa
from alembic import op

revision = "c41d0e7f93aa"
down_revision = "95be7871e724"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("mass", sa.JSON(), nullable=True))
    for table in ("study", "series"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.add_column(sa.Column("institution_name", sa.String(), nullable=False, server_default=""))
        with op.batch_alter_table(table) as batch_op:
            batch_op.alter_column("institution_name", server_default=None)
    op.create_table(
        "upload",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("studies", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_upload_job_id"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["owner_id"], ["user.id"], name=op.f("fk_upload_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
    )
    op.create_index(op.f("ix_upload_job_id"), "upload", ["job_id"])
    op.create_index(op.f("ix_upload_owner_id"), "upload", ["owner_id"])
