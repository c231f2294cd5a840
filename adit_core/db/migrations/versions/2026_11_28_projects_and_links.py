"""Projects that data are pseudonymized for, who was who in them, and instances that are held back."""

import sqlalchemy as sa
from alembic import op

revision = "7d2c9a41e0b8"
down_revision = "c3d8a5e07b14"
branch_labels = None
depends_on = None

_NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


def upgrade() -> None:
    op.create_table(
        "pseudonym_project",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("pseudonyms", sa.String(length=40), nullable=False),
        sa.Column("trial_protocol_id", sa.String(length=64), nullable=False),
        sa.Column("trial_protocol_name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pseudonym_project")),
        sa.UniqueConstraint("name", name=op.f("uq_pseudonym_project_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "project_access",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["group.id"], name=op.f("fk_project_access_group_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["pseudonym_project.id"],
            name=op.f("fk_project_access_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("group_id", "project_id", name=op.f("pk_project_access")),
    )
    op.create_table(
        "patient_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("patient_digest", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["pseudonym_project.id"],
            name=op.f("fk_patient_link_project_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient_link")),
        sa.UniqueConstraint(
            "project_id", "patient_digest", name=op.f("uq_patient_link_project_id_patient_digest")
        ),
        sa.UniqueConstraint("project_id", "pseudonym", name="uq_patient_link_pseudonym"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "study_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_link_id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(), nullable=False),
        sa.Column("pseudonymized_study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["patient_link_id"],
            ["patient_link.id"],
            name=op.f("fk_study_link_patient_link_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_study_link")),
        sa.UniqueConstraint(
            "patient_link_id",
            "pseudonymized_study_instance_uid",
            name=op.f("uq_study_link_patient_link_id_pseudonymized_study_instance_uid"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_study_link_pseudonymized_study_instance_uid"),
        "study_link",
        ["pseudonymized_study_instance_uid"],
    )
    op.create_table(
        "held_instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("blanked", sa.JSON(), nullable=False),
        sa.Column("reviewer_id", sa.Integer(), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["task.id"], name=op.f("fk_held_instance_task_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["reviewer_id"], ["user.id"], name=op.f("fk_held_instance_reviewer_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_instance")),
        sa.UniqueConstraint(
            "task_id", "sop_instance_uid", name=op.f("uq_held_instance_task_id_sop_instance_uid")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_held_instance_status"), "held_instance", ["status"])
    with op.batch_alter_table("job", table_kwargs=_NEVER_REUSE_IDS) as batch_op:
        batch_op.add_column(sa.Column("project_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_job_project_id"), "pseudonym_project", ["project_id"], ["id"], ondelete="RESTRICT"
        )
