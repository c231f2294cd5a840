"""Sealing the audit trail: a chain of hashes, by which it shows if somebody changed or deleted events.

The database refuses to change events. Whoever administers it can get around that, but then has to write the
whole chain anew from there on, and its newest hash (the head) is known elsewhere: the reconciler logs it.
Events are sealed a moment after they were recorded, since to seal them at once would make all who record
events wait for each other.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, func, select

from adit_core.db import AuditEvent, AuditSeal
from adit_core.db.engine import Database

_AT_ONCE = 1000
_LONGEST_DELAY = timedelta(days=1)
"""Far longer than a transaction can take from when an event is made until it can be seen."""
GENESIS = "0" * 64
"""What the first event is chained to."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of the chain; note it down somewhere else."""

    number: int
    """How many events are sealed."""
    chained_hash: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of checking the chain."""

    head: Head
    waiting: int
    """Events that were recorded, and not sealed yet."""
    problem: str = ""
    """What is wrong with it; empty if nothing is."""


def seal_events(db: Database) -> int:
    """Seal all events that are not sealed yet, in the order of their ids, and return how many.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    sealed = 0
    while number := _seal_some(db):
        sealed += number
    return sealed


def _seal_some(db: Database) -> int:
    # Mostly there is nothing to be done, for which nobody else shall wait.
    with db.reading() as session:
        head = _head(session)
        events = session.exec(_lately_unsealed(session).order_by(col(AuditEvent.id)).limit(_AT_ONCE)).all()
    if not events:
        return 0
    chained, seals = head.chained_hash, list[AuditSeal]()
    for number, event in enumerate(events, head.number + 1):
        chained = _chained(chained, event)
        seals.append(AuditSeal(number=number, event_id=event.id, chained_hash=chained))
    try:
        with db.session() as session:
            session.add_all(seals)
            session.commit()
    except IntegrityError:
        return 0  # somebody else has just sealed the same ones
    return len(events)


def _lately_unsealed(session: Session):  # noqa: ANN202 - see `_unsealed`
    """Choose what is not sealed, without looking through a trail of many years."""
    newest = session.exec(
        select(AuditEvent.at)
        .join(AuditSeal, col(AuditSeal.event_id) == col(AuditEvent.id))
        .order_by(col(AuditSeal.number).desc())
        .limit(1)
    ).first()
    return _unsealed() if newest is None else _unsealed().where(col(AuditEvent.at) > newest - _LONGEST_DELAY)


def verify_events(db: Database, *, known: Head | None = None) -> Verification:
    """Check every link of the chain against its event, and the chain against a head that was noted down.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    with db.reading() as session:
        waiting = session.exec(select(func.count()).select_from(_unsealed().subquery())).one()
        head, problem = _walk(session, known)
    return Verification(head, waiting, problem)


def _walk(session: Session, known: Head | None) -> tuple[Head, str]:
    """Return how far the chain holds, and what is wrong behind that."""
    number, chained = 0, GENESIS
    for seal, event in _links(session):
        good = Head(number, chained)
        number += 1
        if seal.number != number:
            return good, f"Seal {number} is missing."
        if event is None:
            return good, f"Event {seal.event_id} was deleted (seal {number})."
        chained = _chained(chained, event)
        if seal.chained_hash != chained:
            return good, f"Event {event.id} of {event.at:%Y-%m-%d %H:%M:%S} UTC was changed (seal {number})."
        if known is not None and number == known.number and chained != known.chained_hash:
            return good, f"Seal {number} is not the one that was noted down: the chain was written anew."
    head = Head(number, chained)
    if known is not None and number < known.number:
        return head, f"There are {number} seals, but {known.number} were noted down: events were deleted."
    return head, ""


def _links(session: Session) -> Iterator[tuple[AuditSeal, AuditEvent | None]]:
    """Yield all seals in their order, each with its event, some at a time."""
    last = 0
    while True:
        page = session.exec(
            select(AuditSeal, AuditEvent)
            .outerjoin(AuditEvent, col(AuditEvent.id) == col(AuditSeal.event_id))
            .where(col(AuditSeal.number) > last)
            .order_by(col(AuditSeal.number))
            .limit(_AT_ONCE)
        ).all()
        if not page:
            return
        yield from page
        last = page[-1][0].number


def _unsealed():  # noqa: ANN202 - a type of SQLModel that it does not publish
    return (
        select(AuditEvent)
        .outerjoin(AuditSeal, col(AuditSeal.event_id) == col(AuditEvent.id))
        .where(col(AuditSeal.number).is_(None))
    )


def head_of(db: Database) -> Head:
    """Return the newest link; number 0 if nothing is sealed.

    Raises:
        DatabaseUnavailable: The database does not answer.
    """
    with db.reading() as session:
        return _head(session)


def _head(session: Session) -> Head:
    newest = session.exec(select(AuditSeal).order_by(col(AuditSeal.number).desc()).limit(1)).first()
    return Head(0, GENESIS) if newest is None else Head(newest.number, newest.chained_hash)


def _chained(before: str, event: AuditEvent) -> str:
    # Without the id of the actor, which goes when the account is deleted; the name stays.
    content = event.model_dump(exclude={"actor_id", "at", "action"})
    content |= {
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "action": event.action.value,
    }
    text = json.dumps([before, content], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
