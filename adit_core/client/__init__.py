"""A client of ADIT for scripts and notebooks; it needs the base install only, and nothing of the server.

::

    from adit_core.client import AditClient

    with AditClient("https://adit.example.org", token="adit_…") as adit:
        studies = adit.find_studies("PACS", patient_name="Doe^J*", modalities=["CT"])
        for data_set in adit.archive("PACS").iter_instances(studies[0].study_instance_uid):
            ...
        adit.transfer(studies, source="PACS", destination="Research").wait()

What comes in lists can be had as a data frame by ``.to_pandas()``, and data frames can be given wherever
rows are taken, if pandas is installed. ``wait()`` shows a progress bar, a nice one if tqdm is installed.
"""

from adit_core.client.account_values import Group, NodeAccess, User
from adit_core.client.adit import AditClient
from adit_core.client.dicomweb import Archive
from adit_core.client.errors import (
    AditError,
    ConnectionFailed,
    InvalidRequest,
    JobFailed,
    NotAllowed,
    NotFound,
    NotPossible,
    NotSignedIn,
    RequestProblem,
    TooManyRequests,
    Unavailable,
)
from adit_core.client.job_values import (
    AnsweredRow,
    Event,
    FoundResult,
    JobSeries,
    Preview,
    QueryPreview,
    RefusedFile,
    RowPreview,
    SeriesPreview,
    StudyPreview,
    Task,
    TaskDetail,
    TaskSeries,
    Upload,
    UploadedSeries,
    UploadedStudy,
)
from adit_core.client.jobs import Job
from adit_core.client.node_values import ConnectionProfile, NodeSettings, Policy
from adit_core.client.project_values import (
    AttributeChange,
    HeldInstance,
    LinkedPatient,
    LinkedStudy,
    Project,
    SeriesDryRun,
)
from adit_core.client.reading import Table
from adit_core.client.retrieving import Disguise, Frame, Metadata
from adit_core.client.rows import Picked
from adit_core.client.storing import StoreResult
from adit_core.client.values import (
    Announcement,
    AuditEvent,
    Health,
    Instance,
    Maintenance,
    Me,
    NewToken,
    Node,
    NodeCheck,
    NodeDifference,
    Patient,
    Series,
    Study,
    Token,
)

__all__ = [
    "AditClient",
    "AditError",
    "Announcement",
    "AnsweredRow",
    "Archive",
    "AttributeChange",
    "AuditEvent",
    "ConnectionFailed",
    "ConnectionProfile",
    "Disguise",
    "Event",
    "FoundResult",
    "Frame",
    "Group",
    "Health",
    "HeldInstance",
    "Instance",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "JobSeries",
    "LinkedPatient",
    "LinkedStudy",
    "Maintenance",
    "Me",
    "Metadata",
    "NewToken",
    "Node",
    "NodeAccess",
    "NodeCheck",
    "NodeDifference",
    "NodeSettings",
    "NotAllowed",
    "NotFound",
    "NotPossible",
    "NotSignedIn",
    "Patient",
    "Picked",
    "Policy",
    "Preview",
    "Project",
    "QueryPreview",
    "RefusedFile",
    "RequestProblem",
    "RowPreview",
    "Series",
    "SeriesDryRun",
    "SeriesPreview",
    "StoreResult",
    "Study",
    "StudyPreview",
    "Table",
    "Task",
    "TaskDetail",
    "TaskSeries",
    "Token",
    "TooManyRequests",
    "Unavailable",
    "Upload",
    "UploadedSeries",
    "UploadedStudy",
    "User",
]
