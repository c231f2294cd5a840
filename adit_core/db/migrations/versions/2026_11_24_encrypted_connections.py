"""Encrypted connections."""

import sqlalchemy as sa
from alembic import op

revision = "169e860d0ffc"
down_revision = "2f4580546f46"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The defaults are for the rows that are there already.
    with op.batch_alter_table("connection_profile") as batch:
        batch.add_column(sa.Column("tls", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("tls_ca", sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("tls_certificate", sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("tls_private_key", sa.String(), nullable=True))
        batch.add_column(
            sa.Column("tls_verify_host_name", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    with op.batch_alter_table("connection_profile") as batch:
        for name in ("tls", "tls_ca", "tls_certificate", "tls_verify_host_name"):
            batch.alter_column(name, server_default=None)
