"""Groups: their members, what they permit, and which nodes they may use as what."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import Permission, User
from adit_core.db.engine import Database
from adit_core.services.groups import (
    GroupView,
    add_group,
    list_groups,
    remove_group,
    set_all_node_access,
    set_members,
    set_permissions,
    show_group,
)
from adit_core.services.nodes import list_nodes
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from adit_core.services.users import list_users
from ui.components.forms import back_button, empty_state, go_to, open_part, problems_by_label, say_done
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.components.table import Column, Grid, Link, Row, Text, table
from ui.components.url import number_in_url
from ui.session import signed_in

_REMOVE = "remove group"
_MEANINGS = {
    Permission.TRANSFER_SELECTED: "transfer studies that they pick from what is found",
    Permission.TRANSFER_BATCHES: "transfer the studies that a spreadsheet lists",
    Permission.TRANSFER_MASSES: "transfer whatever a range of days and filters choose",
    Permission.UPLOAD: "bring DICOM files and have them transferred",
    Permission.QUERY: "ask archives about the rows of a spreadsheet",
    Permission.CONVERT_TO_NIFTI: "have folders get NIfTI volumes, and retrieve them through the proxy",
    Permission.MAKE_ARCHIVES: "have folders get encrypted archives",
    Permission.PROCESS_URGENTLY: "let jobs pass others",
    Permission.TRANSFER_UNPSEUDONYMIZED: "transfer with the patients' names",
    Permission.VIEW_LINK_TABLE: "see who was who in a project",
    Permission.REVIEW_HELD_INSTANCES: "look at held-back images and release them",
    Permission.DICOMWEB_QUERY: "query through the DICOMweb proxy",
    Permission.DICOMWEB_RETRIEVE: "retrieve through the DICOMweb proxy",
    Permission.DICOMWEB_STORE: "store through the DICOMweb proxy",
    Permission.USE_API: "make tokens, and use the API and the DICOMweb proxy by them",
}


def show(principal: Principal) -> None:
    """Show all groups, or the one that the address names."""
    require_staff(principal.user)
    db = connected().database
    group_id = number_in_url("id")
    if group_id is None:
        _show_all(db, principal.user)
    else:
        _show_group(db, principal.user, show_group(db, group_id))


def _show_all(db: Database, actor: User) -> None:
    st.title("Groups", anchor=False)
    st.caption("Members of a group may do what it permits, with the nodes that it may use.")
    with st.form("new-group", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of a new group", max_chars=150, width=320)
        sent = st.form_submit_button("Add group", icon=":material/group_add:")
    if sent:
        with problems_by_label({"name": "Name"}):
            added = add_group(db, name, actor=actor)
            open_part(id=str(added.id))
    groups = list_groups(db)
    if not groups:
        empty_state("There are no groups yet.", "Add one above, then say who is in it and what it may do.")
        return
    picked = table(_grid(groups), key="groups")
    if picked is not None:
        open_part(id=picked)


def _grid(groups: list[GroupView]) -> Grid:
    columns = (Column("Group", width="11rem"), Column("Members"), Column("Permissions"), Column("Nodes"))
    return Grid("Groups by name", columns, tuple(map(_row, groups)))


def _row(group: GroupView) -> Row:
    sources = [node.node for node in group.nodes if node.as_source]
    destinations = [node.node for node in group.nodes if node.as_destination]
    ways = (
        *([f"from {', '.join(sources)}"] if sources else []),
        *([f"to {', '.join(destinations)}"] if destinations else []),
    )
    return Row(
        str(group.id),
        (
            Link(group.name, f"/groups?id={group.id}"),
            Text(", ".join(group.members) or "nobody"),
            Text(", ".join(group.permissions) or "none"),
            Text(ways[0] if ways else "none", ways[1:]),
        ),
    )


def _show_group(db: Database, actor: User, group: GroupView) -> None:
    back_button("All groups")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(verbatim(group.name), anchor=False, width="stretch")
        st.button("Remove group", icon=":material/delete:", on_click=ask, args=[(_REMOVE, group.id)])
    _offer_members(db, actor, group)
    _offer_permissions(db, actor, group)
    _offer_nodes(db, actor, group)
    if asked() == (_REMOVE, group.id):
        _ask_about_removal(db, group)


def _offer_members(db: Database, actor: User, group: GroupView) -> None:
    with st.form("members"):
        st.header("Members", anchor=False)
        names = {user.username: user.full_name for user in list_users(db)}
        members = st.multiselect(
            "Members",
            list(names),
            list(group.members),
            format_func=lambda name: f"{name} ({names[name]})" if names.get(name) else name,
            placeholder="Choose users",
            label_visibility="collapsed",
        )
        saved = st.form_submit_button("Save members")
    if saved:
        with problems_by_label({}):
            set_members(db, group.id, members, actor=actor)
            say_done(f"Changed the members of {group.name}.")


def _offer_permissions(db: Database, actor: User, group: GroupView) -> None:
    with st.form("permissions"):
        st.header("Permissions", anchor=False)
        columns = st.columns(2)
        chosen = [
            permission
            for number, permission in enumerate(Permission)
            if columns[number % 2].checkbox(
                permission.value[0].upper() + permission.value[1:],
                permission in group.permissions,
                help=f"Members may {_MEANINGS[permission]}.",
                key=f"permission-{group.id}-{permission.name}",
            )
        ]
        saved = st.form_submit_button("Save permissions")
    if saved:
        with problems_by_label({}):
            set_permissions(db, group.id, chosen, actor=actor)
            say_done(f"Changed what {group.name} permits.")


def _offer_nodes(db: Database, actor: User, group: GroupView) -> None:
    names = [node.name for node in list_nodes(db)]
    with st.form("nodes"):
        st.header("Nodes", anchor=False)
        if not names:
            st.caption("There are no nodes yet. Add archives and folders under Nodes.")
        sources = st.multiselect(
            "May be used as sources",
            names,
            [node.node for node in group.nodes if node.as_source],
            help="Members may search these nodes, and have studies moved from them.",
            placeholder="Choose nodes",
        )
        destinations = st.multiselect(
            "May be used as destinations",
            names,
            [node.node for node in group.nodes if node.as_destination],
            help="Members may have studies moved to these nodes.",
            placeholder="Choose nodes",
        )
        saved = st.form_submit_button("Save nodes")
    if saved:
        with problems_by_label({}):
            set_all_node_access(db, group.id, sources=sources, destinations=destinations, actor=actor)
            say_done(f"Changed the nodes of {group.name}.")


def _ask_about_removal(db: Database, group: GroupView) -> None:
    def act() -> None:
        remove_group(db, group.id, actor=signed_in().user)
        go_to()

    consequence = "Its members keep only what other groups permit. Their jobs stay."
    show_question(f"Remove the group {group.name}?", consequence, "Remove group", act)
