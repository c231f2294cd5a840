"""`adit held …`: look at images that may show who the patient is, and decide whether they leave."""

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present, write_file
from adit_core.cli.wiring import acting_user, open_database, scheduler
from adit_core.db import ReviewStatus
from adit_core.deid.pixels.regions import Rectangle
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.held import HeldView, list_held, picture_of_held, reject_held, release_held
from adit_core.services.routes import receiver_address
from adit_core.settings import get_settings
from adit_core.terminal import cell, new_table

app = new_app("Look at images that may show who the patient is, and decide whether they leave.")

_REGION = re.compile(r"(\d+)x(\d+)\+(\d+)\+(\d+)")

Ids = Annotated[list[int], typer.Argument(metavar="ID…", help="The numbers of held instances.")]
Regions = Annotated[
    list[str] | None,
    typer.Option(
        "--blank",
        metavar="WIDTHxHEIGHT+LEFT+TOP",
        help="A region of the image, in pixels; may be given again.",
        show_default=False,
    ),
]


@app.command("list")
def list_instances(
    ctx: typer.Context,
    *,
    job: Annotated[int | None, typer.Option(help="Of this job only.", show_default=False)] = None,
    status: Annotated[
        list[ReviewStatus] | None, typer.Option(help="What was decided; may be given again.")
    ] = None,
    after: Annotated[int, typer.Option(help="Go on after the instance of this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List instances that wait for a reviewer, 100 at a time."""
    with open_database() as db:
        found = list_held(
            db,
            acting_user(ctx, db),
            statuses=tuple(status or (ReviewStatus.HELD,)),
            job_id=job,
            after_id=after,
        )
    present(found, _table, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    held_id: Annotated[int, typer.Argument(metavar="ID", help="The number of the held instance.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A PNG file to write.")],
    frame: Annotated[int, typer.Option(min=1, help="Which frame.")] = 1,
    blank: Regions = None,
    as_json: AsJson = False,
) -> None:
    """Write a frame of an instance as a picture, with the regions outlined that would be blanked."""
    with open_database() as db:
        picture = picture_of_held(
            db,
            acting_user(ctx, db),
            held_id,
            receiver=receiver_address(get_settings()),
            regions=_regions(blank),
            frame=frame - 1,
        )
    write_file(output, picture, as_json=as_json)


@app.command()
def release(ctx: typer.Context, held_ids: Ids, *, blank: Regions = None, as_json: AsJson = False) -> None:
    """Let instances leave, with these regions blanked in all frames; their studies are taken up again."""
    regions = _regions(blank)
    with open_database() as db:
        release_held(db, scheduler(), acting_user(ctx, db), held_ids, blank=regions)
    present({"released": held_ids}, lambda _: cell(f"Released {len(held_ids)} instances."), as_json=as_json)


@app.command()
def reject(ctx: typer.Context, held_ids: Ids, as_json: AsJson = False) -> None:
    """Decide that instances never leave."""
    with open_database() as db:
        reject_held(db, acting_user(ctx, db), held_ids)
    present({"rejected": held_ids}, lambda _: cell(f"Rejected {len(held_ids)} instances."), as_json=as_json)


def _regions(texts: list[str] | None) -> tuple[Rectangle, ...]:
    return tuple(_region(text) for text in texts or ())


def _region(text: str) -> Rectangle:
    match = _REGION.fullmatch(text)
    if match is None:
        problem = f"{text} is no region: write 200x40+0+0 for the 200 by 40 pixels in the upper left corner."
        raise InvalidInput(InputProblem(problem, field="blank"))
    width, height, left, top = map(int, match.groups())
    return Rectangle(left=left, top=top, width=width, height=height)


def _table(instances: list[HeldView]) -> RenderableType:
    if not instances:
        return "No instance waits for a reviewer."
    table = new_table("id", "job", "project", "pseudonym", "reason", "status", "instance")
    for held in instances:
        table.add_row(
            cell(held.id),
            cell(held.job_id),
            cell(held.project),
            cell(held.pseudonym),
            cell(held.reason),
            cell(held.status.value),
            cell(held.sop_instance_uid),
        )
    return table
