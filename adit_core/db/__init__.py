"""The tables, one file per aggregate, and the database that holds them.

Truth about jobs lives here: Prefect schedules and shows, but a job's state is what these tables say.
"""

from adit_core.db.announcements import Announcement, Importance, Maintenance
from adit_core.db.audit import AuditEvent, AuditSeal
from adit_core.db.disks import DiskReading, SpaceState
from adit_core.db.events import JobEvent
from adit_core.db.held import HeldInstance, ReviewStatus
from adit_core.db.jobs import Job, JobKind, JobStatus, TransferOptions
from adit_core.db.mass import MassTransferOptions, Partition, SeriesFilter
from adit_core.db.nodes import (
    ConnectionProfile,
    CredentialsKind,
    DicomNode,
    NodeAccess,
    NodeKind,
    StorageForm,
)
from adit_core.db.notifications import Channel, JobEnd, Notification
from adit_core.db.places import NodePlace, Precedence
from adit_core.db.policies import NodeHealth, NodePolicy, OutsideWindow, Weekday, WeeklyWindow
from adit_core.db.projects import PatientLink, ProjectAccess, PseudonymProject, PseudonymSource, StudyLink
from adit_core.db.queries import QueryResult, QueryRow, RowStatus
from adit_core.db.studies import Series, Study
from adit_core.db.submissions import RepeatableCreation, Submission
from adit_core.db.tasks import SeriesProgress, Task, TaskKind, TaskStatus
from adit_core.db.tokens import ApiToken, TokenScope
from adit_core.db.uploads import Upload, UploadedSeries, UploadedStudy
from adit_core.db.users import (
    ExternalIdentity,
    Group,
    GroupPermission,
    KnownBrowser,
    Membership,
    Permission,
    User,
    WebSession,
)

__all__ = [
    "Announcement",
    "ApiToken",
    "AuditEvent",
    "AuditSeal",
    "Channel",
    "ConnectionProfile",
    "CredentialsKind",
    "DicomNode",
    "DiskReading",
    "ExternalIdentity",
    "Group",
    "GroupPermission",
    "HeldInstance",
    "Importance",
    "Job",
    "JobEnd",
    "JobEvent",
    "JobKind",
    "JobStatus",
    "KnownBrowser",
    "Maintenance",
    "MassTransferOptions",
    "Membership",
    "NodeAccess",
    "NodeHealth",
    "NodeKind",
    "NodePlace",
    "NodePolicy",
    "Notification",
    "OutsideWindow",
    "Partition",
    "PatientLink",
    "Permission",
    "Precedence",
    "ProjectAccess",
    "PseudonymProject",
    "PseudonymSource",
    "QueryResult",
    "QueryRow",
    "RepeatableCreation",
    "ReviewStatus",
    "RowStatus",
    "Series",
    "SeriesFilter",
    "SeriesProgress",
    "SpaceState",
    "StorageForm",
    "Study",
    "StudyLink",
    "Submission",
    "Task",
    "TaskKind",
    "TaskStatus",
    "TokenScope",
    "TransferOptions",
    "Upload",
    "UploadedSeries",
    "UploadedStudy",
    "User",
    "WebSession",
    "Weekday",
    "WeeklyWindow",
]
