"""Instances that were sent and name another patient, which no later attempt sees again."""

import sqlalchemy as sa
from alembic import op

revision = "a46c0d91e7b5"
down_revision = "5e1c8f3a7d20"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for the rows that are there already.
    with op.batch_alter_table("task") as batch:
        batch.add_column(sa.Column("of_others", sa.Integer(), nullable=False, server_default="0"))
    # A copy on SQLite forgets what a table said of its ids, unless it is told again.
    with op.batch_alter_table("task", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.alter_column("of_others", server_default=None)
