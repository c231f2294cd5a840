"""The pages and the ways between them."""

from collections.abc import Callable
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.api.wiring import connected
from adit_core.db import JobKind, Permission
from adit_core.services.active_group import active_group_of
from adit_core.services.rights import NEEDED_FOR, granted_permissions
from adit_core.services.sessions import Principal
from ui.admin_menu import Sections, admin_sections, show_sections
from ui.components.sentences import verbatim
from ui.components.sign_out import sign_out_form
from ui.components.way import lead_to
from ui.views import batch, explorer, home, job, jobs, mass, query, review, selective, upload

_TRANSFERS: tuple[tuple[JobKind, ModuleType, str, str], ...] = (
    (JobKind.SELECTIVE_TRANSFER, selective, "selective", "checklist"),
    (JobKind.BATCH_TRANSFER, batch, "batch", "table_rows"),
    (JobKind.BATCH_QUERY, query, "query", "manage_search"),
    (JobKind.MASS_TRANSFER, mass, "mass", "date_range"),
    (JobKind.UPLOAD, upload, "upload", "upload"),
)


def chosen_page(principal: Principal) -> Page:
    """Show the menu, and return the page that the address names."""
    sections = {**_sections(principal), **admin_sections(principal)}
    pages = [page for entries in sections.values() for page, _ in entries]
    # Not with icons of the pages: Streamlit would fetch those from another host for the browser's tab.
    page = st.navigation(pages, position="hidden")
    with st.sidebar:
        show_sections(sections)
        _tell_group(principal)
        st.space("medium")
        sign_out_form(principal)
    return page


def _tell_group(principal: Principal) -> None:
    """Say for which group the user works, if it is one of several."""
    group = active_group_of(connected().database, principal.user)
    if group:
        st.caption(f"Working for **{verbatim(group)}**", help="Another group is chosen in your profile.")


def _open_job(job_id: int) -> None:
    lead_to("job", id=str(job_id))


def _open_jobs() -> None:
    lead_to("jobs")


def _open_selective() -> None:
    lead_to("selective")


def _open_batch(query_id: int, source: str) -> None:
    lead_to("batch", **{"from": str(query_id), "source": source})


def _sections(principal: Principal) -> Sections:
    def leading_to_jobs(show: Callable[..., None]) -> Callable[[], None]:
        return lambda: show(principal, open_job=_open_job)

    def show_home() -> None:
        starts = [page for page, _ in transfer if page.visibility == "visible"]
        home.show(principal, ways=starts)

    def show_jobs() -> None:
        jobs.show(principal)

    def show_job() -> None:
        job.show(principal, open_jobs=_open_jobs, open_batch=_open_batch)

    def show_explorer() -> None:
        explorer.show(principal, open_transfer=_open_selective)

    def show_review() -> None:
        review.show(principal)

    granted = granted_permissions(connected().database, principal.user)
    may_review = Permission.REVIEW_HELD_INSTANCES in granted
    transfer = [
        (
            _page(
                leading_to_jobs(module.show),
                kind.value.capitalize(),
                path,
                hidden=NEEDED_FOR[kind] not in granted,
            ),
            icon,
        )
        for kind, module, path, icon in _TRANSFERS
    ]
    return {
        "": [
            (_page(show_home, "Home", "home", default=True), "home"),
            (_page(show_jobs, "Jobs", "jobs"), "swap_horiz"),
            (_page(show_job, "Job", "job", hidden=True), ""),
        ],
        "Transfer": transfer,
        "Look": [
            (_page(show_explorer, "Explorer", "explorer"), "travel_explore"),
            (_page(show_review, "Review", "review", hidden=not may_review), "rate_review"),
        ],
    }


def _page(
    show: Callable[[], None], title: str, path: str, *, default: bool = False, hidden: bool = False
) -> Page:
    return st.Page(
        show, title=title, url_path=path, default=default, visibility="hidden" if hidden else "visible"
    )
