"""Uploads: taking in DICOM files, telling what they are, and removing them when they are not needed.

Files are kept under numbers, so that no name that somebody gives becomes a path. What is no DICOM file is
not kept. Damaged ones are, if they claim to be an instance: so a transfer accounts for them.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from sqlmodel import Session, col, select, update

from adit_core.db import Job, JobStatus, Permission, Upload, UploadedSeries, UploadedStudy, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import storable, utc_now
from adit_core.db.engine import Database
from adit_core.dicom.durable import sync_folder, translated_errors
from adit_core.dicom.folder_index import FolderIndex
from adit_core.dicom.folder_source import FolderSearcher
from adit_core.dicom.node import FolderNode
from adit_core.dicom.part10 import read_file_layout
from adit_core.dicom.query import SeriesQuery, SeriesResult, StudyQuery, StudyResult
from adit_core.dicom.references import is_valid_uid
from adit_core.errors import InputProblem, InvalidInput, NotFound
from adit_core.services import audit
from adit_core.services.disk_space import require_space, uploads_place
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.rights import require_permission
from adit_core.settings import Settings

_MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
_FRAGMENT = 1 << 20
_PLACE = "The upload"


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How much may be uploaded at once."""

    total_bytes: int
    files: int
    min_free: int | None = None
    """Bytes that stay free on the disk; None for what is usual."""


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that stands for no instance, by the name that its owner gave it, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class UploadSummary:
    """What was recognised in an upload."""

    id: str
    studies: tuple[UploadedStudy, ...]
    refused: tuple[RefusedFile, ...] = ()
    problems: tuple[str, ...] = ()
    """What is wrong with studies, without patient data."""

    @property
    def patients(self) -> int:
        """How many different Patient IDs there are."""
        return len({study.patient_id for study in self.studies})

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of all series, in alphabetical order."""
        return tuple(sorted({series.modality for study in self.studies for series in study.series}))

    @property
    def series(self) -> int:
        """How many series there are."""
        return sum(len(study.series) for study in self.studies)

    @property
    def instances(self) -> int:
        """How many instances there are."""
        return sum(study.instances for study in self.studies)


def upload_limits(settings: Settings) -> UploadLimits:
    """Return how much the settings let users upload at once."""
    return UploadLimits(
        total_bytes=settings.upload_max_bytes,
        files=settings.upload_max_files,
        min_free=settings.uploads_min_free_bytes,
    )


def receive_upload(
    db: Database,
    user: User,
    files: Iterable[tuple[str, BinaryIO]],
    *,
    root: Path,
    limits: UploadLimits,
    address: str = "",
) -> UploadSummary:
    """Take in files, each with its name, and tell what they are.

    They are read one after the other, piece by piece.

    Args:
        db: Where the upload is kept in mind.
        user: Whose it is.
        files: The files; what iterates over them may be lazy.
        root: Where the folders of uploads are.
        limits: How much is taken.
        address: The network address that they came from.

    Raises:
        NotAllowed: The user may not upload anything.
        InvalidInput: It is too much, or there is no DICOM file. Nothing is kept.
        DestinationFull: There is no space for it. Nothing is kept.
    """
    require_permission(db, user, Permission.UPLOAD)
    require_space(uploads_place(root, limits.min_free))
    upload = Upload(id=uuid4().hex, owner_id=user.id, folder="")
    folder = root / upload.id
    upload.folder = str(folder)
    with db.session() as session:
        session.add(upload)
        session.commit()
        session.refresh(upload)
    try:
        with translated_errors(_PLACE):
            intake = _Intake(folder, limits)
            intake.take(files)
            summary = intake.summary(upload.id)
    except BaseException:
        _remove(db, upload)
        raise
    _keep_in_mind(db, user, upload, summary, address)
    return summary


def files_below(paths: Iterable[Path]) -> Iterator[tuple[str, BinaryIO]]:
    """Yield files of this machine, and all below folders, each with its name; links are not followed.

    Raises:
        InvalidInput: One of them cannot be read.
    """
    for path in paths:
        try:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_symlink() or file.is_dir():
                    continue
                with file.open("rb") as stream:
                    yield str(file), stream
        except OSError as error:
            raise InvalidInput(InputProblem(f"{path} cannot be read: {error.strerror}.")) from error


def unused_upload(db: Database, user: User, upload_id: str) -> Upload:
    """Return an upload of a user that no job transfers yet.

    Raises:
        NotFound: There is none, it has been removed, or the account is closed.
    """
    with db.reading() as session:
        upload = session.get(Upload, upload_id)
    is_theirs = upload is not None and user.is_active and upload.owner_id == user.id
    if upload is None or not is_theirs or upload.removed_at is not None or upload.job_id:
        raise _no_unused(upload_id)
    return upload


def describe_upload(db: Database, user: User, upload_id: str) -> UploadSummary:
    """Return what was recognised in an upload that no job transfers yet; what was refused is forgotten.

    Raises:
        NotFound: There is none, or it has been removed.
    """
    upload = unused_upload(db, user, upload_id)
    return UploadSummary(upload.id, upload.studies)


def use_upload(session: Session, upload: Upload, job_id: int) -> None:
    """Make an upload the source of a job; raises NotFound if it was made that of another one meanwhile."""
    free = (col(Upload.id) == upload.id, col(Upload.job_id).is_(None), col(Upload.removed_at).is_(None))
    if session.exec(update(Upload).where(*free).values(job_id=job_id)).rowcount == 0:
        raise _no_unused(upload.id)


def discard_upload(db: Database, user: User, upload_id: str) -> None:
    """Remove an upload that no job transfers. Raises NotFound if there is none."""
    _remove(db, unused_upload(db, user, upload_id))


def uploaded_folder(db: Database, job_id: int) -> FolderNode:
    """Return what was uploaded for a job as a node to transfer from.

    Raises:
        NotFound: It has been removed.
    """
    with db.reading() as session:
        upload = session.exec(select(Upload).where(Upload.job_id == job_id)).one_or_none()
    if upload is None or upload.removed_at is not None:
        raise NotFound("What was uploaded has been removed; upload it again.")
    return FolderNode("upload", Path(upload.folder))


def remove_uploads(db: Database, *, now: datetime, keep: timedelta) -> int:
    """Remove the files of uploads that are not needed any more, and return how many uploads.

    ============================ ==================
    its job                      is removed
    ============================ ==================
    ended with SUCCESS           at once
    is under way, or waits       never
    ended otherwise, or none     when it is `keep` old
    ============================ ==================
    """
    old = now - keep
    with db.reading() as session:
        rows = session.exec(
            select(Upload, Job)
            .outerjoin(Job, col(Job.id) == col(Upload.job_id))
            .where(col(Upload.removed_at).is_(None))
        ).all()
    done = [upload for upload, job in rows if _is_done_with(upload, job, old)]
    return sum(_remove(db, upload) for upload in done)


class _Intake:
    """Writes files into a folder, and reads what they are."""

    def __init__(self, folder: Path, limits: UploadLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._bytes = 0
        self._names: dict[Path, str] = {}
        self._refused: list[RefusedFile] = []

    def take(self, files: Iterable[tuple[str, BinaryIO]]) -> None:
        self._folder.mkdir(parents=True, mode=0o700)
        for number, (name, stream) in enumerate(files, 1):
            if number > self._limits.files:
                raise _too_much(f"{self._limits.files} files")
            require_space(uploads_place(self._folder, self._limits.min_free))
            path = self._folder / f"{number}.dcm"
            self._write(path, stream)
            if reason := _why_no_instance(path):
                path.unlink()
                self._refused.append(RefusedFile(name, reason))
            else:
                self._names[path] = name
        sync_folder(self._folder)

    def summary(self, upload_id: str) -> UploadSummary:
        index = FolderIndex(self._folder)
        try:
            index.refresh()
            studies, problems = _studies_of(FolderSearcher(FolderNode(_PLACE, self._folder), index))
            damaged = [RefusedFile(self._names[one.path], one.reason) for one in index.problems()]
        finally:
            index.close()
        refused = (*self._refused, *damaged)
        if not studies:
            raise _nothing_in(refused, problems)
        return UploadSummary(upload_id, studies, refused, problems)

    def _write(self, path: Path, stream: BinaryIO) -> None:
        with path.open("xb") as file:
            while fragment := stream.read(_FRAGMENT):
                self._bytes += len(fragment)
                if self._bytes > self._limits.total_bytes:
                    raise _too_much(f"{self._limits.total_bytes / 1e9:g} GB")
                file.write(fragment)
            file.flush()
            os.fsync(file.fileno())


def _why_no_instance(path: Path) -> str:
    try:
        with path.open("rb") as file:
            layout = read_file_layout(file)
    except InvalidInput as error:
        return str(error)
    if layout.header.sop_class_uid == _MEDIA_STORAGE_DIRECTORY:
        return "this is the directory of a medium (DICOMDIR), and no instance"
    return ""


def _studies_of(searcher: FolderSearcher) -> tuple[tuple[UploadedStudy, ...], tuple[str, ...]]:
    """Return the studies in a folder, and what is wrong with studies."""
    found = sorted(searcher.find_studies(StudyQuery()), key=_uid_of)
    studies: list[UploadedStudy] = []
    problems: list[str] = []
    for uid, described in groupby(found, _uid_of):
        first, *others = described
        if not is_valid_uid(uid):
            problems.append("A study was left out, since its Study Instance UID is none.")
            continue
        if others:
            problems.append(f"Study {uid} names several patients.")
        studies.append(_uploaded(first, searcher.find_series(SeriesQuery(first.reference))))
    return tuple(studies), tuple(problems)


def _uid_of(study: StudyResult) -> str:
    return study.reference.study_instance_uid


def _uploaded(study: StudyResult, series: Iterable[SeriesResult]) -> UploadedStudy:
    return UploadedStudy(
        patient_id=storable(study.reference.patient_id, 64),
        study_instance_uid=study.reference.study_instance_uid,
        study_date=study.study_date,
        study_description=storable(study.study_description),
        series=tuple(
            UploadedSeries(
                series_instance_uid=one.reference.series_instance_uid,
                modality=storable(one.modality, 16),
                series_number=one.series_number,
                instances=one.number_of_instances or 0,
            )
            for one in series
            if is_valid_uid(one.reference.series_instance_uid)
        ),
    )


def _keep_in_mind(db: Database, user: User, upload: Upload, summary: UploadSummary, address: str) -> None:
    with db.session() as session:
        session.merge(upload).studies = summary.studies
        audit.record(
            session,
            AuditAction.UPLOADED,
            actor=user,
            object_kind="upload",
            object_id=upload.id,
            address=address,
            studies=len(summary.studies),
            instances=summary.instances,
        )
        session.commit()


def _is_done_with(upload: Upload, job: Job | None, old: datetime) -> bool:
    if job is not None and job.status is JobStatus.SUCCESS:
        return True
    is_waiting = job is not None and (job.status in OPEN_JOBS or job.status is JobStatus.UNVERIFIED)
    return not is_waiting and upload.created_at < old


def _remove(db: Database, upload: Upload) -> bool:
    """Remove the files of an upload; return False if they are out of reach from here."""
    folder = Path(upload.folder)
    if not folder.parent.is_dir():
        return False
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        return False
    with db.session() as session:
        kept = session.get_one(Upload, upload.id)
        kept.removed_at = kept.removed_at or utc_now()
        session.commit()
    return True


def _no_unused(upload_id: str) -> NotFound:
    return NotFound(f"There is no upload {upload_id}, or there is a job for it.")


def _too_much(limit: str) -> InvalidInput:
    return InvalidInput(InputProblem(f"This is more than {limit}, the most that may be uploaded at once."))


def _nothing_in(refused: Sequence[RefusedFile], problems: Sequence[str]) -> InvalidInput:
    reasons = sorted({file.reason for file in refused} | set(problems))
    sentences = (f"{reason[:1].upper()}{reason[1:].rstrip('.')}." for reason in reasons)
    return InvalidInput(InputProblem(" ".join(["There is no instance in what was uploaded.", *sentences])))
