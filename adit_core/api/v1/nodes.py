"""The nodes that one may use."""

from fastapi import APIRouter

from adit_core.api.v1.callers import Reader, Wired
from adit_core.api.v1.node_views import CheckedNode, UsableNode
from adit_core.api.v1.values import Given, NodeName, Text
from adit_core.errors import NotAllowed
from adit_core.services.node_check import check_node
from adit_core.services.node_gate import closed_nodes
from adit_core.services.nodes import get_node, usable_nodes
from adit_core.services.rights import NodeRole, may_use, require_staff

router = APIRouter(prefix="/nodes", tags=["nodes"])


class CheckWish(Given):
    """Which node is to be checked, and as what."""

    node: NodeName
    move_destination: Text = ""
    """The AE title that a C-MOVE is to go to; only staff may give one."""
    web_url: Text = ""
    """The base URL of an archive's DICOMweb services, to ask for them as well; only staff may give one."""


@router.get("")
def list_usable(wiring: Wired, caller: Reader) -> list[UsableNode]:
    """List the nodes that you may use, and as what."""
    roles = {role: usable_nodes(wiring.database, caller.user, role) for role in NodeRole}
    nodes = {node.name: node for usable in roles.values() for node in usable}
    closed = closed_nodes(wiring.database)
    return [
        UsableNode.of(
            nodes[name],
            frozenset(role for role, usable in roles.items() if any(node.name == name for node in usable)),
            closed.get(name, ""),
        )
        for name in sorted(nodes)
    ]


@router.post("/check")
def check(wiring: Wired, caller: Reader, wish: CheckWish) -> CheckedNode:
    """Ask a node what it really supports, and compare that with its configuration."""
    node = get_node(wiring.database, wish.node)
    if not any(may_use(wiring.database, caller.user, node, role) for role in NodeRole):
        raise NotAllowed(f"You may not use {node.name}. An administrator can let your group do so.")
    if wish.move_destination or wish.web_url:
        require_staff(caller.user)
    return CheckedNode.of(
        check_node(wiring.database, wish.node, move_destination=wish.move_destination, web_url=wish.web_url)
    )
