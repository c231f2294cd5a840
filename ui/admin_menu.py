"""The pages of administration, which only staff have, and that of one's own account."""

from collections.abc import Callable
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.services.sessions import Principal
from ui.views import account, announcements, audit, deid_profiles, groups, nodes, projects, users

Sections = dict[str, list[tuple[Page, str]]]
"""Pages and their icons, below the names of their sections; a name may be empty."""

_ADMINISTRATION: tuple[tuple[str, ModuleType, str], ...] = (
    ("Users", users, "person"),
    ("Groups", groups, "group"),
    ("Nodes", nodes, "dns"),
    ("Profiles", deid_profiles, "policy"),
    ("Projects", projects, "science"),
    ("Announcements", announcements, "campaign"),
    ("Audit", audit, "history"),
)


def admin_sections(principal: Principal) -> Sections:
    """Return the pages of administration, hidden from all but staff, and that of one's own account."""
    visibility = "visible" if principal.user.is_staff else "hidden"
    administration = [
        (
            st.Page(_shown(module, principal), title=title, url_path=title.lower(), visibility=visibility),
            icon,
        )
        for title, module, icon in _ADMINISTRATION
    ]
    profile = st.Page(_shown(account, principal), title="Profile", url_path="profile")
    return {"Administration": administration, "Account": [(profile, "account_circle")]}


def show_sections(sections: Sections) -> None:
    """Show the links to the pages that are not hidden."""
    for name, pages in sections.items():
        visible = [(page, icon) for page, icon in pages if page.visibility == "visible"]
        if visible and name:
            st.caption(name)
        for page, icon in visible:
            st.page_link(page, icon=f":material/{icon}:")


def _shown(module: ModuleType, principal: Principal) -> Callable[[], None]:
    return lambda: module.show(principal)
