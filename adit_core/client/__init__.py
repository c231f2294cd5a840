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

from adit_core.client.adit import AditClient
from adit_core.client.dicomweb import Archive, Disguise, StoreResult
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
from adit_core.client.jobs import Job
from adit_core.client.values import (
    AnsweredRow,
    Event,
    FoundResult,
    HeldInstance,
    Instance,
    LinkedPatient,
    LinkedStudy,
    Me,
    NewToken,
    Node,
    Patient,
    Preview,
    Project,
    RefusedFile,
    Series,
    Study,
    StudyPreview,
    Table,
    Task,
    Token,
    Upload,
    UploadedStudy,
)

__all__ = [
    "AditClient",
    "AditError",
    "AnsweredRow",
    "Archive",
    "ConnectionFailed",
    "Disguise",
    "Event",
    "FoundResult",
    "HeldInstance",
    "Instance",
    "InvalidRequest",
    "Job",
    "JobFailed",
    "LinkedPatient",
    "LinkedStudy",
    "Me",
    "NewToken",
    "Node",
    "NotAllowed",
    "NotFound",
    "NotPossible",
    "NotSignedIn",
    "Patient",
    "Preview",
    "Project",
    "RefusedFile",
    "RequestProblem",
    "Series",
    "StoreResult",
    "Study",
    "StudyPreview",
    "Table",
    "Task",
    "Token",
    "TooManyRequests",
    "Unavailable",
    "Upload",
    "UploadedStudy",
]
