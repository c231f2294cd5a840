"""Looking ahead at a batch transfer: what would become of its studies, and which rows it leaves out."""

from dataclasses import replace

from adit_core.db import JobKind
from adit_core.db.engine import Database
from adit_core.services.batch_file import BatchFile
from adit_core.services.preview import MOST_STUDIES, preview_studies
from adit_core.services.submit import batch_problems, batch_wishes
from adit_core.services.transfer_preview import TransferPreview
from adit_core.services.transfer_request import TransferRequest


def preview_batch(
    db: Database, request: TransferRequest, batch: BatchFile, *, most: int = MOST_STUDIES
) -> TransferPreview:
    """Look ahead at a transfer of what a batch file names. Raises what submitting it and its nodes raise."""
    preview = preview_studies(
        db,
        request,
        JobKind.BATCH_TRANSFER,
        batch.studies,
        *batch_problems(batch),
        wishes=batch_wishes(batch),
        most=most,
    )
    notes = (batch.left_out_in_words,) if batch.left_out else ()
    return replace(preview, notes=(*preview.notes, *notes))
