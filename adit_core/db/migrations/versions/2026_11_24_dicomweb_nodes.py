"""DICOMweb nodes."""

import sqlalchemy as sa
from alembic import op

revision = "cd79bf80bd88"
down_revision = "169e860d0ffc"
branch_labels = None
depends_on = None

_TEXTS = {"base_url": 1024, "qido_prefix": 255, "wado_prefix": 255, "stow_prefix": 255}
_FLAGS = ("supports_qido", "supports_wado", "supports_stow")


def upgrade() -> None:
    # The defaults are for the rows that are there already.
    with op.batch_alter_table("dicom_node") as batch:
        for name, length in _TEXTS.items():
            batch.add_column(sa.Column(name, sa.String(length=length), nullable=False, server_default=""))
        for name in _FLAGS:
            batch.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("dicom_node") as batch:
        for name in (*_TEXTS, *_FLAGS):
            batch.alter_column(name, server_default=None)
