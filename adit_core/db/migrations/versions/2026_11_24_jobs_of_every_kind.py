"""Jobs of every kind, and the history of each."""

import sqlalchemy as sa
from alembic import op

revision = "5b1f0c6f2a31"
down_revision = "1d1a456676ae"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.drop_index("ix_transfer_task_job_id_status", "transfer_task")
    op.rename_table("transfer_task", "task")
    op.create_table(
        "job_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=150), nullable=True),
        sa.Column("status", sa.String(length=40), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_event_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["task.id"], name=op.f("fk_job_event_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_event")),
    )
    op.create_index(op.f("ix_job_event_job_id_task_id"), "job_event", ["job_id", "task_id"])
    # What was told of a task so far becomes one event: its lines have no common form.
    op.execute(
        "INSERT INTO job_event (at, job_id, task_id, message) "
        "SELECT coalesce(task.ended_at, task.started_at, job.created_at), job_id, task.id, task.log "
        "FROM task JOIN job ON job.id = task.job_id WHERE task.log <> ''"
    )
    with op.batch_alter_table("task") as batch_op:
        batch_op.drop_column("log")
        batch_op.add_column(
            sa.Column("kind", sa.String(length=40), nullable=False, server_default="transfer")
        )
        batch_op.add_column(sa.Column("period_start", _TIME, nullable=True))
        batch_op.add_column(sa.Column("period_end", _TIME, nullable=True))
        batch_op.add_column(sa.Column("parent_id", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("kill_requested", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.create_foreign_key(
            op.f("fk_task_parent_id"), "task", ["parent_id"], ["id"], ondelete="SET NULL"
        )
    with op.batch_alter_table("task") as batch_op:
        batch_op.alter_column("kind", server_default=None)
        batch_op.alter_column("kill_requested", server_default=None)
    op.create_index(op.f("ix_task_job_id_status"), "task", ["job_id", "status"])
    op.create_index(op.f("ix_task_parent_id"), "task", ["parent_id"])
    with op.batch_alter_table("job") as batch_op:
        batch_op.alter_column("source_id", existing_type=sa.Integer(), nullable=True)
        batch_op.alter_column("destination_id", existing_type=sa.Integer(), nullable=True)
