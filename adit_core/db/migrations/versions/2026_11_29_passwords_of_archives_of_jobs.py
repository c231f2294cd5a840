"""Jobs whose studies go into one encrypted archive, and the password of it."""

import sqlalchemy as sa
from alembic import op

revision = "c7d3e19f5a42"
down_revision = "a46c0d91e7b5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("archive_password", sa.String(), nullable=True))
