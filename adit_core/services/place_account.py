"""The account of places at nodes, in the database: asking, taking, renewing and giving back.

Who asks and does not get a place at once stays in line by a row, too. Rows are leases: who dies does not
renew them. Times are those of the clock that all share. A process that was suspended for longer than its
lease may find that others have its places; it enters itself again, for its associations are as open as
before, and nobody further is let in until there are as few as allowed.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Self
from uuid import uuid4

from sqlalchemy import bindparam
from sqlmodel import Session, col, delete, insert, select, update

from adit_core.db import DicomNode, NodeHealth, NodePlace, Precedence
from adit_core.db.clock import CLOCKS, shared_now
from adit_core.db.columns import storable
from adit_core.db.engine import Database
from adit_core.errors import NodeClosed, NotFound
from adit_core.services.node_health import width
from adit_core.services.node_turns import NodeUse, admitted

_log = logging.getLogger(__name__)

LEASE = timedelta(seconds=45)
"""After which the places of a holder that has died are free again."""
_WAITING_LEASE = timedelta(seconds=5)
"""After which somebody who does not look any more is out of line."""
_LEEWAY = timedelta(seconds=5)
"""For SQLite, which asks each process for the time before it has the lock."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.03, 0.25
"""Seconds. Between them, who is next looks again after a tenth of the time in which nothing has changed."""


_TAKE_TURNS = (
    select(DicomNode.id)
    .where(col(DicomNode.id).in_(bindparam("node_ids", expanding=True)))
    .order_by(col(DicomNode.id))
    .with_for_update(key_share=True)
)
_READ = {
    dialect: select(clock, DicomNode, NodeHealth, NodePlace)
    .outerjoin(NodeHealth, col(NodeHealth.node_id) == col(DicomNode.id))
    .outerjoin(NodePlace, col(NodePlace.node_id) == col(DicomNode.id))
    .execution_options(populate_existing=True)
    for dialect, clock in CLOCKS.items()
}
_ENTER = insert(NodePlace)
_REMOVE = (
    delete(NodePlace)
    .where(col(NodePlace.asker).in_(bindparam("askers", expanding=True)))
    .execution_options(synchronize_session=False)
)


class Asker:
    """Somebody who asks for a place at each of some nodes, and takes them all at once."""

    def __init__(self, db: Database, node_ids: Iterable[int], holder: str, precedence: Precedence) -> None:
        self.db = db
        self.id = str(uuid4())
        self.holder = holder
        self.pause = _SHORTEST_PAUSE
        """Seconds after which it is worth to look again."""
        self._node_ids = frozenset(node_ids)
        self._precedence = precedence
        self._asked_at: datetime | None = None

    def take(self) -> NodeClosed | None:
        """Take the places if it is the asker's turn, else stay in line and return why.

        Raises:
            NotFound: A node has been deleted.
            DatabaseUnavailable: Nobody can say.
        """
        with self.db.session() as session:
            # Those who look at the same node do so one after the other.
            session.exec(_TAKE_TURNS, params={"node_ids": list(self._node_ids)}).all()
            account = _Account.of_the_living(session)
            self._asked_at = self._asked_at or account.now
            reason = self._why_not(account)
            if reason is None:
                self._take_by(account, session)
            else:
                self._stay_in_line(account, session)
            session.commit()
        return reason

    def enter(self, session: Session, taken_at: datetime | None, until: datetime) -> None:
        """Write the asker into the account, in which nothing is of it."""
        rows = [
            {
                "node_id": node_id,
                "asker": self.id,
                "holder": storable(self.holder, 64),
                "precedence": self._precedence,
                "asked_at": self._asked_at,
                "taken_at": taken_at,
                "until": until,
            }
            for node_id in sorted(self._node_ids)
        ]
        session.execute(_ENTER, rows)

    def enter_again(self, session: Session, now: datetime) -> None:
        """Write the asker, who has places, into the account once more, unless a node has been deleted."""
        _remove(session, [self.id])
        known = session.exec(select(DicomNode.id).where(col(DicomNode.id).in_(self._node_ids)))
        if self.is_entered_by(known.all()):
            self.enter(session, now, now + LEASE)

    def is_entered_by(self, node_ids: Collection[int]) -> bool:
        """Tell whether these are all nodes that the asker uses."""
        return self._node_ids == frozenset(node_ids)

    def _why_not(self, account: "_Account") -> NodeClosed | None:
        if not self._node_ids <= account.widths.keys():
            raise NotFound("A node has been deleted.")
        assert self._asked_at is not None
        me = NodeUse(self.id, self._node_ids, self._precedence, self._asked_at, is_held=False)
        others = [use for use in account.uses() if use.asker != self.id]
        if self.id in admitted([*others, me], account.widths):
            return None
        ahead = sum(not use.is_held and use.order < me.order for use in others)
        stillness = account.stillness(self._node_ids) / 10
        self.pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, stillness) * (1 + ahead))
        held = {each: sum(use.is_held and each in use.node_ids for use in others) for each in self._node_ids}
        fullest = min(sorted(held), key=lambda node_id: account.widths[node_id] - held[node_id])
        most, name = account.widths[fullest], account.names[fullest]
        return NodeClosed(f"All {most} connections to {name} are in use; try again later.")

    def _take_by(self, account: "_Account", session: Session) -> None:
        until = account.now + LEASE
        mine = self._nodes_in(account)
        if self.is_entered_by(mine):
            rows = update(NodePlace).where(col(NodePlace.asker) == self.id)
            session.exec(rows.values(taken_at=account.now, until=until))
        else:
            self._enter_anew(session, mine, account.now, until)

    def _stay_in_line(self, account: "_Account", session: Session) -> None:
        mine = self._nodes_in(account)
        if not self.is_entered_by(mine) or account.ends_soon(self.id):
            self._enter_anew(session, mine, None, account.now + _WAITING_LEASE)

    def _enter_anew(
        self, session: Session, mine: Collection[int], taken_at: datetime | None, until: datetime
    ) -> None:
        if mine:
            _remove(session, [self.id])
        self.enter(session, taken_at, until)

    def _nodes_in(self, account: "_Account") -> list[int]:
        return [place.node_id for place in account.places if place.asker == self.id]


