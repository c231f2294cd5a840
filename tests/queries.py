"""Makes query files for tests, submits them and has them answered in this process."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from adit_core.db import Job, User
from adit_core.db.engine import Database
from adit_core.errors import AditError
from adit_core.services.query_export import Line, result_lines
from adit_core.services.query_file import QueryFile, read_query_file
from adit_core.services.run_job import JobRun
from adit_core.services.submit_query import submit_batch_query
from adit_core.services.text_sheet import SheetFormat, encode_sheet
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.rows import load


def query_of(*rows: Mapping[str, str]) -> QueryFile:
    """Return the query file that has these rows, each by column."""
    return read_query_file(sheet_of(*rows))


def sheet_of(*rows: Mapping[str, str]) -> bytes:
    """Return a CSV file of these rows."""
    header = list(dict.fromkeys(column for row in rows for column in row))
    return encode_sheet(header, [[row.get(column, "") for column in header] for row in rows], SheetFormat.CSV)


def submit(db: Database, owner: User, *rows: Mapping[str, str], source: str = "PACS") -> int:
    """Submit a query and return the id of its job."""
    return submit_batch_query(db, FakeLauncher(), owner_id=owner.id, source=source, query=query_of(*rows))


def perform(db: Database, job_id: int, settings: Settings | None = None) -> Job:
    """Perform the unfinished tasks of a job once each, and return the job as it is then."""
    with JobRun(db, job_id, settings or Settings()) as execution:
        for task_id in execution.new_tasks():
            with suppress(AditError):  # the tables tell of it
                execution.perform(task_id)
    return load(db, Job, job_id)


def answers(db: Database, user: User, job_id: int, *columns: str) -> Sequence[tuple[str, ...]]:
    """Return these columns of the results."""
    return [tuple(line.get(column, "") for column in columns) for line in lines(db, user, job_id)]


def lines(db: Database, user: User, job_id: int) -> list[Line]:
    """Return the results by column, row by row."""
    return list(result_lines(db, user, job_id))
