"""How the nodes are doing that a user may use, in words."""

from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session

from adit_core.db import NodeHealth, User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.services.node_gate import NodeState, node_states
from adit_core.services.node_health import width
from adit_core.services.nodes import usable_nodes
from adit_core.services.rights import NodeRole


class Condition(StrEnum):
    """How a node is doing."""

    READY = "ready"
    CLOSED = "closed"
    """By its policy, at this time of the week."""
    TROUBLED = "troubled"
    """It kept somebody out, but is tried again at once."""
    BUSY = "busy"
    """It said so lately, and gets fewer studies at the same time."""
    FULL = "full"
    """Nothing new is delivered to it, for lack of space."""
    PAUSED = "paused"
    """It kept somebody out too often in a row."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """How a node is doing, and why."""

    name: str
    roles: tuple[NodeRole, ...]
    """What the user may use it as."""
    condition: Condition
    reason: str


def node_reports(db: Database, user: User) -> list[NodeReport]:
    """Return how the nodes are doing that `user` may use, by name."""
    roles = {
        role: {node.id for node in usable_nodes(db, user, role)}
        for role in (NodeRole.SOURCE, NodeRole.DESTINATION)
    }
    with db.reading() as session:
        states = _states(session, roles[NodeRole.SOURCE] | roles[NodeRole.DESTINATION])
    reports = [
        NodeReport(
            state.node.name,
            tuple(role for role, node_ids in roles.items() if state.node.id in node_ids),
            *_condition(state),
        )
        for state in states
    ]
    return sorted(reports, key=lambda report: report.name)


def _states(session: Session, node_ids: set[int]) -> list[NodeState]:
    return node_states(session, node_ids) if node_ids else []


def _condition(state: NodeState) -> tuple[Condition, str]:
    now = utc_now()
    health = state.health or NodeHealth(node_id=state.node.id)
    if reason := state.outside_hours(now):
        return Condition.CLOSED, reason
    if reason := state.closed(now):
        return Condition.PAUSED, reason
    if reason := state.full(now):
        return Condition.FULL, reason
    if health.failures:
        return Condition.TROUBLED, f"It failed {health.failures} times in a row. {health.message}"
    allowed = width(state.node, state.health, now)
    if allowed < state.node.max_associations:
        return (
            Condition.BUSY,
            f"It said that it is busy, and gets at most {allowed} studies at the same time.",
        )
    return Condition.READY, ""
