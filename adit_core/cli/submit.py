"""`adit submit …`: have studies transferred, or archives asked."""

from pathlib import Path
from typing import Annotated

import typer

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson
from adit_core.cli.submit_mass import mass
from adit_core.cli.submit_options import (
    Archive,
    Destination,
    DirectMove,
    ExcludedModalities,
    Name,
    Nifti,
    Preview,
    Project,
    Source,
    TrialProtocolId,
    TrialProtocolName,
    Urgent,
    Watch,
    archive_password,
    present_submitted,
    transfer_options,
)
from adit_core.cli.submit_query import query
from adit_core.cli.submit_upload import upload
from adit_core.cli.transfer_preview import present_preview
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.db import JobKind
from adit_core.services.batch_file import read_batch_file
from adit_core.services.batch_preview import preview_batch
from adit_core.services.preview import preview_studies
from adit_core.services.submit import submit_batch_transfer
from adit_core.services.submit_selective import (
    PickedStudy,
    merged_picks,
    picked_problems,
    picked_wishes,
    submit_selective_transfer,
)
from adit_core.services.transfer_request import TransferRequest

app = new_app(
    "Have studies transferred, or archives asked. If Prefect cannot be reached, jobs wait for it; a warning "
    "says so."
)
app.command()(mass)
app.command()(upload)
app.command()(query)


@app.command()
def batch(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or .xlsx; columns PatientID, StudyInstanceUID; if wanted, SeriesInstanceUID, Pseudonym."
        ),
    ],
    *,
    source: Source,
    destination: Destination,
    project: Project = "",
    name: Name = "",
    urgent: Urgent = False,
    exclude_modality: ExcludedModalities = None,
    direct_move: DirectMove = True,
    archive: Archive = False,
    nifti: Nifti = False,
    trial_protocol_id: TrialProtocolId = "",
    trial_protocol_name: TrialProtocolName = "",
    preview: Preview = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Transfer the studies that a spreadsheet names."""
    batch_file = read_batch_file(file)
    with open_database() as db:
        user = acting_user(ctx, db)
        options = transfer_options(
            exclude_modality,
            direct_move=direct_move,
            nifti=nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        )
        request = TransferRequest(
            owner_id=user.id,
            source=source,
            destination=destination,
            project=project,
            name=name,
            urgent=urgent,
            options=options,
            archive_password=archive_password(archive=archive),
        )
        if preview:
            present_preview(preview_batch(db, request, batch_file), as_json=as_json)
            return
        job_id = submit_batch_transfer(db, scheduler(), request, batch_file)
        present_submitted(db, user, job_id, watch=watch, as_json=as_json)


@app.command()
def studies(
    ctx: typer.Context,
    *,
    study: Annotated[
        list[str],
        typer.Option(
            metavar="UID[:SERIES…]",
            help="A study, followed by the series that are wanted if not all are; may be given again.",
        ),
    ],
    patient_id: Annotated[str, typer.Option(help="The patient whose studies these are.")],
    pseudonym: Annotated[
        str, typer.Option(help="What is to stand for the patient; by default what the project says.")
    ] = "",
    source: Source,
    destination: Destination,
    project: Project = "",
    name: Name = "",
    urgent: Urgent = False,
    exclude_modality: ExcludedModalities = None,
    direct_move: DirectMove = True,
    archive: Archive = False,
    nifti: Nifti = False,
    trial_protocol_id: TrialProtocolId = "",
    trial_protocol_name: TrialProtocolName = "",
    preview: Preview = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Transfer studies of one patient, or some of their series."""
    with open_database() as db:
        user = acting_user(ctx, db)
        options = transfer_options(
            exclude_modality,
            direct_move=direct_move,
            nifti=nifti,
            trial_protocol_id=trial_protocol_id,
            trial_protocol_name=trial_protocol_name,
        )
        request = TransferRequest(
            owner_id=user.id,
            source=source,
            destination=destination,
            project=project,
            name=name,
            urgent=urgent,
            options=options,
            archive_password=archive_password(archive=archive),
        )
        picked = [_picked(patient_id, text, pseudonym) for text in study]
        if preview:
            found = preview_studies(
                db,
                request,
                JobKind.SELECTIVE_TRANSFER,
                merged_picks(picked),
                *picked_problems(picked),
                wishes=picked_wishes(picked),
            )
            present_preview(found, as_json=as_json)
            return
        job_id = submit_selective_transfer(db, scheduler(), request, picked)
        present_submitted(db, user, job_id, watch=watch, as_json=as_json)


def _picked(patient_id: str, text: str, pseudonym: str) -> PickedStudy:
    study_instance_uid, *series = text.split(":")
    return PickedStudy(patient_id, study_instance_uid, tuple(series), pseudonym)
