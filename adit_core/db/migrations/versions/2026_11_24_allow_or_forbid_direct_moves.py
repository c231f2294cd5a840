"""Allow or forbid direct moves; nodes that are there already allow them."""

import sqlalchemy as sa
from alembic import op

revision = "00e71f570b4b"
down_revision = "cd79bf80bd88"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("dicom_node") as batch_op:
        batch_op.add_column(
            sa.Column("allows_direct_move", sa.Boolean(), nullable=False, server_default=sa.true())
        )
    with op.batch_alter_table("dicom_node") as batch_op:
        batch_op.alter_column("allows_direct_move", server_default=None)
