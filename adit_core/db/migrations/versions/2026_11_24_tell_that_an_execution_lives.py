"""Tell that an execution lives."""

import sqlalchemy as sa
from alembic import op

revision = "9bbddd2b2fa8"
down_revision = "0e63a926d195"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as batch_op:
        batch_op.add_column(sa.Column("running_until", sa.DateTime(timezone=True), nullable=True))
