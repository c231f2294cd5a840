"""`adit submit mass`: have all studies of a range of days transferred that filters choose."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from adit_core.cli.output import AsJson
from adit_core.cli.submit_options import (
    Archive,
    Destination,
    DirectMove,
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
from adit_core.cli.transfer_preview import present_preview
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.db import Partition
from adit_core.services.preview import preview_mass_transfer
from adit_core.services.submit_mass import mass_options, read_mass_file, submit_mass_transfer
from adit_core.services.transfer_request import TransferRequest

_DAY = {"formats": ["%Y-%m-%d", "%Y%m%d"], "metavar": "YYYY-MM-DD"}
_PATTERN = {"metavar": "PATTERN", "show_default": False}

_Modalities = Annotated[list[str] | None, typer.Option(metavar="MODALITY", show_default=False)]
_Patterns = Annotated[list[str] | None, typer.Option(**_PATTERN)]
_Numbers = Annotated[list[int] | None, typer.Option(metavar="NUMBER", show_default=False)]
_Bound = Annotated[int | None, typer.Option(min=0, show_default=False)]


def mass(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A YAML file with fields of `MassTransferOptions`; options pass it.")
    ] = None,
    *,
    source: Source,
    destination: Destination,
    first_day: Annotated[datetime | None, typer.Option(help="The first study date.", **_DAY)] = None,
    last_day: Annotated[datetime | None, typer.Option(help="The last one.", **_DAY)] = None,
    partition: Annotated[Partition | None, typer.Option(help="What is searched at once.")] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="In which days begin, such as Europe/Berlin.", show_default=False)
    ] = None,
    modality: _Modalities = None,
    exclude_modality: _Modalities = None,
    institution: _Patterns = None,
    exclude_institution: _Patterns = None,
    study_description: _Patterns = None,
    exclude_study_description: _Patterns = None,
    series_description: _Patterns = None,
    exclude_series_description: _Patterns = None,
    series_number: _Numbers = None,
    exclude_series_number: _Numbers = None,
    min_age: _Bound = None,
    max_age: _Bound = None,
    min_images: _Bound = None,
    max_images: _Bound = None,
    find_limit: Annotated[
        int | None, typer.Option(min=1, help="How many results the source tells at once.", show_default=False)
    ] = None,
    project: Project = "",
    name: Name = "",
    urgent: Urgent = False,
    direct_move: DirectMove = True,
    archive: Archive = False,
    nifti: Nifti = False,
    trial_protocol_id: TrialProtocolId = "",
    trial_protocol_name: TrialProtocolName = "",
    preview: Preview = False,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """Transfer whatever a range of days and filters choose.

    Filters may be given again, and fit if any of their values does, whatever the case. A PATTERN is the whole
    text with the wildcards * and ?, or a /regular expression/ for a part of it. Ages are in full years on the
    day of the study. A preview looks at one day.
    """
    given = {
        "first_day": first_day and first_day.date(),
        "last_day": last_day and last_day.date(),
        "partition": partition,
        "time_zone": time_zone,
        "min_age": min_age,
        "max_age": max_age,
        "min_images": min_images,
        "max_images": max_images,
        "find_limit": find_limit,
        "include": _filter(modality, institution, study_description, series_description, series_number),
        "exclude": _filter(
            exclude_modality,
            exclude_institution,
            exclude_study_description,
            exclude_series_description,
            exclude_series_number,
        ),
    }
    wanted = mass_options(_merged(read_mass_file(file) if file else {}, given))
    with open_database() as db:
        user = acting_user(ctx, db)
        options = transfer_options(
            None,
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
            present_preview(preview_mass_transfer(db, request, wanted), as_json=as_json)
            return
        job_id = submit_mass_transfer(db, scheduler(), request, wanted)
        present_submitted(db, user, job_id, watch=watch, as_json=as_json)


_CRITERIA = ("modalities", "institutions", "study_descriptions", "series_descriptions", "series_numbers")


def _filter(*values: Iterable[Any] | None) -> dict[str, tuple[Any, ...]]:
    """Return the criteria that were given, by their names."""
    return {name: tuple(given) for name, given in zip(_CRITERIA, values, strict=True) if given}


def _merged(file: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return what a file says, with what options say in its place, criterion by criterion."""
    merged = {**file, **{name: value for name, value in given.items() if value not in (None, {})}}
    for side in ("include", "exclude"):
        if given[side] and isinstance(file.get(side), dict):
            merged[side] = {**file[side], **given[side]}
    return merged
