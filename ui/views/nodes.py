"""Nodes: archives and folders, how they are spoken to, what they really support, and when they are used."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import DicomNode, NodeKind, User
from adit_core.db.engine import Database
from adit_core.services.groups import list_groups
from adit_core.services.node_gate import closed_nodes, full_nodes
from adit_core.services.node_health import record_answer
from adit_core.services.nodes import get_node, list_nodes, services_of
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from adit_core.services.web_nodes import web_services_of
from ui.components.forms import back_button, empty_state, go_to, open_part, say_done
from ui.components.sentences import verbatim
from ui.components.table import Badge, Column, Grid, Link, Row, Text, Tone, table
from ui.views.connection_profiles import show_profiles
from ui.views.node_forms import KINDS, offer_changes, offer_new
from ui.views.node_policy import offer_policy
from ui.views.node_removal import offer_removal, show_retired
from ui.views.node_test import offer_test

_PARTS = {"nodes": "Nodes", "profiles": "Connection profiles"}


def show(principal: Principal) -> None:
    """Show all nodes, the one that the address names, or the connection profiles."""
    require_staff(principal.user)
    db = connected().database
    name = st.query_params.get("node", "")
    if name:
        _show_node(db, principal.user, get_node(db, name))
        return
    st.title("Nodes", anchor=False)
    part = st.segmented_control(
        "What to show",
        list(_PARTS),
        format_func=lambda key: _PARTS[key],
        default="profiles" if st.query_params.get("part") == "profiles" else "nodes",
        key="part",
        on_change=_go_to_part,
        label_visibility="collapsed",
        required=True,
    )
    if part == "profiles":
        show_profiles(db, principal.user)
    else:
        _show_all(db, principal.user)


def _go_to_part() -> None:
    go_to(part=st.session_state["part"])


def _show_all(db: Database, actor: User) -> None:
    with st.expander("Add a node", icon=":material/add:"):
        offer_new(db, actor)
    nodes = list_nodes(db)
    if not nodes:
        empty_state(
            "There are no nodes yet.",
            "A node is an archive or a folder that studies move between. Add the first one above.",
        )
        show_retired(db)
        return
    picked = table(_grid(nodes, closed_nodes(db), full_nodes(db)), key="nodes")
    show_retired(db)
    if picked is not None:
        open_part(node=picked)


def _grid(nodes: list[DicomNode], closed: dict[str, str], full: dict[str, str]) -> Grid:
    columns = (
        Column("Node", width="11rem"),
        Column("Kind", width="8rem"),
        Column("Address"),
        Column("Services"),
        Column("At once", numeric=True, width="5rem"),
        Column("State", width="7rem"),
    )
    return Grid(
        "Nodes by name",
        columns,
        tuple(_row(node, closed.get(node.name, ""), full.get(node.name, "")) for node in nodes),
    )


def _row(node: DicomNode, closed: str, full: str) -> Row:
    return Row(
        node.name,
        (
            Link(node.name, f"/nodes?node={node.name}", tuple(filter(None, (closed, full)))),
            Text(KINDS[node.kind]),
            Text(_address(node), code=True),
            Text(", ".join(_services(node))),
            Text(str(node.max_associations)),
            _state(closed, full),
        ),
    )


def _state(closed: str, full: str) -> Badge:
    if full:
        return Badge("Full", Tone.BAD)
    return Badge("Closed", Tone.WARNING) if closed else Badge("Open", Tone.GOOD)


def _address(node: DicomNode) -> str:
    match node.kind:
        case NodeKind.SERVER:
            return f"{node.ae_title} {node.host}:{node.port}"
        case NodeKind.WEB:
            return node.base_url
        case NodeKind.FOLDER:
            return node.path


def _services(node: DicomNode) -> list[str]:
    match node.kind:
        case NodeKind.SERVER:
            return sorted(services_of(node))
        case NodeKind.WEB:
            return sorted(web_services_of(node))
        case NodeKind.FOLDER:
            return [node.storage.value]


def _show_node(db: Database, actor: User, node: DicomNode) -> None:
    back_button("All nodes")
    st.title(verbatim(node.name), anchor=False)
    st.caption(verbatim(f"{KINDS[node.kind]} · {_usable_by(db, node)}"))
    closed = closed_nodes(db).get(node.name, "")
    if closed:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(verbatim(closed), icon=":material/pause_circle:", width="stretch")
            if st.button("Use it again now", help="For one that is paused because it failed."):
                record_answer(db, node.id)
                say_done(f"{node.name} is used again, within its opening hours.")
    settings, test, policy, removal = st.tabs(["Settings", "Test", "Policy", "Remove"])
    with settings:
        offer_changes(db, actor, node)
    with test:
        offer_test(db, node)
    with policy:
        offer_policy(db, actor, node)
    with removal:
        offer_removal(db, node)


def _usable_by(db: Database, node: DicomNode) -> str:
    groups = [
        group.name
        for group in list_groups(db)
        for access in group.nodes
        if access.node == node.name and (access.as_source or access.as_destination)
    ]
    return (
        f"usable by {', '.join(groups)}" if groups else "usable by staff only: add it to a group under Groups"
    )
