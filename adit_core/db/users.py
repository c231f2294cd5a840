"""Users, groups and what groups permit; the sessions of the web."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field

from adit_core.db.columns import NEVER_REUSE_IDS, Table, UtcDateTime, utc_now, words
from adit_core.db.secrets import Sealed, SealedSecret


class Permission(StrEnum):
    """What the members of a group may do beyond looking at their own jobs."""

    TRANSFER_SELECTED = "transfer selected studies"
    """Those that the user picked from what an archive was found to hold."""
    TRANSFER_BATCHES = "transfer batches"
    """The studies that a spreadsheet lists."""
    TRANSFER_MASSES = "transfer masses"
    """Whatever a range of days and filters choose."""
    UPLOAD = "upload"
    """Bring DICOM files, and have them transferred."""
    QUERY = "query"
    """Ask archives about the rows of a spreadsheet."""
    CONVERT_TO_NIFTI = "convert to NIfTI"
    """Have a folder get NIfTI volumes instead of DICOM files, and retrieve them through the proxy."""
    MAKE_ARCHIVES = "make encrypted archives"
    """Have a folder get encrypted archives instead of DICOM files."""
    PROCESS_URGENTLY = "process urgently"
    TRANSFER_UNPSEUDONYMIZED = "transfer unpseudonymized"
    VIEW_LINK_TABLE = "view link table"
    REVIEW_HELD_INSTANCES = "review held instances"
    """Look at images that may show who the patient is, and let them leave."""
    DICOMWEB_QUERY = "DICOMweb query"
    DICOMWEB_RETRIEVE = "DICOMweb retrieve"
    DICOMWEB_STORE = "DICOMweb store"
    USE_API = "use the API"
    """Make tokens, and use the API and the DICOMweb proxy by them."""


class User(Table, table=True):
    """A person with an account. Staff see and act on everybody's jobs, and administer."""

    __table_args__ = NEVER_REUSE_IDS

    id: int = Field(default=None, primary_key=True)
    username: str = Field(max_length=150, unique=True)
    full_name: str = Field(default="", max_length=150)
    email: str = Field(default="", max_length=254)
    password_hash: str | None = None
    """argon2id; None for accounts that sign in elsewhere."""
    is_staff: bool = False
    is_active: bool = True
    needs_approval: bool = False
    """Jobs of this user start UNVERIFIED; those of staff never do."""
    notify_by_email: bool = False
    """Whether an e-mail tells of the end of each job."""
    time_zone: str = Field(default="", max_length=64)
    """In which moments are shown, by its name in the IANA database; empty for that of the browser."""
    active_group_id: int | None = Field(default=None, foreign_key="group.id", ondelete="SET NULL", index=True)
    """The only one of the user's groups whose rights count; None if those of all count together."""
    must_change_password: bool = False
    """Whether somebody else chose the password, so that the user can do nothing before choosing one."""
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)


class Group(Table, table=True):
    """A team that shares permissions and nodes."""

    id: int = Field(default=None, primary_key=True)
    name: str = Field(max_length=150, unique=True)


class Membership(Table, table=True):
    """A user is a member of a group."""

    user_id: int = Field(foreign_key="user.id", primary_key=True, ondelete="CASCADE")
    group_id: int = Field(foreign_key="group.id", primary_key=True, ondelete="CASCADE")


class GroupPermission(Table, table=True):
    """A group's members have a permission."""

    group_id: int = Field(foreign_key="group.id", primary_key=True, ondelete="CASCADE")
    permission: Permission = Field(sa_type=words(Permission), primary_key=True)


class WebSession(Table, table=True):
    """A signed-in browser. Only the SHA-256 of the cookie's token is kept."""

    token_hash: str = Field(max_length=64, primary_key=True)
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    csrf_token: str = Field(max_length=64)
    address: str = Field(default="", max_length=64)
    created_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_seen_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    issuer: str = Field(default="", max_length=500)
    """The OpenID provider that said who it is; empty if a password did."""
    id_token: Sealed | None = Field(default=None, sa_type=SealedSecret)
    """What the provider said, by which its own session is ended when this one is."""


class ExternalIdentity(Table, table=True):
    """A user is known to an OpenID provider, which alone says when somebody is this user."""

    issuer: str = Field(max_length=500, primary_key=True)
    """The provider's name, a URL."""
    subject: str = Field(max_length=255, primary_key=True)
    """What it calls the user, for ever and nobody else: the claim `sub` (OpenID Connect Core, 2)."""
    user_id: int = Field(foreign_key="user.id", index=True, ondelete="CASCADE")
    linked_by: str = Field(max_length=150)
    """Who said that it is this user; ADIT itself, if it added the account for them."""
    linked_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class KnownBrowser(Table, table=True):
    """A browser in which a user has signed in before. Only the SHA-256 of its cookie is kept.

    Guessing by strangers does not keep the user out of it; see `adit_core.services.sign_in_throttle`.
    """

    token_hash: str = Field(max_length=64, primary_key=True)
    user_id: int = Field(foreign_key="user.id", primary_key=True, ondelete="CASCADE")
    last_used_at: datetime = Field(default_factory=utc_now, sa_type=UtcDateTime)
