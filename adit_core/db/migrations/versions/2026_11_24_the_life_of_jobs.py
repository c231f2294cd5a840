"""Approval, the outbox of notifications, and what makes the history of large jobs quick to read."""

import sqlalchemy as sa
from alembic import op

revision = "c3d8a5e07b14"
down_revision = "c41d7a90e5b3"
branch_labels = None
depends_on = None

_FLAGS = {"user": ("needs_approval", "notify_by_email"), "task": ("refused",)}
_NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


def upgrade() -> None:
    for table, flags in _FLAGS.items():
        for flag in flags:
            op.add_column(table, sa.Column(flag, sa.Boolean(), nullable=False, server_default=sa.false()))
        with op.batch_alter_table(table, table_kwargs=_NEVER_REUSE_IDS) as batch_op:
            for flag in flags:
                batch_op.alter_column(flag, server_default=None)
    # On SQLite the last migration rebuilt the table without it, and from now on jobs can be deleted.
    with op.batch_alter_table("job", table_kwargs=_NEVER_REUSE_IDS) as batch_op:
        batch_op.alter_column("name", existing_type=sa.String(length=150))
    op.drop_index("ix_job_event_job_id_task_id", "job_event")
    op.create_index(op.f("ix_job_event_job_id_id"), "job_event", ["job_id", "id"])
    op.create_index(op.f("ix_job_event_task_id_id"), "job_event", ["task_id", "id"])
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("job_end", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("fk_notification_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_notification_job_id"), "notification", ["job_id"])
    op.create_index(op.f("ix_notification_due_at"), "notification", ["due_at"])
