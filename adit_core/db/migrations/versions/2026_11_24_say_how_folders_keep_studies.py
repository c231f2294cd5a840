"""Say how folders keep studies."""

import sqlalchemy as sa
from alembic import op

revision = "2f4580546f46"
down_revision = "9bbddd2b2fa8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The defaults are for folders that are there already, and stay: to remove them, SQLite would copy the table.
    with op.batch_alter_table("dicom_node", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("storage", sa.String(length=40), nullable=False, server_default="files")
        )
        batch_op.add_column(sa.Column("patient_folder", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("study_folder", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("series_folder", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("instance_file", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("archive_name", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("archive_password", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column("sidecars", sa.String(length=40), nullable=False, server_default="technical")
        )
