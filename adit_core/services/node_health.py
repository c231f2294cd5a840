"""How nodes are doing: a circuit breaker and a back-off that all workers share through the database.

A node that keeps somebody out three times in a row, whoever that was, is paused: 30 seconds, doubled up
to 15 minutes as long as it does not answer. After each pause one task may try it (the prober); any
answer of the node ends the pause.

A node that says that it is busy (A7xx, a transient rejection) gets half as many studies at the same time,
and one more every 30 seconds in which it does not say so again. To wait and come back with as many as
before would make it busy again at once; fewer studies are what it asks for.

What was written down of a time that is still to come says nothing: the clock was put back since.
"""

from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import Session, col, select, update

from adit_core.db import DicomNode, NodeHealth
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.db.upsert import add_if_missing

THRESHOLD = 3
"""Failures in a row that pause a node."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
PROBE_LEASE = timedelta(minutes=2)
"""How long a prober may take until somebody else may try; longer than a node may be silent."""
_RECOVERY_STEP = timedelta(seconds=30)
"""Without a busy answer, after which one more study is let in."""
_DISAGREEMENT = timedelta(minutes=1)
"""How far the clocks of machines may be apart."""
_FAILURES = select(NodeHealth.failures).where(col(NodeHealth.node_id) == bindparam("node"))


def record_failure(db: Database, node_id: int, reason: str, *, began: datetime, now: datetime) -> bool:
    """Remember that somebody was kept out of a node, and tell whether it is paused now.

    `began` is when that attempt began: those that were under way when the node was paused say nothing new.
    """
    with db.session() as session:
        health = lock_health(session, node_id)
        if health.failures < THRESHOLD or _is_news(health.failed_at, began=began, now=now):
            health.failures += 1
            health.failed_at = now
            health.message = storable(reason)
            health.prober = None
            if health.failures >= THRESHOLD:
                health.paused_until = now + _pause(health.failures)
        session.commit()
    return health.failures >= THRESHOLD


def record_answer(db: Database, node_id: int) -> None:
    """Remember that a node has answered, which ends a pause; costs a look if there was nothing wrong."""
    with db.reading() as session:
        failures = session.exec(_FAILURES, params={"node": node_id}).first()
    if not failures:
        return
    with db.session() as session:
        session.exec(
            update(NodeHealth)
            .where(col(NodeHealth.node_id) == node_id)
            .values(failures=0, failed_at=None, paused_until=None, prober=None, message="")
        )
        session.commit()


def record_busy(db: Database, node: DicomNode, *, began: datetime, now: datetime) -> None:
    """Remember that a node has said that it is busy, in an attempt that began at `began`.

    Several attempts that were under way at the same time count as one.
    """
    with db.session() as session:
        health = lock_health(session, node.id)
        if _is_news(health.busy_at, began=began, now=now):
            health.width = max(1, width(node, health, now) // 2)
            health.busy_at = now
        session.commit()


def width(node: DicomNode, health: NodeHealth | None, now: datetime) -> int:
    """Return how many may use a node at the same time."""
    if health is None or health.width is None or health.busy_at is None or _is_to_come(health.busy_at, now):
        return node.max_associations
    recovered = max(timedelta(), now - health.busy_at) // _RECOVERY_STEP
    return min(node.max_associations, health.width + recovered)


def is_paused(health: NodeHealth | None, now: datetime) -> bool:
    """Tell whether the pause of a node lasts. One that would last longer than it may is over."""
    if health is None or health.paused_until is None or health.paused_until <= now:
        return False
    longest = _pause(health.failures) if health.prober is None else PROBE_LEASE
    return not _is_to_come(health.paused_until - longest, now)


def needs_probe(health: NodeHealth | None) -> bool:
    """Tell whether only one may try the node, once its pause is over."""
    return health is not None and health.failures >= THRESHOLD


def take_probe(db: Database, node_id: int, *, prober: str, successor_of: str = "", now: datetime) -> bool:
    """Become the only one who may try a node that is paused; return False if somebody else is.

    `successor_of` is who may have become so before, to hand it on.
    """
    with db.session() as session:
        health = lock_health(session, node_id)
        if health.failures < THRESHOLD or (is_paused(health, now) and health.prober != successor_of):
            return False
        health.prober, health.paused_until = prober, now + PROBE_LEASE
        session.commit()
    return True


def lock_health(session: Session, node_id: int) -> NodeHealth:
    """Keep others from changing the health of a node until the transaction ends, and return it."""
    add_if_missing(session, NodeHealth(node_id=node_id), key=("node_id",))
    return session.exec(select(NodeHealth).where(NodeHealth.node_id == node_id).with_for_update()).one()


def _is_news(known: datetime | None, *, began: datetime, now: datetime) -> bool:
    """Tell whether an attempt that began at `began` says more than what is known since `known`."""
    return known is None or known < began or _is_to_come(known, now)


def _is_to_come(moment: datetime, now: datetime) -> bool:
    return moment > now + _DISAGREEMENT


def _pause(failures: int) -> timedelta:
    doublings = max(0, min(failures - THRESHOLD, 10))
    return min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
