"""Batch queries."""

import sqlalchemy as sa
from alembic import op

revision = "c41d7a90e5b3"
down_revision = "c41d0e7f93aa"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "query_row",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_query_row_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["task.id"], name=op.f("fk_query_row_task_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_query_row")),
        sa.UniqueConstraint("job_id", "row", name=op.f("uq_query_row_job_id_row")),
    )
    op.create_index(op.f("ix_query_row_task_id"), "query_row", ["task_id"])
    op.create_table(
        "query_result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("query_row_id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("patient_name", sa.String(), nullable=False),
        sa.Column("patient_birth_date", sa.Date(), nullable=True),
        sa.Column("study_instance_uid", sa.String(), nullable=False),
        sa.Column("accession_number", sa.String(), nullable=False),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("study_time", sa.String(), nullable=False),
        sa.Column("study_description", sa.String(), nullable=False),
        sa.Column("modalities", sa.JSON(), nullable=False),
        sa.Column("series_instance_uid", sa.String(), nullable=False),
        sa.Column("series_number", sa.Integer(), nullable=True),
        sa.Column("series_description", sa.String(), nullable=False),
        sa.Column("number_of_instances", sa.Integer(), nullable=True),
        sa.Column("further", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["query_row_id"], ["query_row.id"], name=op.f("fk_query_result_query_row_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_query_result")),
    )
    op.create_index(op.f("ix_query_result_query_row_id"), "query_result", ["query_row_id"])
