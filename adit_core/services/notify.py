"""Telling users and other systems that jobs have ended, with what the outbox holds.

Each notification is tried until it is taken, at growing intervals, and given up after the last attempt;
the history of the job says which. Whoever tries takes the notification for a while first: if it then dies,
somebody tries again. So everything is told at least once, and twice only if a process dies between telling
and noting that. The number of the notification goes along with it and shows who was told twice.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, delete, select, update

from adit_core.db import Channel, Job, JobEnd, Notification, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.db.notifications import DiskNews
from adit_core.errors import NotificationFailed
from adit_core.services.history import record_of_job

ATTEMPTS = 15
"""After which a notification is given up, which takes about a day."""
_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(hours=4)
_LEASE = timedelta(minutes=5)
"""How long an attempt may take before somebody else tries; longer than all timeouts of a messenger."""


@dataclass(frozen=True, slots=True)
class News:
    """What is told to whom. None of it comes from a patient."""

    notification_id: int
    """Stays the same if it is told again."""
    event: JobEnd | DiskNews
    owner: str
    """The user name of who is told; empty if it is about no job, and told by webhook."""
    email: str
    link: str
    """The page that shows more."""


class Messenger(Protocol):
    """Tells news by one channel."""

    def tell(self, news: News) -> None:
        """Return once somebody else is responsible for them.

        Raises:
            NotificationFailed: Nobody took them.
        """
        ...


@dataclass(slots=True)
class Told:
    """How many notifications became what."""

    told: int = 0
    put_off: int = 0
    given_up: int = 0

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def tell_all_due(db: Database, messengers: Mapping[Channel, Messenger], *, web_url: str) -> Told:
    """Tell what is due by the channels that are set up; what is due by others is dropped.

    Args:
        db: Where the outbox is.
        messengers: The channels that are set up.
        web_url: Where users reach the dashboard.
    """
    done = Told()
    while (taken := _take(db, web_url)) is not None:
        _tell(db, taken, messengers.get(taken.channel), done)
    return done


@dataclass(frozen=True, slots=True)
class _Taken:
    """A notification that nobody else tries for a while."""

    news: News
    channel: Channel
    attempt: int


def _take(db: Database, web_url: str) -> _Taken | None:
    """Take the notification that is due for the longest time; None if none is due."""
    while True:
        with db.reading() as session:
            row = _longest_due(session)
        if row is None:
            return None
        notification, owner = row
        if _lease(db, notification):
            break
    page = "" if notification.job_id is None else f"job?id={notification.job_id}"
    event = notification.job_end or notification.disk
    assert event is not None, "each is about one of them"
    username, email = (owner.username, owner.email) if owner else ("", "")
    news = News(notification.id, event, username, email, f"{web_url.rstrip('/')}/{page}")
    return _Taken(news, notification.channel, notification.attempts + 1)


def _longest_due(session: Session) -> tuple[Notification, User | None] | None:
    return session.exec(
        select(Notification, User)
        .outerjoin(Job, col(Job.id) == col(Notification.job_id))
        .outerjoin(User, col(User.id) == func.coalesce(Notification.recipient_id, Job.owner_id))
        .where(Notification.due_at <= utc_now())
        .order_by(col(Notification.due_at), col(Notification.id))
        .limit(1)
    ).one_or_none()


def _lease(db: Database, notification: Notification) -> bool:
    """Keep others from a notification for a while; False if one of them was faster."""
    with db.session() as session:
        leased = session.exec(
            update(Notification)
            .where(col(Notification.id) == notification.id, col(Notification.due_at) == notification.due_at)
            .values(due_at=utc_now() + _LEASE, attempts=notification.attempts + 1)
        )
        session.commit()
    return leased.rowcount == 1


def _tell(db: Database, taken: _Taken, messenger: Messenger | None, done: Told) -> None:
    if messenger is None:
        _close(db, taken, "")
        return
    try:
        messenger.tell(taken.news)
    except NotificationFailed as error:
        if taken.attempt < ATTEMPTS:
            _put_off(db, taken)
            done.put_off += 1
        else:
            _close(db, taken, f"The end could not be told by {taken.channel.value}: {error}")
            done.given_up += 1
    else:
        _close(db, taken, f"The end was told by {taken.channel.value}.")
        done.told += 1


def _put_off(db: Database, taken: _Taken) -> None:
    delay = min(_FIRST_DELAY * 2 ** (taken.attempt - 1), _LONGEST_DELAY)
    with db.session() as session:
        session.exec(update(Notification).where(*_mine(taken)).values(due_at=utc_now() + delay))
        session.commit()


def _close(db: Database, taken: _Taken, event: str) -> None:
    """Take a notification out of the outbox, and tell what became of it in the history of the job."""
    with db.session() as session:
        closed = session.exec(delete(Notification).where(*_mine(taken)))
        end = taken.news.event
        job = session.get(Job, end.job_id) if isinstance(end, JobEnd) else None
        if closed.rowcount and job is not None and event:
            record_of_job(session, job, event)
        session.commit()


def _mine(taken: _Taken) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (
        col(Notification.id) == taken.news.notification_id,
        col(Notification.attempts) == taken.attempt,
    )
