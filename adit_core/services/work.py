"""What a child process is told of the task that it performs, and what it answers."""

from dataclasses import dataclass

from adit_core.db import Job, Task
from adit_core.db.engine import Database
from adit_core.dicom.subscription import ReceiverAddress
from adit_core.services.progress import TaskCounts


@dataclass(frozen=True, slots=True)
class Help:
    """What an execution of a job knows beyond the tables, and lends to its tasks.

    ``receiver`` is where archives can send to that do not support C-GET; ``direct_has_failed`` says that
    the source could not send straight to the destination before, and is not to be asked again.
    """

    receiver: ReceiverAddress | None = None
    direct_has_failed: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """A task that somebody has claimed with ``token``, and its job."""

    db: Database
    job: Job
    task: Task
    token: str
    help: Help


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """How an attempt at a task ended that was not ended by an error.

    ``message`` says in words what is missing, or worth a remark; with ``has_remarks``, somebody should
    read it although nothing is missing. ``is_retryable`` tells whether what is missing may come when it
    is tried again. ``direct_failure`` is why the source could move nothing directly, if it was asked to.
    ``closed`` says why the rest has to wait for a node, if it has to.
    """

    counts: TaskCounts
    message: str = ""
    has_remarks: bool = False
    is_retryable: bool = False
    direct_failure: str = ""
    closed: str = ""

    @property
    def is_complete(self) -> bool:
        """True if nothing failed."""
        return self.counts.failed == 0
