"""How a folder keeps what is transferred to it: as files, in encrypted archives, or as NIfTI volumes."""

from dataclasses import dataclass, field
from pathlib import Path

from adit_core.db import DicomNode, StorageForm, TransferOptions
from adit_core.db.engine import Database
from adit_core.dicom.layout import Names
from adit_core.dicom.node import ArchiveFormat, ArchiveNode, FolderNode, NiftiNode, SidecarContent
from adit_core.errors import InputProblem, InvalidInput

ARCHIVES = frozenset({StorageForm.SEVEN_ZIP, StorageForm.ZIP})
JOB_ARCHIVE = StorageForm.SEVEN_ZIP
"""What a job makes that was told the password of an archive."""

_USUAL_ARCHIVE = "{StudyInstanceUID}"


@dataclass(frozen=True, slots=True)
class Storage:
    """The settings of a folder. A template that is None is what the form is used to."""

    form: StorageForm = StorageForm.FILES
    patient: str | None = None
    """In archives, there are no folders of patients unless this says so."""
    study: str | None = None
    series: str | None = None
    instance: str | None = None
    archive: str | None = None
    """What archive files are named after, one for each study unless it says otherwise."""
    password: str = field(default="", repr=False)
    """Of archive files, which must have one."""
    sidecars: SidecarContent = SidecarContent.TECHNICAL


def set_storage(db: Database, node: DicomNode, storage: Storage) -> None:
    """Write settings into the row of a folder; the password is sealed.

    Raises:
        InvalidInput: A template cannot be used, an archive lacks a password, or there is one for what is
            none.
        SecretUnreadable: There is no key to seal the password with.
    """
    node.storage = storage.form
    node.patient_folder = storage.patient
    node.study_folder = storage.study
    node.series_folder = storage.series
    node.instance_file = storage.instance
    node.archive_name = storage.archive
    node.archive_password = db.keyring.seal(storage.password) if storage.password else None
    node.sidecars = storage.sidecars
    if storage.form not in ARCHIVES and (storage.password or storage.archive):
        raise InvalidInput(InputProblem("Only archive files have a name and a password.", field="storage"))
    folder_value(db, node)


def storage_of(node: DicomNode) -> Storage:
    """Return the settings of a folder as they were given, but for the password."""
    return Storage(
        form=node.storage,
        patient=node.patient_folder,
        study=node.study_folder,
        series=node.series_folder,
        instance=node.instance_file,
        archive=node.archive_name,
        sidecars=node.sidecars,
    )


def form_of(node: DicomNode, options: TransferOptions, *, in_archive: bool) -> StorageForm:
    """Return how a job has its studies kept at a node: as it was told, else as the node is used to."""
    if in_archive:
        return JOB_ARCHIVE
    return StorageForm.NIFTI if options.as_nifti else node.storage


def folder_value(db: Database, node: DicomNode) -> FolderNode | ArchiveNode | NiftiNode:
    """Return a folder as what a transfer works with.

    Raises:
        InvalidInput: Its settings cannot be used.
        SecretUnreadable: The password was sealed with a key that is not at hand.
    """
    path, names = Path(node.path), _names(node)
    if node.storage is StorageForm.FILES:
        return FolderNode(node.name, path, names)
    if node.storage is StorageForm.NIFTI:
        return NiftiNode(node.name, path, names, sidecars=node.sidecars)
    return ArchiveNode(
        name=node.name,
        path=path,
        password=db.keyring.unseal(node.archive_password) if node.archive_password else "",
        format=ArchiveFormat(node.storage.value),
        archive=_or(node.archive_name, _USUAL_ARCHIVE),
        names=names,
    )


def _names(node: DicomNode) -> Names:
    usual = Names(patient="") if node.storage in ARCHIVES else Names()
    return Names(
        patient=_or(node.patient_folder, usual.patient),
        study=_or(node.study_folder, usual.study),
        series=_or(node.series_folder, usual.series),
        instance=_or(node.instance_file, usual.instance),
    )


def _or(template: str | None, usual: str) -> str:
    """Return a template, which may be empty on purpose, or the usual one if there is none."""
    return usual if template is None else template
