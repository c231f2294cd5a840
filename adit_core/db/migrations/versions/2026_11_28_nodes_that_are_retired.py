"""Nodes that are retired, since jobs refer to them."""

import sqlalchemy as sa
from alembic import op

revision = "c1f58e2d07ab"
down_revision = "b7d40c6a91f3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dicom_node", sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True))
