"""Checking what is to be submitted, without submitting it: each raises what submitting it would raise."""

from collections.abc import Sequence
from dataclasses import dataclass

from adit_core.db import JobKind, MassTransferOptions
from adit_core.db.engine import Database
from adit_core.services.batch_file import BatchFile, LeftOutRow
from adit_core.services.partitions import partitions
from adit_core.services.query_file import QueryFile
from adit_core.services.submit import batch_problems, batch_wishes
from adit_core.services.submit_mass import require_allowed_mass
from adit_core.services.submit_query import require_allowed_query
from adit_core.services.submit_selective import PickedStudy, merged_picks, picked_problems, picked_wishes
from adit_core.services.transfer_request import TransferRequest, require_allowed
from adit_core.services.uploads import unused_upload


@dataclass(frozen=True, slots=True)
class Accepted:
    """What would be submitted: how many studies, rows of a query, or periods to search."""

    studies: int | None = None
    rows: int | None = None
    periods: int | None = None
    left_out: tuple[LeftOutRow, ...] = ()
    """Rows of a batch transfer that would not be transferred."""


def check_selective_transfer(
    db: Database, request: TransferRequest, studies: Sequence[PickedStudy]
) -> Accepted:
    """Check a transfer of picked studies."""
    require_allowed(
        db, request, JobKind.SELECTIVE_TRANSFER, *picked_problems(studies), wishes=picked_wishes(studies)
    )
    return Accepted(studies=len(merged_picks(studies)))


def check_batch_transfer(db: Database, request: TransferRequest, batch: BatchFile) -> Accepted:
    """Check a transfer of the studies that a spreadsheet lists."""
    require_allowed(db, request, JobKind.BATCH_TRANSFER, *batch_problems(batch), wishes=batch_wishes(batch))
    return Accepted(studies=len(batch.studies), left_out=batch.left_out)


def check_mass_transfer(db: Database, request: TransferRequest, options: MassTransferOptions) -> Accepted:
    """Check a transfer of what filters choose."""
    require_allowed_mass(db, request)
    return Accepted(periods=len(list(partitions(options))))


def check_upload(db: Database, request: TransferRequest, upload_id: str) -> Accepted:
    """Check a transfer of what was uploaded."""
    transfer = require_allowed(db, request, JobKind.UPLOAD)
    return Accepted(studies=len(unused_upload(db, transfer.owner, upload_id).studies))


def check_batch_query(
    db: Database, owner_id: int, source: str, query: QueryFile, *, name: str = "", urgent: bool = False
) -> Accepted:
    """Check questions that a spreadsheet lists."""
    require_allowed_query(db, owner_id, source, query, name=name, urgent=urgent)
    return Accepted(rows=len(query.questions))
