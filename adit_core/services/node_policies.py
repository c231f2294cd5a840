"""The policies of nodes: what is asked of those who use them, and changing it."""

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adit_core.db import DicomNode, NodeKind, NodePolicy, OutsideWindow, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import InputProblem, refuse
from adit_core.services import audit
from adit_core.services.nodes import get_node
from adit_core.services.opening_hours import parse_windows
from adit_core.services.rights import require_administrator

_SLOWEST = 0.1
"""Instances per second. Below, peers take the wait for a connection that is dead."""

_LARGEST = 1 << 60
"""In bytes, more than any disk has."""


def get_policy(db: Database, name: str) -> NodePolicy:
    """Return the policy of a node; one that asks for nothing, if nothing was said.

    Raises:
        NotFound: There is no such node.
    """
    node = get_node(db, name)
    with db.reading() as session:
        return session.get(NodePolicy, node.id) or NodePolicy(node_id=node.id)


def change_policy(
    db: Database,
    name: str,
    *,
    instances_per_second: float | None = None,
    windows: Sequence[str] | None = None,
    time_zone: str | None = None,
    outside: OutsideWindow | None = None,
    find_limit: int | None = None,
    min_free_bytes: int | None = None,
    quota_bytes: int | None = None,
    actor: User | str = audit.SYSTEM,
) -> NodePolicy:
    """Change what is asked of those who use a node, and return it; what is None stays as it is.

    Args:
        db: Where it is kept.
        name: The node.
        instances_per_second: Over all workers, from or to it; 0 for any number.
        windows: When it may be used, such as "Mon-Fri 20:00-06:00"; none for always.
        time_zone: Of the windows, such as "Europe/Berlin".
        outside: What becomes of a study that is on the move when a window ends.
        find_limit: How many results it gives to one query at most; 0 if that is not known.
        min_free_bytes: Of a folder: what stays free on its disk; 0 for what is usual.
        quota_bytes: Of a folder: how much it may hold; 0 for any amount.
        actor: Who changes it.

    Raises:
        NotFound: There is no such node.
        InvalidInput: With all that is wrong.
        NotAllowed: The actor is a user who is not staff.
    """
    require_administrator(actor)
    parsed = None if windows is None else parse_windows(windows)
    refuse(*_rate_problems(instances_per_second), *_zone_problems(time_zone), *_limit_problems(find_limit))
    for field, amount in (("min_free_bytes", min_free_bytes), ("quota_bytes", quota_bytes)):
        refuse(*_space_problems(get_node(db, name), field, amount))
    policy = get_policy(db, name)
    if instances_per_second is not None:
        policy.instances_per_second = instances_per_second or None
    if parsed is not None:
        policy.windows = parsed
    policy.time_zone = policy.time_zone if time_zone is None else time_zone
    policy.outside = policy.outside if outside is None else outside
    if find_limit is not None:
        policy.find_limit = find_limit or None
    if min_free_bytes is not None:
        policy.min_free_bytes = min_free_bytes or None
    if quota_bytes is not None:
        policy.quota_bytes = quota_bytes or None
    with db.session() as session:
        policy = session.merge(policy)
        audit.record(
            session,
            AuditAction.NODE_CHANGED,
            actor=actor,
            object_kind="node",
            object_id=name,
            changed="policy",
        )
        session.commit()
    return policy


def _rate_problems(rate: float | None) -> Iterator[InputProblem]:
    if rate is not None and rate != 0 and not rate >= _SLOWEST:
        yield InputProblem(
            f"At least {_SLOWEST:g} instances per second, or 0 for any number.", field="instances_per_second"
        )


def _space_problems(node: DicomNode, field: str, amount: int | None) -> Iterator[InputProblem]:
    if amount is None:
        return
    if amount and node.kind is not NodeKind.FOLDER:
        yield InputProblem(f"{node.name} is no folder: an archive looks after its own disk.", field=field)
    elif not 0 <= amount < _LARGEST:
        yield InputProblem("Give a number of bytes, or 0 for what is usual.", field=field)


def _zone_problems(name: str | None) -> Iterator[InputProblem]:
    if name is None:
        return
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        yield InputProblem("There is no such time zone; write it as Europe/Berlin.", field="time_zone")


def _limit_problems(limit: int | None) -> Iterator[InputProblem]:
    if limit is not None and limit < 0:
        yield InputProblem("At least one result, or 0 if that is not known.", field="find_limit")
