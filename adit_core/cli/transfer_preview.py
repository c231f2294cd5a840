"""How the command line shows what a transfer would do. No line names a patient."""

from datetime import timedelta

from rich.console import Group, RenderableType

from adit_core.cli.output import present
from adit_core.services.transfer_preview import StudyPreview, TransferPreview
from adit_core.terminal import cell, identifiers, new_table, numbers


def present_preview(preview: TransferPreview, *, as_json: bool) -> None:
    """Print what a transfer would do."""
    present(preview, _shown, as_json=as_json)


def _shown(preview: TransferPreview) -> RenderableType:
    table = new_table(
        identifiers("Study Instance UID"),
        numbers("series"),
        numbers("instances"),
        numbers("filtered"),
        numbers("held"),
        "remarks",
    )
    for study in preview.studies:
        table.add_row(*map(cell, _row(study)))
    lines = [preview.sample, _sentence(preview), _filtered(preview), *preview.notes]
    return Group(table, *(cell(line) for line in lines if line))


def _row(study: StudyPreview) -> tuple[object, ...]:
    filtered = sum(series.instances for series in study.series if series.filtered)
    held = "?" if study.held is None else study.held
    return (
        study.study_instance_uid,
        len(study.wanted),
        study.instances,
        filtered,
        held,
        " ".join(study.conflicts),
    )


def _sentence(preview: TransferPreview) -> str:
    size = "" if preview.bytes is None else f", about {preview.bytes / 1e6:.1f} MB to send"
    seconds = preview.seconds
    time = "" if seconds is None else f" in about {timedelta(seconds=round(seconds))}"
    return (
        f"{len(preview.studies)} studies with {preview.series} series and {preview.instances} instances, "
        f"{preview.held} of them at the destination already{size}{time}. Nothing was transferred."
    )


def _filtered(preview: TransferPreview) -> str:
    reasons = ", ".join(f"{number} ({reason})" for reason, number in preview.filtered.items())
    return f"Series filtered: {reasons}." if reasons else ""
