"""The pages and the ways between them."""

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.services.sessions import Principal
from ui.admin_menu import admin_sections, show_sections
from ui.components.sign_out import sign_out_form
from ui.views import job, jobs


def chosen_page(principal: Principal) -> Page:
    """Show the menu, and return the page that the address names."""

    def show_jobs() -> None:
        jobs.show(principal, open_job=open_job)

    def show_job() -> None:
        job.show(principal, open_jobs=open_jobs)

    def open_job(job_id: int) -> None:
        st.switch_page(job_page, query_params={"id": str(job_id)})

    def open_jobs() -> None:
        st.switch_page(jobs_page)

    jobs_page = st.Page(show_jobs, title="Jobs", url_path="jobs", default=True)
    job_page = st.Page(show_job, title="Job", url_path="job", visibility="hidden")
    sections = admin_sections(principal)
    others = [page for pages in sections.values() for page, _ in pages]
    page = st.navigation([jobs_page, job_page, *others], position="hidden")
    with st.sidebar:
        # Not as icons of the pages: Streamlit would fetch those from another host for the browser's tab.
        st.page_link(jobs_page, icon=":material/swap_horiz:")
        show_sections(sections)
        st.space("medium")
        sign_out_form(principal)
    return page
