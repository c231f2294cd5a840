"""Every error that ADIT raises on purpose.

::

    AditError
    ├── TransientError            may succeed when tried again, so the caller retries
    │   ├── ConnectionFailed      no connection, or it broke
    │   ├── PeerTimeout           the peer was silent for too long
    │   ├── PeerAborted           the peer aborted the association
    │   ├── PeerBusy              the peer is out of resources (A7xx, transient rejection)
    │   ├── AnswerCutOff          the peer ended a query before it had told everything
    │   ├── IncompleteTransfer    instances are missing although nothing else went wrong
    │   ├── TaskTimeout           the transfer of a study took too long and was ended
    │   ├── ChildDied             the process that moved a study died
    │   ├── DatabaseUnavailable   our database does not answer, or is locked
    │   ├── NotificationFailed    nobody took the news of the end of a job
    │   ├── SchedulerUnavailable  Prefect does not answer, or lacks our deployment
    │   ├── ProviderUnavailable   the OpenID provider does not answer, or not as it should
    │   └── UnexpectedError       a bug, or something that nobody foresaw
    └── PermanentError            trying again would change nothing
        ├── TlsFailed             the peer and we cannot agree on a secure connection
        ├── AssociationRejected   the peer does not want this association
        ├── NoPresentationContext the peer does not support what we need to send or ask
        ├── OperationFailed       the peer answered with a failure status
        ├── ProtocolError         the peer does not follow the standard
        ├── TooManyResults        a query finds more than the archive tells, and cannot be narrowed down
        ├── StudyNotFound         the source does not know the study
        ├── DestinationFull       no space is left at the destination
        ├── DeidentificationFailed  an instance could not be de-identified completely and stays here
        ├── SecretUnreadable      a stored secret cannot be sealed or unsealed with the keys at hand
        ├── StudyFailed           a study was given up; the message names series and counts
        ├── JobFailed             no study of a job succeeded
        ├── TaskStopped           the task was cancelled or its claim was lost
        ├── InvalidInput          what the user gave is wrong; says where and how to mend it
        ├── NodeClosed            the policy of a node, or its health, forbids its use for now
        ├── NotAllowed            the user may not do this
        ├── IdentityRejected      what is said of who signs in cannot be trusted, or not be used
        ├── TooManyFailures       somebody has given wrong passwords too often, and has to wait
        ├── UnderMaintenance      staff have stopped new work for now; the message says why
        ├── NotFound              what is asked for does not exist
        └── ActionNotPossible     the state of the job or task does not allow the action
            └── StillBeingDone    an earlier request is doing it just now; the same can be asked in a moment

Whether an error may be retried is a property of its type; it is decided once, by the adapter that
raises it. A message names node, operation and UID, never patient data, because messages end up in
logs and in Prefect.
"""

import traceback
from dataclasses import dataclass
from pathlib import Path


class AditError(Exception):
    """Root of all errors; its message is fit to be shown to users."""


class TransientError(AditError):
    """May succeed when tried again."""


class ConnectionFailed(TransientError):
    """The connection to a node could not be made, or it broke."""


class PeerTimeout(TransientError):
    """The peer sent nothing for longer than its connection profile allows."""


class PeerAborted(TransientError):
    """The peer aborted or released the association in the middle of an operation."""


class PeerBusy(TransientError):
    """The peer is out of resources or rejected the association as a passing condition."""


class AnswerCutOff(TransientError):
    """An archive ended a query by itself with a warning, or as canceled: there may be more results."""


class IncompleteTransfer(TransientError):
    """Instances of the manifest did not arrive, or are not found at the destination."""


class TaskTimeout(TransientError):
    """The transfer of a study took longer than the hard limit and was ended; what arrived stays."""


class ChildDied(TransientError):
    """The process that moved a study was killed or crashed."""


class NotificationFailed(TransientError):
    """The mail server or the webhook did not take a notification; the message names no address."""


