"""What a user may choose from when ordering a transfer between nodes."""

from dataclasses import dataclass

from adit_core.db import DicomNode, JobKind, Permission, PseudonymProject, StorageForm, User
from adit_core.db.engine import Database
from adit_core.services.nodes import usable_nodes
from adit_core.services.projects import usable_projects
from adit_core.services.rights import (
    NEEDED_FOR,
    NodeRole,
    granted_permissions,
    may_keep_as,
    require_permission,
)
from adit_core.services.storage import JOB_ARCHIVE
from adit_core.services.transfer_request import destination_problems, source_problems


@dataclass(frozen=True, slots=True)
class TransferChoices:
    """Nodes and projects by name, and what else the user may decide."""

    sources: tuple[DicomNode, ...]
    destinations: tuple[DicomNode, ...]
    projects: tuple[PseudonymProject, ...]
    may_stay_identified: bool
    """Whether studies may leave with the patients' names."""
    may_become_nifti: bool
    """Whether a folder may get NIfTI volumes instead of DICOM files."""
    may_be_archived: bool
    """Whether a folder may get an encrypted archive instead of DICOM files."""
    may_be_urgent: bool

    def destinations_from(self, source_name: str) -> tuple[DicomNode, ...]:
        """Return the destinations that studies of a source may be brought to."""
        sources = [node for node in self.sources if node.name == source_name]
        return tuple(
            node
            for node in self.destinations
            if not any(True for source in sources for _ in destination_problems(source, node))
        )


def transfer_choices(db: Database, user: User, kind: JobKind) -> TransferChoices:
    """Return what `user` may choose from for a job of a kind.

    Raises:
        NotAllowed: The user lacks the permission for this kind.
    """
    require_permission(db, user, NEEDED_FOR[kind])
    permissions = granted_permissions(db, user)
    sources = usable_nodes(db, user, NodeRole.SOURCE)
    destinations = usable_nodes(db, user, NodeRole.DESTINATION)
    return TransferChoices(
        sources=tuple(node for node in sources if not list(source_problems(node))),
        destinations=tuple(
            node
            for node in destinations
            if may_keep_as(permissions, node.storage) and not list(destination_problems(None, node))
        ),
        projects=tuple(usable_projects(db, user)),
        may_stay_identified=Permission.TRANSFER_UNPSEUDONYMIZED in permissions,
        may_become_nifti=may_keep_as(permissions, StorageForm.NIFTI),
        may_be_archived=may_keep_as(permissions, JOB_ARCHIVE),
        may_be_urgent=Permission.PROCESS_URGENTLY in permissions,
    )
