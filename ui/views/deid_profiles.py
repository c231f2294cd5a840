"""De-identification profiles: what each does to data, whether a file is one, and who uses which version."""

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import PseudonymProject
from adit_core.deid.profile import DeidProfile, builtin_profiles, read_profile
from adit_core.services.projects import list_projects
from adit_core.services.rights import require_staff
from adit_core.services.sessions import Principal
from ui.components.forms import problems_by_label
from ui.components.sentences import verbatim
from ui.components.table import Column, Grid, Link, Row, Text, table

_COLUMNS = (
    Column("Profile", width="10rem"),
    Column("Version", numeric=True, width="5rem"),
    Column("Options of PS3.15 E.3"),
    Column("Used by"),
)
_LARGEST_FILE = 1 << 20


def show(principal: Principal) -> None:
    """Show the profiles that ADIT brings and those that projects have, and look at a file."""
    require_staff(principal.user)
    st.title("Profiles", anchor=False)
    st.caption(
        "A de-identification profile says what is done to data before they leave (PS3.15 Annex E). "
        "Each project keeps the version that it was given, until it is given another under Projects."
    )
    known = _known(list_projects(connected().database))
    table(
        Grid("De-identification profiles", _COLUMNS, tuple(map(_row, known, known.values()))), key="profiles"
    )
    profiles = list(known)
    labels = [f"{profile.name} {profile.version}" for profile in profiles]
    number = st.selectbox("Look into", range(len(profiles)), format_func=lambda at: labels[at])
    show_profile(profiles[number])
    st.header("Look at a file", anchor=False)
    content = st.file_uploader(
        "A profile as YAML",
        type=["yaml", "yml", "json"],
        help="Nothing is kept. A project takes it under Projects.",
    )
    if content is not None:
        with problems_by_label({}):
            profile = uploaded_profile(content.read(_LARGEST_FILE))
            name = f"{verbatim(profile.name)} {profile.version}"
            st.success(f"{name} is a profile: give it to a project.", icon=":material/check_circle:")
            show_profile(profile)


def uploaded_profile(content: bytes) -> DeidProfile:
    """Return the profile that a file holds; raises InvalidInput, naming the fields."""
    return read_profile(content.decode("utf-8", "replace"))


def show_profile(profile: DeidProfile) -> None:
    """Show what a profile says, as the YAML file that it could be read from."""
    with st.expander(f"{verbatim(profile.name)} {profile.version} in full"):
        st.json(profile.model_dump(mode="json"))


def _known(projects: list[PseudonymProject]) -> dict[DeidProfile, list[str]]:
    """Return the profiles that ADIT brings and those that projects have, with the projects that use them."""
    known: dict[DeidProfile, list[str]] = {profile: [] for profile in builtin_profiles().values()}
    for project in projects:
        known.setdefault(project.profile, []).append(project.name)
    return dict(sorted(known.items(), key=lambda item: (item[0].name, item[0].version)))


def _row(profile: DeidProfile, projects: list[str]) -> Row:
    brought = profile in builtin_profiles().values()
    notes = ("comes with ADIT",) if brought else ("given by a project",)
    options = ", ".join(sorted(profile.options)) or "none: the basic profile"
    overrides = (f"{len(profile.overrides)} attributes decided otherwise",) if profile.overrides else ()
    used = Text("no project")
    if len(projects) == 1:
        used = Link(projects[0], f"/projects?project={projects[0]}")
    elif projects:
        used = Text(", ".join(projects))
    return Row(
        f"{profile.name} {profile.version} {brought}",
        (Text(profile.name, notes), Text(str(profile.version)), Text(options, overrides), used),
    )
