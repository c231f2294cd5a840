"""What mass transfers look for."""

import sqlalchemy as sa
from alembic import op

revision = "c41d0e7f93aa"
down_revision = "95be7871e724"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("mass", sa.JSON(), nullable=True))
