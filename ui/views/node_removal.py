"""Removing nodes, and bringing back those that are retired."""

import streamlit as st

from adit_core.db import DicomNode
from adit_core.db.engine import Database
from adit_core.services.node_removal import Removal, remove_node, restore_node
from adit_core.services.nodes import retired_nodes
from ui.components.forms import go_to, problems_by_label, say_done
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.components.times import moment
from ui.session import signed_in

_REMOVE = "remove node"


def offer_removal(db: Database, node: DicomNode) -> None:
    """Show what removing a node means, and the button that asks for it."""
    st.markdown(
        "A node that no job refers to is deleted. Any other is retired: nobody can choose it any more, its "
        "jobs go on naming it, and it can be restored with its settings and groups."
    )
    st.button("Remove this node", icon=":material/delete:", on_click=ask, args=((_REMOVE, node.name),))
    if asked() == (_REMOVE, node.name):
        _ask_about_removal(db, node.name)


def show_retired(db: Database) -> None:
    """Show the nodes that are retired, if there are any, each with the button that restores it."""
    nodes = retired_nodes(db)
    if not nodes:
        return
    with st.expander(f"Retired nodes ({len(nodes)})", icon=":material/inventory_2:"):
        for node in nodes:
            with st.container(horizontal=True, vertical_alignment="center"):
                since = f" · since {moment(node.retired_at)}" if node.retired_at else ""
                st.markdown(verbatim(f"{node.name}{since}"), width="stretch")
                if st.button("Restore", key=f"restore-{node.id}"):
                    with problems_by_label({}):
                        restore_node(db, node.name, actor=signed_in().user)
                        say_done(f"{node.name} can be used again.")


def _ask_about_removal(db: Database, name: str) -> None:
    def act() -> None:
        removal = remove_node(db, name, actor=signed_in().user)
        go_to()
        st.toast(
            verbatim(f"{name} is {'deleted' if removal is Removal.DELETED else 'retired'}."),
            icon=":material/check_circle:",
        )

    show_question(
        f"Remove {name}?",
        "Nobody can choose it any more. Jobs that have ended stay as they are.",
        "Remove",
        act,
    )
