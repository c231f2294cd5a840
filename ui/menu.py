"""The pages and the ways between them."""

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.api.wiring import connected
from adit_core.db import Permission
from adit_core.services.rights import has_permission
from adit_core.services.sessions import Principal
from ui.components.sign_out import sign_out_form
from ui.views import explorer, job, jobs, review, upload


def chosen_page(principal: Principal) -> Page:
    """Show the menu, and return the page that the address names."""

    def show_jobs() -> None:
        jobs.show(principal, open_job=open_job)

    def show_job() -> None:
        job.show(principal, open_jobs=open_jobs)

    def show_upload() -> None:
        upload.show(principal, open_job=open_job)

    def show_explorer() -> None:
        explorer.show(principal, open_transfer=open_transfer if "selective" in by_path else None)

    def show_review() -> None:
        review.show(principal)

    def open_transfer() -> None:
        st.switch_page(by_path["selective"])

    def open_job(job_id: int) -> None:
        st.switch_page(job_page, query_params={"id": str(job_id)})

    def open_jobs() -> None:
        st.switch_page(jobs_page)

    jobs_page = st.Page(show_jobs, title="Jobs", url_path="jobs", default=True)
    job_page = st.Page(show_job, title="Job", url_path="job", visibility="hidden")
    upload_page = st.Page(show_upload, title="Upload", url_path="upload")
    explorer_page = st.Page(show_explorer, title="Explorer", url_path="explorer")
    review_page = st.Page(show_review, title="Review", url_path="review")
    pages = [jobs_page, job_page, upload_page, explorer_page, review_page]
    by_path = {page.url_path: page for page in pages}
    page = st.navigation(pages, position="hidden")
    with st.sidebar:
        # Not as icons of the pages: Streamlit would fetch those from another host for the browser's tab.
        st.page_link(jobs_page, icon=":material/swap_horiz:")
        _link_for(principal, Permission.TRANSFER, upload_page, icon=":material/upload:")
        st.page_link(explorer_page, icon=":material/travel_explore:")
        _link_for(principal, Permission.REVIEW_HELD_INSTANCES, review_page, icon=":material/rate_review:")
        st.space("medium")
        sign_out_form(principal)
    return page


def _link_for(principal: Principal, permission: Permission, page: Page, *, icon: str) -> None:
    """Show the way to a page to those who have what it takes; it says so itself to others."""
    if has_permission(connected().database, principal.user, permission):
        st.page_link(page, icon=icon)