class UnexpectedError(TransientError):
    """An error that is not ours; its message gives type and place only, never its text."""


class DatabaseUnavailable(TransientError):
    """Our database cannot be reached, stopped answering, or stayed locked for too long."""


class SchedulerUnavailable(TransientError):
    """Prefect cannot be reached, or does not know our deployment; the message says what to start."""


class ProviderUnavailable(TransientError):
    """The OpenID provider cannot be reached, or answers what is no answer; shows nothing of the answer."""


class PermanentError(AditError):
    """Trying again would change nothing."""


class TlsFailed(PermanentError):
    """No secure connection: a certificate is not accepted, or the two sides have nothing in common."""


class AssociationRejected(PermanentError):
    """The peer rejected the association for good (PS3.8 9.3.4, result 1)."""


class NoPresentationContext(PermanentError):
    """The peer accepted no presentation context that the operation needs."""


class OperationFailed(PermanentError):
    """The peer answered with a failure status that says nothing of a passing condition."""


class ProtocolError(PermanentError):
    """The peer sent what the standard does not allow; the association was aborted."""


class TooManyResults(PermanentError):
    """A query finds more than the archive tells at once, however narrow it is; says for which times."""


class StudyNotFound(PermanentError):
    """The source does not know the study, or none of the series that were asked for."""


class DestinationFull(PermanentError):
    """No space is left at the destination."""


class DeidentificationFailed(PermanentError):
    """An instance could not be de-identified completely; it does not leave.

    The message names the SOP Instance UID, the attribute and the rule, never a value.
    """


class SecretUnreadable(PermanentError):
    """No key at hand fits a stored secret; the message says where keys are looked for."""


class StudyFailed(PermanentError):
    """The transfer of a study was given up; the message names series and counts."""


class JobFailed(PermanentError):
    """A job ended, and every study of it failed."""


class TaskStopped(PermanentError):
    """The task ended early because it was cancelled, or because its claim was lost."""


@dataclass(frozen=True, slots=True)
class InputProblem:
    """One thing that is wrong in what a user gave.

    ``row`` counts as the spreadsheet shows it (the header is row 1) and is None where there are no
    rows; ``field`` is the column or parameter; ``message`` says what is wrong and how to mend it.
    """

    message: str
    row: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                f"row {self.row}" if self.row else "",
                f"column {self.field}" if self.row and self.field else self.field or "",
            )
            if part
        )
        return f"{place}: {self.message}" if place else self.message


class InvalidInput(PermanentError):
    """What the user gave is wrong; ``problems`` lists all of it at once."""

    def __init__(self, *problems: InputProblem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def refuse(*problems: InputProblem) -> None:
    """Raise InvalidInput with all `problems`, if there are any."""
    if problems:
        raise InvalidInput(*problems)


class NodeClosed(PermanentError):
    """A node may not be used now; says until when. Not for those to try again who are told so."""


class NotAllowed(PermanentError):
    """The user lacks the right for this."""


class IdentityRejected(PermanentError):
    """The OpenID provider's answer is none to our question, or is not to be trusted; shows nothing of it."""


class TooManyFailures(PermanentError):
    """Too many wrong passwords; ``seconds`` says how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        minutes = max(1, -(-self.seconds // 60))
        unit = "minute" if minutes == 1 else "minutes"
        return f"There were too many wrong passwords. Wait {minutes} {unit}, then try again."


class UnderMaintenance(PermanentError):
    """Maintenance mode is on, in which only staff begin new work; the message is what staff said."""


class NotFound(PermanentError):
    """What is asked for does not exist, or is not the user's to see."""


class ActionNotPossible(PermanentError):
    """The job or task is in a state that does not allow the action; nothing was changed."""


class StillBeingDone(ActionNotPossible):
    """An earlier request is doing the same just now; who asks again in a moment gets what it made."""


def kind_and_place(error: BaseException) -> str:
    """Return type and place of an error that is not ours, for logs: its text may hold patient data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    return f"{type(error).__name__} at {place}"
