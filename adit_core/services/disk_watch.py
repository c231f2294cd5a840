"""Watching disks: what is found out is written down for everybody, and staff are told once of what is worse.

A reading that says that a folder is full holds for two minutes. After that somebody may try again, who
measures first: so a folder that no process watches is not closed for ever.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlmodel import Session, col, select, update

from adit_core.db import Channel, DicomNode, DiskReading, NodeKind, NodePolicy, Notification, SpaceState, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.db.notifications import DiskNews
from adit_core.db.upsert import add_if_missing
from adit_core.errors import InputProblem, NodeClosed
from adit_core.services.disk_space import (
    Place,
    Space,
    bytes_below,
    folder_place,
    folder_places,
    is_worse,
    own_places,
    space_at,
)
from adit_core.settings import Settings

FRESH = timedelta(minutes=2)
"""How long a reading says something of now."""
_COUNT_INTERVAL = timedelta(minutes=10)
"""Between two counts of what a folder with a quota holds."""
_COUNT_INTERVAL_OF_WORKERS = timedelta(hours=1)
"""Where nobody watches: a count takes long, and keeps a study waiting."""
_TOLD_AGAIN = timedelta(days=1)


def watch_disks(db: Database, settings: Settings) -> list[DiskReading]:
    """Measure all places that this machine sees, and return what was found out.

    A folder that is missing here is somebody else's to watch, since only they can tell where it lies.
    """
    visible = [place for place in (*own_places(settings), *folder_places(db)) if place.path.is_dir()]
    readings = (_look(db, place, count_after=_COUNT_INTERVAL) for place in visible)
    return [reading for reading in readings if reading is not None]


def readings(db: Database) -> list[DiskReading]:
    """Return what was found out last about each place, whoever sees it."""
    with db.reading() as session:
        return list(session.exec(select(DiskReading).order_by(DiskReading.place)))


def require_space_of_node(db: Database, node: DicomNode) -> None:
    """Do nothing if there is room for another study at a destination. For workers, who have its folder.

    Raises:
        NodeClosed: There is none; the message says what is free and what to do.
    """
    if node.kind is not NodeKind.FOLDER:
        return
    reading = _look(db, _place_of(db, node), count_after=_COUNT_INTERVAL_OF_WORKERS)
    if reading is not None and reading.state is SpaceState.FULL:
        raise NodeClosed(reading.message)


def space_problems(db: Database, node: DicomNode) -> Iterable[InputProblem]:
    """Return why nothing new should be sent to a destination: nothing, if there is room.

    The folder is measured if it is there, else what somebody else has found out counts.
    """
    if node.kind is not NodeKind.FOLDER:
        return ()
    place = _place_of(db, node)
    with db.reading() as session:
        known = session.get(DiskReading, place.key)
    space = space_at(place, used=known.used if known else None) if place.path.is_dir() else None
    if space is not None:
        message = space.message if space.state is SpaceState.FULL else ""
    else:
        message = lack_of_space(known, utc_now())
    return (InputProblem(message, field="destination"),) if message else ()


def lack_of_space(reading: DiskReading | None, now: datetime) -> str:
    """Return why a place is full, if a reading says so that is fresh; else nothing."""
    if reading is None or reading.state is not SpaceState.FULL or reading.measured_at < now - FRESH:
        return ""
    return reading.message


def _place_of(db: Database, node: DicomNode) -> Place:
    with db.reading() as session:
        return folder_place(node, session.get(NodePolicy, node.id))


def _look(db: Database, place: Place, *, count_after: timedelta) -> DiskReading | None:
    """Measure a place, write down what was found, and have staff told if it is worse than they know."""
    with db.reading() as session:
        before = session.get(DiskReading, place.key)
    now = utc_now()
    used, used_at = (before.used, before.used_at) if before else (None, None)
    if place.limits.quota is None:
        used = used_at = None
    elif used_at is None or used_at < now - count_after:
        used, used_at = bytes_below(place.path), now
    space = space_at(place, used=used)
    if space is None:
        return None
    reading = DiskReading(
        place=place.key,
        node_id=place.node_id,
        total=space.total,
        free=space.free,
        used=used,
        state=space.state,
        message=space.message,
        measured_at=now,
        used_at=used_at,
    )
    with db.session() as session:
        add_if_missing(session, reading, key=("place",))
        changes = reading.model_dump(exclude={"place", "told", "told_at"})
        session.exec(update(DiskReading).where(col(DiskReading.place) == place.key).values(**changes))
        _tell(session, place, space, now)
        session.commit()
    return reading


def _tell(session: Session, place: Place, space: Space, now: datetime) -> None:
    """Have staff told of what is worse than they know; of what goes up and down at a limit, once a day."""
    row = session.get_one(DiskReading, place.key, populate_existing=True, with_for_update=True)
    if is_worse(space.state, row.told):
        row.told, row.told_at = space.state, now
    elif space.state is SpaceState.ENOUGH and row.told_at and row.told_at < now - _TOLD_AGAIN:
        row.told, row.told_at = SpaceState.ENOUGH, None
        return
    else:
        return
    news = DiskNews(place=place.name, state=space.state, message=space.message, at=now)
    staff = session.exec(select(User).where(User.is_staff, User.is_active, User.email != "")).all()
    session.add(Notification(channel=Channel.WEBHOOK, disk=news))
    session.add_all(Notification(channel=Channel.EMAIL, disk=news, recipient_id=user.id) for user in staff)
