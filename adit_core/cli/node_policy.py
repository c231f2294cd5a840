"""`adit nodes policy`: what is asked of those who use a node."""

from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import RenderableType

from adit_core.cli.output import AsJson, present
from adit_core.cli.wiring import acting_user, open_database
from adit_core.db import NodePolicy, OutsideWindow
from adit_core.services.node_gate import closed_nodes
from adit_core.services.node_policies import change_policy, get_policy
from adit_core.services.opening_hours import OpeningHours
from adit_core.terminal import cell

_ALWAYS = "always"
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Policy:
    """What is shown of the policy of a node, and why it is closed, if it is."""

    node: str
    open: str
    outside: OutsideWindow
    instances_per_second: float | None
    find_limit: int | None
    min_free_bytes: int | None
    quota_bytes: int | None
    closed: str

    @classmethod
    def of(cls, node: str, row: NodePolicy, closed: str) -> "Policy":
        """Return what is shown of a row."""
        hours = OpeningHours(row.windows, row.time_zone)
        return cls(
            node=node,
            open=hours.in_words(),
            outside=row.outside,
            instances_per_second=row.instances_per_second,
            find_limit=row.find_limit,
            min_free_bytes=row.min_free_bytes,
            quota_bytes=row.quota_bytes,
            closed=closed,
        )


def policy(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The node.")],
    *,
    instances_per_second: Annotated[
        float | None, typer.Option(help="How many may be moved from or to it; 0 for any number.")
    ] = None,
    window: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WINDOW",
            help="When it may be used: 'Mon-Fri 20:00-06:00'. May be given again; 'always' for no windows.",
        ),
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of the windows: Europe/Berlin.")] = None,
    outside: Annotated[
        OutsideWindow | None,
        typer.Option(help="Whether a study under way is finished, or stops after a series, as one ends."),
    ] = None,
    find_limit: Annotated[
        int | None, typer.Option(help="How many results it gives to a query at most; 0 if not known.")
    ] = None,
    min_free: Annotated[
        float | None, typer.Option(metavar="GB", help="Of a folder: what stays free on its disk; 0 as usual.")
    ] = None,
    quota: Annotated[
        float | None, typer.Option(metavar="GB", help="Of a folder: how much it may hold; 0 for any amount.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the policy of a node, or change it: what is not given stays as it is."""
    changes = {
        "instances_per_second": instances_per_second,
        "windows": [] if window == [_ALWAYS] else window,
        "time_zone": time_zone,
        "outside": outside,
        "find_limit": find_limit,
        "min_free_bytes": None if min_free is None else round(min_free * _GB),
        "quota_bytes": None if quota is None else round(quota * _GB),
    }
    with open_database() as db:
        if all(change is None for change in changes.values()):
            row = get_policy(db, name)
        else:
            row = change_policy(db, name, **changes, actor=acting_user(ctx, db))
        shown = Policy.of(name, row, closed_nodes(db).get(name, ""))
    present(shown, _sentences, as_json=as_json)


def _sentences(policy: Policy) -> RenderableType:
    rate, limit = policy.instances_per_second, policy.find_limit
    then = "is finished" if policy.outside is OutsideWindow.FINISH else "stops after the series under way"
    sentences = [
        f"{policy.node} is open {policy.open}.",
        "" if policy.open == _ALWAYS else f"A study on the move when it closes {then}.",
        f"At most {rate:g} instances per second." if rate else "Any number of instances per second.",
        f"At most {limit} results to a query." if limit else "",
        f"{policy.min_free_bytes / _GB:g} GB stay free on its disk." if policy.min_free_bytes else "",
        f"It may hold {policy.quota_bytes / _GB:g} GB." if policy.quota_bytes else "",
        policy.closed,
    ]
    return cell("\n".join(filter(None, sentences)))
