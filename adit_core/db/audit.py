"""Who did what to whose data, from where, with which outcome. Rows are added, never changed."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, validated, words


class AuditAction(StrEnum):
    """What was done, named after the events of DICOM PS3.15 A.5 where one fits."""

    SIGNED_IN = "signed in"
    SIGN_IN_FAILED = "sign-in failed"
    SIGN_IN_REFUSED = "sign-in refused after failures"
    SIGNED_OUT = "signed out"
    IDENTITY_LINKED = "identity linked"
    IDENTITY_UNLINKED = "identity unlinked"
    USER_ADDED = "user added"
    USER_CHANGED = "user changed"
    SESSIONS_ENDED = "sessions ended"
    GROUP_CHANGED = "group changed"
    TOKEN_CREATED = "token created"  # noqa: S105 - a word
    TOKEN_REVOKED = "token revoked"  # noqa: S105 - a word
    NODE_ADDED = "node added"
    NODE_CHANGED = "node changed"
    NODE_REMOVED = "node removed"
    NODE_RESTORED = "node restored"
    IMPORTED = "imported"
    DATABASE_BACKED_UP = "database backed up"
    DATABASE_RESTORED = "database restored"
    OUTDATED_REMOVED = "outdated removed"
    SECRETS_ROTATED = "secrets rotated"
    PROFILE_ADDED = "connection profile added"
    PROFILE_REPLACED = "connection profile replaced"
    PROFILE_REMOVED = "connection profile removed"
    ANNOUNCED = "announcement added"
    ANNOUNCEMENT_REMOVED = "announcement removed"
    MAINTENANCE_BEGUN = "maintenance begun"
    MAINTENANCE_ENDED = "maintenance ended"
    QUERIED = "queried"
    RETRIEVED = "retrieved"
    STORED = "stored"
    UPLOADED = "uploaded"
    JOB_SUBMITTED = "job submitted"
    JOB_CANCELED = "job canceled"
    JOB_RETRIED = "job retried"
    JOB_RESUMED = "job resumed"
    JOB_VERIFIED = "job verified"
    JOB_DELETED = "job deleted"
    JOB_RESTARTED = "job restarted"
    JOB_SEARCHED_AGAIN = "job searched again"
    JOB_VIEWED = "patients of job viewed"
    JOB_EXPORTED = "patients of job exported"
    JOB_MADE_URGENT = "job made urgent"
    TASK_DELETED = "task deleted"
    TASK_RESET = "task reset"
    TASK_KILLED = "task killed"
    STUDY_TRANSFERRED = "study transferred"
    PROJECT_ADDED = "project added"
    PROJECT_CHANGED = "project changed"
    PROJECT_REMOVED = "project removed"
    LINKS_VIEWED = "links viewed"
    LINKS_EXPORTED = "links exported"
    LINKS_DELETED = "links deleted"
    INSTANCE_VIEWED = "held instance viewed"
    INSTANCE_RELEASED = "held instance released"
    INSTANCE_REJECTED = "held instance rejected"


class AuditEvent(Table, table=True):
    """One event. The actor's name is kept beside the id, since it outlives the account."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime, index=True)
    actor: str = Field(max_length=150)
    actor_id: int | None = Field(default=None, foreign_key="user.id", ondelete="SET NULL")
    action: AuditAction = Field(sa_type=words(AuditAction), index=True)
    succeeded: bool = True
    object_kind: str = Field(default="", max_length=40)
    object_id: str = Field(default="", max_length=200)
    address: str = Field(default="", max_length=64)
    details: dict[str, str | int | bool | None] = Field(
        default_factory=dict,
        sa_type=validated(dict[str, str | int | bool | None]),
    )


class AuditSeal(Table, table=True):
    """The link of a chain that ties an event to all that were sealed before it.

    Events are not changed: the database refuses it. Who gets around that breaks the chain.
    """

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """1, 2, 3 and so on, without gaps."""
    event_id: int = Field(foreign_key="audit_event.id", unique=True)
    chained_hash: str = Field(max_length=64)
    """The SHA-256 of the hash before it and of the event, in hexadecimal digits."""
    sealed_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
