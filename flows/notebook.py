"""Transfers from a notebook, in three lines.

::

    from flows.notebook import submit_batch
    job = submit_batch("studies.csv", source="PACS", destination="RESEARCH")
    job.follow()

What `make up` left on this machine is taken over when this module is imported, so import it before
Prefect. `flows.transfer.transfer_job(job.id)` runs a job in the notebook's own process.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from adit_core.console import watch_job
from adit_core.db import JobStatus, MassTransferOptions, TransferOptions, User
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.batch_file import QUERY_ROW, BatchFile, is_known_column, read_batch_file
from adit_core.services.cells import folded
from adit_core.services.database import configured_database
from adit_core.services.job_status import job_result
from adit_core.services.jobs import JobView, list_tasks, show_job
from adit_core.services.launching import Launcher
from adit_core.services.local_access import acting_user, require_current
from adit_core.services.query_export import header_of, result_lines
from adit_core.services.query_file import QueryFile, read_query_file
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_mass import submit_mass_transfer
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.submit_upload import submit_upload
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import files_below, receive_upload, upload_limits
from adit_core.settings import adopt_stack_environment, get_settings
from adit_core.terminal import new_console

adopt_stack_environment()

_TASK_COLUMNS = (
    *("rows", "kind", "subject", "patient_id", "study_instance_uid", "status", "message", "attempts"),
    *("planned", "delivered", "filtered", "failed", "sent", "bytes_sent", "started_at", "ended_at"),
)


@dataclass(frozen=True, slots=True)
class NotebookJob:
    """A job that was submitted from a notebook. It goes on whether or not the notebook does."""

    id: int
    _db: Database = field(repr=False)
    _user: User = field(repr=False)

    @property
    def status(self) -> JobStatus:
        """The status as it is now."""
        return show_job(self._db, self._user, self.id).status

    def follow(self) -> JobView:
        """Show how the job goes until it has ended, and return it as it is then.

        Raises:
            JobFailed: Every study of it failed.
        """
        job = watch_job(self._db, self._user, self.id, new_console())
        job_result(self._db, self.id).or_raise()
        return job

    def tasks(self) -> pd.DataFrame:
        """Return a row for each study, in the order of the spreadsheet. Sizes are in bytes, times in UTC."""
        total = sum(show_job(self._db, self._user, self.id).progress.tasks.values())
        tasks = list_tasks(self._db, self._user, self.id, limit=total)
        rows = [{name: getattr(task, name) for name in _TASK_COLUMNS} for task in tasks]
        return pd.DataFrame(rows, columns=list(_TASK_COLUMNS))

    def results(self) -> pd.DataFrame:
        """Return what came of a query, as text, in the columns of `adit_core.services.query_export`.

        As it is, or in part, it can be given to `submit_batch`.

        Raises:
            ActionNotPossible: The job is no query.
        """
        lines = list(result_lines(self._db, self._user, self.id))
        return pd.DataFrame(lines, columns=header_of(lines), dtype="str").fillna("")


def submit_batch(
    batch: str | Path | pd.DataFrame,
    *,
    source: str,
    destination: str,
    project: str = "",
    name: str = "",
    urgent: bool = False,
    excluded_modalities: Sequence[str] = (),
    direct_move: bool = True,
    archive_password: str = "",
    as_nifti: bool = False,
    trial_protocol_id: str = "",
    trial_protocol_name: str = "",
    user: str = "",
) -> NotebookJob:
    """Have the studies of a batch file transferred; a job that has to wait for Prefect says so.

    Args:
        batch: A CSV file or an Excel workbook, or a data frame with the same columns, as text. The first
            row of a data frame counts as row 2, as in a spreadsheet with a header.
        source: The name of the node that has the studies.
        destination: The name of the node that is to have them.
        project: What the studies are pseudonymized for; without one, they leave as they are.
        name: What to call the job.
        urgent: Whether it goes before others.
        excluded_modalities: Series of these are left out.
        direct_move: Whether archives may send straight to each other, where both nodes allow it.
        archive_password: Puts all studies into one encrypted 7z archive in a folder.
        as_nifti: Has a folder keep NIfTI volumes instead of DICOM files.
        trial_protocol_id: Written into the data sets instead of the project's trial protocol.
        trial_protocol_name: Of the trial protocol with that ID.
        user: In whose name; by default ADIT_USER, else the only active staff user.

    Raises:
        InvalidInput: With all that is wrong with the batch.
        NotFound: There is no such node or user.
        NotAllowed: The user may not do this.
    """
    studies = _read(batch)
    session = _Session.begun_by(user)
    request = session.request(
        source,
        destination,
        project=project,
        name=name,
        urgent=urgent,
        options=TransferOptions(
            excluded_modalities=tuple(excluded_modalities),
            direct_move=direct_move,
            as_nifti=as_nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        ),
        archive_password=archive_password,
    )
    job_id = submit_batch_transfer(session.db, session.launcher, request, studies)
    return session.job(job_id)


def submit_studies(
    studies: Sequence[PickedStudy],
    *,
    source: str,
    destination: str,
    project: str = "",
    name: str = "",
    urgent: bool = False,
    excluded_modalities: Sequence[str] = (),
    direct_move: bool = True,
    archive_password: str = "",
    as_nifti: bool = False,
    trial_protocol_id: str = "",
    trial_protocol_name: str = "",
    user: str = "",
) -> NotebookJob:
    """Have chosen studies or series transferred; everything else is as in `submit_batch`."""
    session = _Session.begun_by(user)
    request = session.request(
        source,
        destination,
        project=project,
        name=name,
        urgent=urgent,
        options=TransferOptions(
            excluded_modalities=tuple(excluded_modalities),
            direct_move=direct_move,
            as_nifti=as_nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        ),
        archive_password=archive_password,
    )
    return session.job(submit_selective_transfer(session.db, session.launcher, request, studies))


def submit_mass(
    options: MassTransferOptions,
    *,
    source: str,
    destination: str,
    project: str = "",
    name: str = "",
    urgent: bool = False,
    direct_move: bool = True,
    archive_password: str = "",
    as_nifti: bool = False,
    trial_protocol_id: str = "",
    trial_protocol_name: str = "",
    user: str = "",
) -> NotebookJob:
    """Have all studies transferred that `options` choose; everything else is as in `submit_batch`."""
    session = _Session.begun_by(user)
    request = session.request(
        source,
        destination,
        project=project,
        name=name,
        urgent=urgent,
        options=TransferOptions(
            direct_move=direct_move,
            as_nifti=as_nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        ),
        archive_password=archive_password,
    )
    return session.job(submit_mass_transfer(session.db, session.launcher, request, options))


def submit_files(
    paths: Sequence[str | Path],
    *,
    destination: str,
    project: str = "",
    name: str = "",
    urgent: bool = False,
    excluded_modalities: Sequence[str] = (),
    archive_password: str = "",
    as_nifti: bool = False,
    trial_protocol_id: str = "",
    trial_protocol_name: str = "",
    user: str = "",
) -> NotebookJob:
    """Have DICOM files of this machine transferred, also all below folders, as in `submit_batch`.

    Files that stand for no instance are left out; `adit submit upload` tells which, and why.
    """
    session = _Session.begun_by(user)
    settings = get_settings()
    request = session.request(
        None,
        destination,
        project=project,
        name=name,
        urgent=urgent,
        options=TransferOptions(
            excluded_modalities=tuple(excluded_modalities),
            direct_move=False,
            as_nifti=as_nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        ),
        archive_password=archive_password,
    )
    uploaded = receive_upload(
        session.db,
        session.owner,
        files_below(map(Path, paths)),
        root=settings.resolved_uploads(),
        limits=upload_limits(settings),
    )
    return session.job(submit_upload(session.db, session.launcher, request, uploaded.id))


def submit_query(
    query: str | Path | pd.DataFrame,
    *,
    source: str,
    name: str = "",
    urgent: bool = False,
    user: str = "",
) -> NotebookJob:
    """Have an archive asked about each row of a query file; `NotebookJob.results` tells what came of it.

    Args:
        query: A CSV file or an Excel workbook, or a data frame with the same columns, as text; what they
            mean is told by `adit_core.services.query_columns`.
        source: The name of the node to ask.
        name: What to call the job.
        urgent: Whether it goes before others.
        user: In whose name, as for `submit_batch`.

    Raises:
        InvalidInput: With all that is wrong with the query.
        NotFound: There is no such node or user.
        NotAllowed: The user may not do this.
    """
    questions = _read_query(query)
    session = _Session.begun_by(user)
    job_id = submit_batch_query(
        session.db,
        session.launcher,
        owner_id=session.owner.id,
        source=source,
        query=questions,
        name=name,
        urgent=urgent,
    )
    return session.job(job_id)


@dataclass(frozen=True, slots=True)
class _Session:
    """What a notebook works with."""

    db: Database
    owner: User
    launcher: Launcher

    @classmethod
    def begun_by(cls, username: str) -> "_Session":
        # Prefect reads its settings when it is imported, so it has to wait for those of the stack.
        from adit_core.services.launcher import PrefectLauncher  # noqa: PLC0415

        db = configured_database(get_settings())
        require_current(db)
        return cls(db, acting_user(db, username or os.environ.get("ADIT_USER", "")), PrefectLauncher())

    def request(
        self,
        source: str | None,
        destination: str,
        *,
        project: str,
        name: str,
        urgent: bool,
        options: TransferOptions,
        archive_password: str,
    ) -> TransferRequest:
        return TransferRequest(
            owner_id=self.owner.id,
            source=source,
            destination=destination,
            project=project,
            name=name,
            urgent=urgent,
            options=options,
            archive_password=archive_password,
        )

    def job(self, job_id: int) -> NotebookJob:
        return NotebookJob(job_id, self.db, self.owner)


def _read_query(query: str | Path | pd.DataFrame) -> QueryFile:
    if not isinstance(query, pd.DataFrame):
        return read_query_file(Path(query))
    _refuse_numbers(query)
    return read_query_file(query.to_csv(index=False).encode(), "The data frame")


def _read(batch: str | Path | pd.DataFrame) -> BatchFile:
    if not isinstance(batch, pd.DataFrame):
        return read_batch_file(Path(batch))
    known = [index for index, title in enumerate(batch.columns) if is_known_column(str(title))]
    chosen = batch.iloc[:, known] if known else batch
    _refuse_numbers(chosen)
    return read_batch_file(chosen.to_csv(index=False).encode(), "The data frame")


def _refuse_numbers(batch: pd.DataFrame) -> None:
    """Refuse columns whose zeros and digits may have been lost when they were read."""
    message = "This is not text, so zeros and digits may have been lost: read it with dtype=str."
    problems = [
        InputProblem(message, field=str(title))
        for title, values in batch.items()
        if folded(str(title)) != folded(QUERY_ROW)
        and not values.dropna().map(lambda value: isinstance(value, str)).all()
    ]
    if problems:
        raise InvalidInput(*problems)
