"""Rights by kind of job, for NIfTI, archives and the API; the group that a user works for.

Nobody loses anything: what was one right becomes all that it stood for, and all groups that are of use may
use the API.
"""

import sqlalchemy as sa
from alembic import op

revision = "d41f7b60a9c3"
down_revision = "c7d3e19f5a42"
branch_labels = None
depends_on = None

_NEVER_REUSE_IDS = {"sqlite_autoincrement": True}
_TRANSFERS = (
    "transfer selected studies",
    "transfer batches",
    "transfer masses",
    "upload",
    "convert to NIfTI",
    "make encrypted archives",
)


def upgrade() -> None:
    with op.batch_alter_table("user", table_kwargs=_NEVER_REUSE_IDS) as batch_op:
        batch_op.add_column(sa.Column("active_group_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_user_active_group_id"), "group", ["active_group_id"], ["id"], ondelete="SET NULL"
        )
        batch_op.create_index(op.f("ix_user_active_group_id"), ["active_group_id"])
    with op.batch_alter_table("job", table_kwargs=_NEVER_REUSE_IDS) as batch_op:
        batch_op.add_column(sa.Column("group_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_job_group_id"), "group", ["group_id"], ["id"], ondelete="SET NULL"
        )
        batch_op.create_index(op.f("ix_job_group_id"), ["group_id"])
    for permission in _TRANSFERS:
        _give(permission, "permission = 'transfer'")
    _give("convert to NIfTI", "permission = 'DICOMweb retrieve'")
    op.execute("DELETE FROM group_permission WHERE permission = 'transfer'")
    _give("use the API", "true")
    _give("use the API", "true", of="membership")


def _give(permission: str, condition: str, *, of: str = "group_permission") -> None:
    """Give a permission to the groups of some rows, unless they have it."""
    op.execute(
        f"""
        INSERT INTO group_permission (group_id, permission)
        SELECT DISTINCT group_id, '{permission}' FROM {of}
        WHERE {condition} AND group_id NOT IN (
            SELECT group_id FROM group_permission WHERE permission = '{permission}'
        )
        """  # noqa: S608 - all words are of this file
    )
