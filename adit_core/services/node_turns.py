"""Whose turn it is at nodes that are full."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NodeUse:
    """Somebody who has, or waits for, a place at each of some nodes: at all of them, or at none."""

    asker: str
    node_ids: frozenset[int]
    precedence: int
    """The lower, the earlier."""
    asked_at: datetime
    is_held: bool

    @property
    def order(self) -> tuple[int, datetime, str]:
        """What the line is ordered by; it is the same at all nodes."""
        return self.precedence, self.asked_at, self.asker


def admitted(uses: Iterable[NodeUse], widths: Mapping[int, int]) -> set[str]:
    """Return which askers of those who wait may take their places now; `widths` says how many there are.

    ============================================ ==========================================================
    who waits                                    what follows
    ============================================ ==========================================================
    finds a place at each node                   takes them
    does not, but was passed by at none, or not  is passed by: a node is not left idle because another one
    at all of its nodes                          is full
    does not, and was passed by at all           is not passed by any more: at two busy nodes, places would
                                                 hardly ever become free at the same time
    ============================================ ==========================================================

    Nobody holds anything while waiting, and all nodes have the same order, so no two wait for each other.
    """
    free = dict(widths)
    held = [use for use in uses if use.is_held]
    _occupy(free, held)
    found: set[str] = set()
    for use in sorted((use for use in uses if not use.is_held), key=lambda use: use.order):
        if all(free[node_id] > 0 for node_id in use.node_ids):
            found.add(use.asker)
        elif not _was_passed_by(use, held):
            continue
        _occupy(free, [use])
    return found


def _occupy(free: dict[int, int], uses: Iterable[NodeUse]) -> None:
    for use in uses:
        for node_id in use.node_ids:
            free[node_id] -= 1


def _was_passed_by(use: NodeUse, held: Iterable[NodeUse]) -> bool:
    later = [other.node_ids for other in held if other.order > use.order]
    return all(any(node_id in node_ids for node_ids in later) for node_id in use.node_ids)