@dataclass(frozen=True, slots=True)
class _Account:
    """What the account says at one moment, and how many places there are at each node."""

    now: datetime
    places: Sequence[NodePlace]
    names: Mapping[int, str]
    widths: Mapping[int, int]

    @classmethod
    def of_the_living(cls, session: Session) -> Self:
        """Read the account, after the rows of the dead were removed."""
        account = cls._read(session)
        latest = account.now + LEASE
        if all(account.now <= place.until <= latest + _LEEWAY for place in account.places):
            return account
        # Some may be renewed at this moment: whatever is not removed counts.
        session.exec(delete(NodePlace).where(col(NodePlace.until) < account.now))
        # The clock was put back: who lives renews the lease in time.
        session.exec(update(NodePlace).where(col(NodePlace.until) > latest).values(until=latest))
        return cls._read(session)

    @classmethod
    def _read(cls, session: Session) -> Self:
        rows = session.exec(_READ[session.get_bind().dialect.name]).all()
        if not rows:
            raise NotFound("All nodes have been deleted.")
        now = rows[0][0]
        return cls(
            now,
            [place for _, _, _, place in rows if place is not None],
            {node.id: node.name for _, node, _, _ in rows},
            {node.id: width(node, health, now) for _, node, health, _ in rows},
        )

    def stillness(self, node_ids: Collection[int]) -> float:
        """Return for how many seconds nobody has taken a place at these nodes, as far as is known."""
        taken = [place.taken_at for place in self.places if place.taken_at and place.node_id in node_ids]
        return (self.now - max(taken)).total_seconds() if taken else 0

    def ends_soon(self, asker_id: str) -> bool:
        """Tell whether somebody who waits has to renew that."""
        mine = (place.until for place in self.places if place.asker == asker_id)
        return min(mine) - self.now < _WAITING_LEASE / 2

    def uses(self) -> list[NodeUse]:
        """Return who uses, or waits for, which nodes."""
        by_asker = groupby(sorted(self.places, key=attrgetter("asker")), key=attrgetter("asker"))
        return [_use(list(places)) for _, places in by_asker]


def _use(places: Sequence[NodePlace]) -> NodeUse:
    first = places[0]
    return NodeUse(
        first.asker,
        frozenset(place.node_id for place in places),
        first.precedence,
        first.asked_at,
        is_held=first.taken_at is not None,
    )


def _remove(session: Session, asker_ids: Collection[str]) -> None:
    session.exec(_REMOVE, params={"askers": list(asker_ids)})


def give_back(db: Database, asker_ids: Collection[str]) -> None:
    """Remove askers from the account, whether they have places or wait for some."""
    with db.session() as session:
        _remove(session, asker_ids)
        session.commit()


def renew(db: Database, holders: Mapping[str, Asker]) -> list[str]:
    """Let those who have places, by their ids, keep them for another lease.

    Return the ids of those who were not in the account any more and have been entered again.
    """
    with db.session() as session:
        now = shared_now(session)
        renewed = session.exec(
            update(NodePlace)
            .where(col(NodePlace.asker).in_(holders))
            .values(until=now + LEASE)
            .returning(col(NodePlace.asker), col(NodePlace.node_id))
        ).all()
        nodes: dict[str, set[int]] = {asker_id: set() for asker_id in holders}
        for asker_id, node_id in renewed:
            nodes[asker_id].add(node_id)
        lost = [each for each, node_ids in nodes.items() if not holders[each].is_entered_by(node_ids)]
        for asker_id in lost:
            _log.warning("places at nodes had run out", extra={"holder": holders[asker_id].holder})
            holders[asker_id].enter_again(session, now)
        session.commit()
    return lost
