"""How a job has its studies kept in a folder, where it was told otherwise than the folder is used to.

===================================  ==========================================================
the job has                          a folder gets
===================================  ==========================================================
a password                           one encrypted 7z archive, named after the job
``as_nifti``                         NIfTI volumes
neither                              what the folder is used to
===================================  ==========================================================
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from adit_core.db import DicomNode, Job, NodeKind, StorageForm, TransferOptions
from adit_core.db.engine import Database
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, DicomWebNode, NiftiNode, Node, ServerNode
from adit_core.errors import InputProblem
from adit_core.services.nodes import node_value

SHORTEST_PASSWORD = 12
"""Whoever gets hold of an archive can try passwords for as long as they like."""
LONGEST_PASSWORD = 200

_PATIENCE = 600.0
"""All tasks of a job add to the same archive, and each copies what is there."""


@dataclass(frozen=True, slots=True)
class JobArchive:
    """The encrypted archive that all studies of a job go into."""

    password: str = field(repr=False)
    job_id: int = 0
    """Of a job that is still to be written: none has this one."""

    @property
    def name(self) -> str:
        """What the file is called, without suffix."""
        return f"job-{self.job_id}"


def archive_of(db: Database, job: Job) -> JobArchive | None:
    """Return the archive of a job; None if it has none.

    Raises:
        SecretUnreadable: The password was sealed with a key that is not at hand.
    """
    if job.archive_password is None:
        return None
    return JobArchive(db.keyring.unseal(job.archive_password), job.id)


def archive_file_of(job: Job) -> str:
    """Return what the archive of a job is called in its folder; empty if it has none."""
    has_archive = job.archive_password is not None
    return f"{JobArchive('', job.id).name}.{ArchiveFormat.SEVEN_ZIP}" if has_archive else ""


def destination_value(
    db: Database, node: DicomNode, options: TransferOptions, archive: JobArchive | None
) -> Node:
    """Return the destination of a job as what a transfer works with.

    Raises:
        SecretUnreadable: A secret of the node was sealed with a key that is not at hand.
    """
    value = node_value(db, node)
    if isinstance(value, ServerNode | DicomWebNode):
        return value
    if archive is not None:
        return ArchiveNode(
            name=value.name,
            path=value.path,
            password=archive.password,
            archive=archive.name,
            names=value.names,
            lock_timeout=_PATIENCE,
        )
    return NiftiNode(value.name, value.path, value.names) if options.as_nifti else value


def keeps_files(node: DicomNode) -> bool:
    """Tell whether a node is a folder of DICOM files, which a job may have kept otherwise."""
    return node.kind is NodeKind.FOLDER and node.storage is StorageForm.FILES


def storage_problems(node: DicomNode, options: TransferOptions, password: str) -> Iterator[InputProblem]:
    """Yield why the studies of a job cannot be kept at a node as it is told."""
    asked = [
        *(["archive_password"] if password else []),
        *(["as_nifti"] if options.as_nifti else []),
    ]
    if len(asked) > 1:
        message = "A job makes an encrypted archive or NIfTI volumes, not both: choose one of them."
        yield InputProblem(message, field="as_nifti")
    if asked and not keeps_files(node):
        message = f"{node.name} is no folder of DICOM files, so a job cannot change how it keeps studies."
        yield InputProblem(message, field=asked[0])
    if password and not (SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD and password.isprintable()):
        message = (
            f"The password of an archive needs {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters that can "
            "be typed."
        )
        yield InputProblem(message, field="archive_password")
