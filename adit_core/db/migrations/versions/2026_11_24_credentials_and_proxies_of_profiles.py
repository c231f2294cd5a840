"""Credentials and proxies of profiles, which are not removed while servers use them."""

import sqlalchemy as sa
from alembic import op

revision = "1d1a456676ae"
down_revision = "00e71f570b4b"
branch_labels = None
depends_on = None

_KEY = "fk_dicom_node_connection_profile_id"


def upgrade() -> None:
    # The defaults are for the rows that are there already.
    with op.batch_alter_table("connection_profile") as batch:
        batch.add_column(sa.Column("credentials_kind", sa.String(length=40), nullable=True))
        batch.add_column(sa.Column("credentials", sa.String(), nullable=True))
        batch.add_column(sa.Column("proxy", sa.String(), nullable=True))
        batch.add_column(sa.Column("busy_timeout", sa.Float(), nullable=False, server_default="30"))
        batch.add_column(sa.Column("parallel_uploads", sa.Integer(), nullable=False, server_default="3"))
    with op.batch_alter_table("connection_profile") as batch:
        for name in ("busy_timeout", "parallel_uploads"):
            batch.alter_column(name, server_default=None)
    # A copy on SQLite forgets what a table said of its ids, unless it is told again.
    with op.batch_alter_table("dicom_node", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_constraint(_KEY, type_="foreignkey")
        batch.create_foreign_key(
            _KEY, "connection_profile", ["connection_profile_id"], ["id"], ondelete="RESTRICT"
        )
