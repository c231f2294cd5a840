"""What all commands have in common that submit transfers: their options, and how they end."""

from typing import Annotated

import typer

from adit_core.cli.asked_secrets import ARCHIVE_VARIABLE, asked_secret
from adit_core.cli.jobs import follow, warn_if_waiting
from adit_core.cli.output import present
from adit_core.db import TransferOptions, User
from adit_core.db.engine import Database
from adit_core.services.jobs import show_job
from adit_core.terminal import cell

Source = Annotated[str, typer.Option("--from", metavar="NODE", help="The node that has the studies.")]
Destination = Annotated[str, typer.Option("--to", metavar="NODE", help="The node that is to have them.")]
Project = Annotated[
    str, typer.Option(help="Pseudonymize for this project; without one, studies leave as they are.")
]
Name = Annotated[str, typer.Option(help="What to call the job.")]
Urgent = Annotated[bool, typer.Option("--urgent", help="Go before other jobs.")]
ExcludedModalities = Annotated[
    list[str] | None,
    typer.Option("--exclude-modality", metavar="MODALITY", help="Leave out such series; may be given again."),
]
DirectMove = Annotated[
    bool, typer.Option(help="Whether archives may send straight to each other, where both nodes allow it.")
]
Archive = Annotated[
    bool,
    typer.Option(
        "--archive",
        help=f"Put all studies into one encrypted 7z archive in the folder; its password is asked for, "
        f"unless it is in {ARCHIVE_VARIABLE}.",
    ),
]
Nifti = Annotated[
    bool, typer.Option("--nifti", help="Have the folder keep NIfTI volumes instead of DICOM files.")
]
TrialProtocolId = Annotated[
    str,
    typer.Option(metavar="ID", help="Written into the data sets instead of the project's trial protocol."),
]
TrialProtocolName = Annotated[str, typer.Option(metavar="NAME", help="Of the trial protocol with that ID.")]
Preview = Annotated[
    bool, typer.Option("--preview", help="Tell what would become of the job, and do nothing.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Show how the job goes, and end as `adit jobs watch` does.")
]


def transfer_options(
    excluded_modalities: list[str] | None,
    *,
    direct_move: bool,
    nifti: bool,
    trial_protocol_id: str,
    trial_protocol_name: str,
) -> TransferOptions:
    """Return how studies are to be transferred, as options say it."""
    return TransferOptions(
        excluded_modalities=tuple(excluded_modalities or ()),
        direct_move=direct_move,
        as_nifti=nifti,
        trial_protocol_id=trial_protocol_id,
        trial_protocol_name=trial_protocol_name,
    )


def archive_password(*, archive: bool) -> str:
    """Return the password of the archive that is asked for; empty if there is to be none."""
    return asked_secret(ARCHIVE_VARIABLE, "Password of the archive", is_new=True) if archive else ""


def present_submitted(db: Database, user: User, job_id: int, *, watch: bool, as_json: bool) -> None:
    """Tell that a job was submitted, or follow it to its end."""
    job = show_job(db, user, job_id)
    warn_if_waiting(job, as_json=as_json)
    if watch:
        follow(db, user, job_id, as_json=as_json)
    present(job, lambda job: cell(f"Submitted job {job.id}: `adit jobs watch {job.id}`."), as_json=as_json)
