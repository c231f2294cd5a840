"""Projects that studies are pseudonymized for: how, and by which groups."""

from collections.abc import Callable
from io import BytesIO

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import PseudonymProject, PseudonymSource, User
from adit_core.db.engine import Database
from adit_core.deid.profile import DeidProfile, builtin_profiles
from adit_core.errors import InputProblem, InvalidInput
from adit_core.services.groups import list_groups
from adit_core.services.projects import (
    DEFAULT_PROFILE,
    ProjectChanges,
    add_project,
    change_project,
    get_project,
    groups_of_project,
    list_projects,
    remove_project,
    set_project_groups,
)
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from ui.components.forms import back_button, empty_state, go_to, open_part, problems_by_label, say_done
from ui.components.question import ask, asked, show_question
from ui.components.sentences import verbatim
from ui.components.table import Column, Grid, Link, Row, Text, table
from ui.components.times import moment
from ui.session import signed_in
from ui.views.deid_profiles import show_profile, uploaded_profile

_REMOVE = "remove project"
_SOURCES = {
    PseudonymSource.KEYED: "Derived from the Patient ID by the project's secret",
    PseudonymSource.RANDOM: "Drawn at random",
    PseudonymSource.GIVEN: "Always given by spreadsheet or form",
}
_LABELS = {"name": "Name", "profile": "Profile", "": "Profile"}
_FILE = "file"
_LARGEST_FILE = 1 << 20


def show(principal: Principal) -> None:
    """Show all projects, or the one that the address names."""
    require_staff(principal.user)
    db = connected().database
    name = st.query_params.get("project", "")
    if name:
        _show_project(db, principal.user, get_project(db, name))
    else:
        _show_all(db, principal.user)


def _show_all(db: Database, actor: User) -> None:
    st.title("Projects", anchor=False)
    st.caption("A project is what studies are pseudonymized for. Its secret is made by ADIT and never shown.")
    with st.expander("Add a project", icon=":material/add:"):
        name = st.text_input("Name", max_chars=64)
        wanted = _fields(None)
        if st.button("Add project", type="primary"):
            with problems_by_label(_LABELS):
                added = add_project(db, name, wanted(), actor=actor)
                open_part(project=added.name)
    projects = list_projects(db)
    if not projects:
        empty_state("There are no projects yet.", "Add one above, then say which groups may use it.")
        return
    picked = table(_grid(db, projects), key="projects")
    if picked is not None:
        open_part(project=picked)


def _grid(db: Database, projects: list[PseudonymProject]) -> Grid:
    columns = (
        Column("Project", width="11rem"),
        Column("Profile", width="10rem"),
        Column("Pseudonyms"),
        Column("Trial protocol"),
        Column("Groups"),
    )
    return Grid("Projects by name", columns, tuple(_row(db, project) for project in projects))


def _row(db: Database, project: PseudonymProject) -> Row:
    protocol = " ".join(filter(None, (project.trial_protocol_id, project.trial_protocol_name)))
    return Row(
        project.name,
        (
            Link(project.name, f"/projects?project={project.name}"),
            Text(f"{project.profile.name} {project.profile.version}"),
            Text(_SOURCES[project.pseudonyms]),
            Text(protocol),
            Text(", ".join(groups_of_project(db, project.name)) or "staff only"),
        ),
    )


def _show_project(db: Database, actor: User, project: PseudonymProject) -> None:
    back_button("All projects")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(verbatim(project.name), anchor=False, width="stretch")
        st.button("Remove project", icon=":material/delete:", on_click=ask, args=[(_REMOVE, project.name)])
    st.caption(f"Added {moment(project.created_at)}. Jobs that wait go by what is said when they are done.")
    show_profile(project.profile)
    wanted = _fields(project)
    if st.button("Save project", type="primary"):
        with problems_by_label(_LABELS):
            change_project(db, project.name, wanted(), actor=actor)
            say_done(f"Changed the project {project.name}.")
    with st.form("groups"):
        st.header("Groups", anchor=False)
        groups = st.multiselect(
            "Groups whose members may pseudonymize for this project",
            [group.name for group in list_groups(db)],
            groups_of_project(db, project.name),
            placeholder="Choose groups",
        )
        saved = st.form_submit_button("Save groups")
    if saved:
        with problems_by_label(_LABELS):
            set_project_groups(db, project.name, groups, actor=actor)
            say_done(f"Changed who may use {project.name}.")
    if asked() == (_REMOVE, project.name):
        _ask_about_removal(db, project.name)


def _fields(project: PseudonymProject | None) -> Callable[[], ProjectChanges]:
    """Show the fields; return what tells what they say, and raises InvalidInput if the profile is none."""
    profile = _chosen_profile(project)
    sources = list(_SOURCES)
    pseudonyms = st.selectbox(
        "Pseudonyms that nobody gives",
        sources,
        sources.index(project.pseudonyms) if project else 0,
        format_func=lambda source: _SOURCES[source],
    )
    left, right = st.columns(2)
    protocol_id = left.text_input(
        "Clinical Trial Protocol ID",
        project.trial_protocol_id if project else "",
        max_chars=64,
        help="Written into the data, if it is not empty.",
    )
    protocol_name = right.text_input(
        "Clinical Trial Protocol Name", project.trial_protocol_name if project else "", max_chars=64
    )
    return lambda: ProjectChanges(
        profile=profile(),
        pseudonyms=pseudonyms,
        trial_protocol_id=protocol_id,
        trial_protocol_name=protocol_name,
    )


def _chosen_profile(project: PseudonymProject | None) -> Callable[[], DeidProfile | None]:
    """Let a profile be chosen; what is returned tells it, or None if that of the project stays."""
    known = builtin_profiles()
    own = f"{project.profile.name} {project.profile.version}, as it is" if project else ""
    labels = {
        **({"": own} if project else {}),
        **{name: f"{name} {profile.version}" for name, profile in known.items()},
        _FILE: "From a file",
    }
    names = list(labels)
    choice = st.selectbox(
        "Profile",
        names,
        0 if project else names.index(DEFAULT_PROFILE),
        format_func=lambda name: labels[name],
        help="What is done to data before they leave; Profiles shows each of them.",
    )
    if choice != _FILE:
        return lambda: known.get(choice)
    content = st.file_uploader("A profile as YAML", type=["yaml", "yml", "json"])
    return lambda: uploaded_profile(_content(content))


def _content(file: BytesIO | None) -> bytes:
    if file is None:
        raise InvalidInput(InputProblem("Choose the file, or another profile.", field="profile"))
    return file.read(_LARGEST_FILE)


def _ask_about_removal(db: Database, name: str) -> None:
    def act() -> None:
        remove_project(db, name, actor=signed_in().user)
        go_to()

    consequence = "Only a project that has no jobs and no links can be removed. Its secret is gone for good."
    show_question(f"Remove the project {name}?", consequence, "Remove project", act)
