"""How the command line shows what a batch query would ask. No line names a patient."""

from datetime import timedelta

from rich.console import Group, RenderableType

from adit_core.cli.output import present
from adit_core.services.query_preview import QueryPreview
from adit_core.terminal import cell, new_table, numbers


def present_query_preview(preview: QueryPreview, *, as_json: bool) -> None:
    """Print what a batch query would ask."""
    present(preview, _shown, as_json=as_json)


def _shown(preview: QueryPreview) -> RenderableType:
    table = new_table(numbers("row"), "finds", "the archive is asked by", "ADIT chooses by")
    for row in preview.rows:
        finds = "series" if row.finds_series else "studies"
        table.add_row(*map(cell, (row.row, finds, ", ".join(row.asked), ", ".join(row.sifted))))
    return Group(table, *(cell(line) for line in (_sentence(preview), *preview.notes)))


def _sentence(preview: QueryPreview) -> str:
    first = f", of which these are the first {len(preview.rows)}" if preview.total > len(preview.rows) else ""
    seconds = preview.seconds
    time = "" if seconds is None else f" It may take about {timedelta(seconds=round(seconds))}."
    return f"{preview.total} rows{first}. Nothing was asked.{time}"
