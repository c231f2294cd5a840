"""`adit audit …`: who did what, and whether that was tampered with."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.command import new_app
from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import AuditEvent
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.audit_seal import Head, Verification, verify_events
from adit_core.services.audit_trail import list_events
from adit_core.terminal import cell, local_time, new_table

app = new_app("Who did what, and whether that was tampered with.")


@app.command("list")
def show(
    ctx: typer.Context,
    *,
    actor: Annotated[str, typer.Option(help="Only what this user did.")] = "",
    kind: Annotated[str, typer.Option(help="Only what was done to such: job, study, node, user…")] = "",
    object_id: Annotated[str, typer.Option("--id", help="Only what was done to this one.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what was done, the latest first."""
    with open_database() as db:
        user = acting_user(ctx, db)
        events = list_events(db, user, actor=actor, object_kind=kind, object_id=object_id, limit=limit)
    present(events, _table, as_json=as_json)


@app.command()
def verify(
    known: Annotated[
        str,
        typer.Option(
            "--head", metavar="NUMBER:HASH", help="Where the chain ended once: from a log or a note."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check that no event was changed or deleted. Exit status 1 if one was.

    Note down the head that it prints, or keep the reconciler's log on another machine: who can write to the
    database might write the whole chain anew, and only a head that is known elsewhere shows that.
    """
    with open_database() as db:
        verification = verify_events(db, known=_head(known) if known else None)
    present(verification, _sentence, as_json=as_json)
    if verification.problem:
        raise typer.Exit(1)


def _head(text: str) -> Head:
    number, _, chained = text.strip().partition(":")
    if not number.isdecimal() or len(chained) != len(chained.strip()) or len(chained) != _HASH_LENGTH:
        raise InvalidInput(
            InputProblem(
                "Give it as it was printed: a number, a colon and 64 hexadecimal digits.", field="head"
            )
        )
    return Head(int(number), chained.lower())


_HASH_LENGTH = 64


def _sentence(verification: Verification) -> RenderableType:
    head = f"{verification.head.number}:{verification.head.chained_hash}"
    if verification.problem:
        return cell(f"{verification.problem} The chain holds up to {head}.", "red")
    waiting = f" {verification.waiting} more are not sealed yet." if verification.waiting else ""
    return cell(f"{verification.head.number} events are as they were recorded.{waiting} Head: {head}")


def _table(events: Sequence[AuditEvent]) -> RenderableType:
    table = new_table("when", "who", "what", "to what", "from", "details")
    for event in events:
        done = event.action.value if event.succeeded else f"{event.action.value} (failed)"
        table.add_row(
            cell(local_time(event.at)),
            cell(event.actor),
            cell(done),
            cell(f"{event.object_kind} {event.object_id}".strip()),
            cell(event.address),
            cell(", ".join(f"{name}={value}" for name, value in event.details.items())),
        )
    return table
