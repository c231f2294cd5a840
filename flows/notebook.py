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
from adit_core.db import JobStatus, TransferOptions, User
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.batch_file import BatchFile, is_known_column, read_batch_file
from adit_core.services.database import configured_database
from adit_core.services.job_status import job_result
from adit_core.services.jobs import JobView, list_tasks, show_job
from adit_core.services.local_access import acting_user, require_current
from adit_core.services.query_export import header_of, result_lines
from adit_core.services.query_file import QueryFile, read_query_file
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_query import submit_batch_query
from adit_core.settings import adopt_stack_environment, get_settings
from adit_core.terminal import new_console

adopt_stack_environment()

_TASK_COLUMNS = (
    *("rows", "patient_id", "study_instance_uid", "status", "message", "attempts"),
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
    name: str = "",
    urgent: bool = False,
    excluded_modalities: Sequence[str] = (),
    direct_move: bool = True,
    user: str = "",
) -> NotebookJob:
    """Have the studies of a batch file transferred; a job that has to wait for Prefect says so.

    Args:
        batch: A CSV file or an Excel workbook, or a data frame with the same columns, as text. The first
            row of a data frame counts as row 2, as in a spreadsheet with a header.
        source: The name of the node that has the studies.
        destination: The name of the node that is to have them.
        name: What to call the job.
        urgent: Whether it goes before others.
        excluded_modalities: Series of these are left out.
        direct_move: Whether archives may send straight to each other, where both nodes allow it.
        user: In whose name; by default ADIT_USER, else the only active staff user.

    Raises:
        InvalidInput: With all that is wrong with the batch.
        NotFound: There is no such node or user.
        NotAllowed: The user may not do this.
    """
    # Prefect reads its settings when it is imported, so it has to wait for those of the stack.
    from adit_core.services.launcher import PrefectLauncher  # noqa: PLC0415

    studies = _read(batch)
    db, owner = _connected(user)
    job_id = submit_batch_transfer(
        db,
        PrefectLauncher(),
        owner_id=owner.id,
        source=source,
        destination=destination,
        batch=studies,
        name=name,
        urgent=urgent,
        options=TransferOptions(excluded_modalities=tuple(excluded_modalities), direct_move=direct_move),
    )
    return NotebookJob(job_id, db, owner)


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
    from adit_core.services.launcher import PrefectLauncher  # noqa: PLC0415 - see submit_batch

    questions = _read_query(query)
    db, owner = _connected(user)
    job_id = submit_batch_query(
        db, PrefectLauncher(), owner_id=owner.id, source=source, query=questions, name=name, urgent=urgent
    )
    return NotebookJob(job_id, db, owner)


def _connected(user: str) -> tuple[Database, User]:
    db = configured_database(get_settings())
    require_current(db)
    return db, acting_user(db, user or os.environ.get("ADIT_USER", ""))


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
        if not values.dropna().map(lambda value: isinstance(value, str)).all()
    ]
    if problems:
        raise InvalidInput(*problems)
