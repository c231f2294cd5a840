"""What every kind of transfer is told and checked for, and how its job is written and launched."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sqlmodel import Session

from adit_core.db import (
    DicomNode,
    Job,
    JobKind,
    NodeKind,
    PseudonymProject,
    StorageForm,
    TransferOptions,
    User,
)
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.db.mass import MassTransferOptions
from adit_core.db.secrets import Keyring
from adit_core.errors import InputProblem, refuse
from adit_core.services import audit
from adit_core.services.approval import initial_message, initial_status
from adit_core.services.disk_watch import space_problems
from adit_core.services.job_storage import storage_problems
from adit_core.services.launching import Launcher, launch_job
from adit_core.services.maintenance import require_no_maintenance
from adit_core.services.nodes import get_node
from adit_core.services.once import OnceKey, remember
from adit_core.services.projects import get_project
from adit_core.services.pseudonymize import trial_problems
from adit_core.services.pseudonyms import FIELD, Wish, assign_pseudonyms, foreseen_pseudonyms
from adit_core.services.rights import require_transfer
from adit_core.services.storage import form_of
from adit_core.services.users import user_of_id

_MAX_NAME_LENGTH = 150


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """What every kind of transfer is told; which studies are meant, each kind is told in its own way."""

    owner_id: int
    """The user whose job it is."""
    source: str | None
    """The name of the node that has the studies; None for what was uploaded."""
    destination: str
    """The name of the node that is to have them."""
    project: str = ""
    """The name of the project that the studies are pseudonymized for; empty if they leave as they are."""
    name: str = ""
    """What the owner calls the job."""
    urgent: bool = False
    """Whether it goes before others."""
    options: TransferOptions = field(default_factory=TransferOptions)
    """How the studies are to be transferred."""
    archive_password: str = field(default="", repr=False)
    """Of one encrypted archive that all studies go into below a folder; empty if they do not."""
    address: str = ""
    """The network address that the request came from."""
    once: OnceKey | None = None
    """Under which it may be asked for again; see `submit_once`, which is to be called then."""


@dataclass(frozen=True, slots=True)
class AllowedTransfer:
    """A request that was found to be allowed and possible, with the rows that it names."""

    request: TransferRequest
    kind: JobKind
    """What the job is made from."""
    owner: User
    source: DicomNode | None
    destination: DicomNode
    project: PseudonymProject | None = None


PseudonymOf = Callable[[str], str]
"""Returns the pseudonym for a Patient ID; nothing, if the transfer changes nothing."""


def require_allowed(
    db: Database,
    request: TransferRequest,
    kind: JobKind,
    *problems: InputProblem,
    wishes: Iterable[Wish] = (),
) -> AllowedTransfer:
    """Return what a request asks for, if it may be done; `problems` are what was found wrong before.

    `wishes` are the patients that are known already, with the pseudonyms that are given.

    Raises:
        NotFound: There is no such user, node or project.
        NotAllowed: The user may not do this.
        InvalidInput: With `problems`, and all that the nodes do not allow.
    """
    owner = user_of_id(db, request.owner_id)
    source = None if request.source is None else get_node(db, request.source)
    destination = get_node(db, request.destination)
    project = get_project(db, request.project) if request.project else None
    require_no_maintenance(db, owner)
    require_transfer(
        db,
        owner,
        kind,
        source=source,
        destination=destination,
        project=project,
        form=form_of(destination, request.options, in_archive=bool(request.archive_password)),
        urgent=request.urgent,
    )
    refuse(
        *([] if source is None else source_problems(source)),
        *destination_problems(source, destination),
        *space_problems(db, destination),
        *storage_problems(destination, request.options, request.archive_password),
        *trial_problems(request.options, project),
        *problems,
        *name_problems(request.name),
        *_pseudonym_problems(db, project, wishes),
    )
    return AllowedTransfer(request, kind, owner, source, destination, project)


def write_and_launch(
    db: Database,
    launcher: Launcher,
    transfer: AllowedTransfer,
    *,
    write_tasks: Callable[[Session, Job, PseudonymOf], None],
    studies: int | None,
    wishes: Iterable[Wish] = (),
    mass: MassTransferOptions | None = None,
) -> int:
    """Write a job with its tasks in one transaction, have it run, and return its id.

    The job is written whether or not the scheduler is available; if it is not, the job's message
    says so, and the reconciler has it run later.

    Args:
        db: Where the job is kept.
        launcher: The scheduler.
        transfer: Who wants what, from where and where to.
        write_tasks: Adds its tasks to the transaction, each with the pseudonym that it is told.
        studies: How many studies it is about, if that is known; the audit trail is told.
        wishes: The patients whose studies these are; each is given a pseudonym, if there is a project.
        mass: What a mass transfer looks for.

    Raises:
        InvalidInput: Pseudonyms contradict each other, or what is known.
        SecretUnreadable: There is no key to seal the password of an archive with.
    """
    request = transfer.request
    job = Job(
        kind=transfer.kind,
        name=request.name.strip(),
        owner_id=transfer.owner.id,
        group_id=transfer.owner.active_group_id,
        source_id=transfer.source and transfer.source.id,
        destination_id=transfer.destination.id,
        project_id=transfer.project and transfer.project.id,
        options=request.options,
        archive_password=db.keyring.seal(request.archive_password) if request.archive_password else None,
        mass=mass,
        urgent=request.urgent,
        run_number=1,
        status=initial_status(transfer.owner),
        message=initial_message(transfer.owner),
    )
    with db.session() as session:
        session.add(job)
        session.flush()
        remember(session, job, request.once)
        write_tasks(session, job, pseudonyms_of(session, db.keyring, job, wishes))
        audit.record(
            session,
            AuditAction.JOB_SUBMITTED,
            actor=transfer.owner,
            object_kind="job",
            object_id=job.id,
            address=request.address,
            source=request.source,
            destination=request.destination,
            project=request.project or None,
            urgent=request.urgent,
            studies=studies,
            in_archive=bool(request.archive_password) or None,
        )
        session.commit()
    launch_job(db, launcher, job.id)
    return job.id


def source_problems(node: DicomNode) -> Iterator[InputProblem]:
    """Yield why studies cannot be taken from a node."""
    if node.kind is NodeKind.FOLDER:
        if node.storage is not StorageForm.FILES:
            problem = f"{node.name} holds no DICOM files; choose an archive or another folder."
            yield InputProblem(problem, field="source")
    elif node.kind is NodeKind.WEB:
        if not (node.supports_qido and node.supports_wado):
            yield InputProblem(f"{node.name} does not support both QIDO-RS and WADO-RS.", field="source")
    elif not (node.supports_find and (node.supports_get or node.supports_move)):
        yield InputProblem(f"{node.name} does not support C-FIND with C-GET or C-MOVE.", field="source")


def destination_problems(source: DicomNode | None, node: DicomNode) -> Iterator[InputProblem]:
    """Yield why studies cannot be brought from `source`, None for what was uploaded, to a node."""
    if source is not None and node.id == source.id:
        yield InputProblem(f"{node.name} is the source, too; choose another node.", field="destination")
    elif node.kind is NodeKind.SERVER and not node.supports_store:
        yield InputProblem(f"{node.name} does not support C-STORE.", field="destination")
    elif node.kind is NodeKind.WEB and not node.supports_stow:
        yield InputProblem(f"{node.name} does not support STOW-RS.", field="destination")


def pseudonyms_of(session: Session, keyring: Keyring, job: Job, wishes: Iterable[Wish]) -> PseudonymOf:
    """Return what tells the pseudonyms of these patients for a job, after linking those that are new.

    Raises:
        InvalidInput: Pseudonyms contradict each other, or what is known.
    """
    if job.project_id is None:
        return lambda _: ""
    assigned = assign_pseudonyms(session, keyring, job.project_id, wishes)
    return lambda patient_id: assigned.get(patient_id.strip(), "")


def _pseudonym_problems(
    db: Database, project: PseudonymProject | None, wishes: Iterable[Wish]
) -> Iterable[InputProblem]:
    if project is not None:
        return foreseen_pseudonyms(db, project, wishes)[1]
    # To deliver it with the name that the pseudonym was to replace would be the worst answer.
    message = "A pseudonym needs a project that says how studies are pseudonymized: name one."
    return (InputProblem(message, wish.row, FIELD) for wish in wishes if wish.pseudonym)


def name_problems(name: str) -> Iterator[InputProblem]:
    """Yield what is wrong with the name of a job."""
    if len(name.strip()) > _MAX_NAME_LENGTH:
        yield InputProblem(f"Use at most {_MAX_NAME_LENGTH} characters.", field="name")
