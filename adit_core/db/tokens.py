"""Tokens, by which programs use the API in the name of a user."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated


class TokenScope(StrEnum):
    """What a token may be used for. It never allows more than its user may do."""

    READ = "read"
    """Look at nodes, archives, jobs and their results."""
    JOBS = "jobs"
    """Submit, cancel and repeat jobs."""
    UPLOAD = "upload"
    """Send DICOM files to the server."""
    DICOMWEB = "dicomweb"
    """Use archives through the DICOMweb proxy."""
    ADMIN = "admin"
    """Administer; of use to staff only."""


class ApiToken(Table, table=True):
    """A token of a user. Only its SHA-256 is kept, which recognises it and is of no use to a reader."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    token_hash: str = Field(max_length=64, unique=True)
    prefix: str = Field(max_length=16)
    """Its first characters, by which its user tells it from others."""
    name: str = Field(max_length=150)
    """What it is for, in the user's words."""
    scopes: frozenset[TokenScope] = Field(sa_type=validated(frozenset[TokenScope]))
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """None for one that lasts until it is revoked."""
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """To the minute."""
    last_used_from: str = Field(default="", max_length=64)
    """The network address of the last use."""
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
