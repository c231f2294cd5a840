"""`adit submit upload`: have DICOM files of this machine transferred to a node."""

from pathlib import Path
from typing import Annotated

import typer

from adit_core.cli.output import AsJson, warn
from adit_core.cli.submit_options import (
    Archive,
    Destination,
    ExcludedModalities,
    Name,
    Nifti,
    Preview,
    Project,
    TrialProtocolId,
    TrialProtocolName,
    Urgent,
    Watch,
    archive_password,
    present_submitted,
    transfer_options,
)
from adit_core.cli.transfer_preview import present_preview
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.services.preview import preview_upload
from adit_core.services.submit_upload import submit_upload
from adit_core.services.transfer_request import TransferRequest
from adit_core.services.uploads import (
    UploadSummary,
    discard_upload,
    files_below,
    receive_upload,
    upload_limits,
)
from adit_core.settings import get_settings


def upload(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, and folders of them.")],
    *,
    destination: Destination,
    project: Project = "",
    name: Name = "",
    urgent: Urgent = False,
    exclude_modality: ExcludedModalities = None,
    archive: Archive = False,
    nifti: Nifti = False,
    trial_protocol_id: TrialProtocolId = "",
    trial_protocol_name: TrialProtocolName = "",
    preview: Preview = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Transfer DICOM files of this machine. Warnings name those that were left out, and why."""
    settings = get_settings()
    with open_database() as db:
        user = acting_user(ctx, db)
        options = transfer_options(
            exclude_modality,
            direct_move=False,
            nifti=nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        )
        request = TransferRequest(
            owner_id=user.id,
            source=None,
            destination=destination,
            project=project,
            name=name,
            urgent=urgent,
            options=options,
            archive_password=archive_password(archive=archive),
        )
        uploaded = receive_upload(
            db, user, files_below(paths), root=settings.resolved_uploads(), limits=upload_limits(settings)
        )
        _warn_of_problems(uploaded, as_json=as_json)
        if preview:
            try:
                present_preview(preview_upload(db, request, uploaded.id), as_json=as_json)
            finally:
                discard_upload(db, user, uploaded.id)
            return
        job_id = submit_upload(db, scheduler(), request, uploaded.id)
        present_submitted(db, user, job_id, watch=watch, as_json=as_json)


def _warn_of_problems(uploaded: UploadSummary, *, as_json: bool) -> None:
    for problem in uploaded.problems:
        warn(problem, as_json=as_json)
    for file in uploaded.refused:
        warn(f"{file.name}: {file.reason}", as_json=as_json)
