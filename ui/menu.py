"""The pages and the ways between them."""

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.services.sessions import Principal
from ui.components.sign_out import sign_out_form
from ui.views import home, job, jobs, selective


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

    def show_selective() -> None:
        selective.show(principal, open_job=open_job)

    def show_home() -> None:
        home.show(principal, open_job=open_job, ways=(selective_page, jobs_page))

    home_page = st.Page(show_home, title="Home", url_path="home", default=True)
    jobs_page = st.Page(show_jobs, title="Jobs", url_path="jobs")
    selective_page = st.Page(show_selective, title="Selective transfer", url_path="selective")
    job_page = st.Page(show_job, title="Job", url_path="job", visibility="hidden")
    page = st.navigation([home_page, jobs_page, job_page, selective_page], position="hidden")
    with st.sidebar:
        # Not as icons of the pages: Streamlit would fetch those from another host for the browser's tab.
        st.page_link(home_page, icon=":material/home:")
        st.page_link(jobs_page, icon=":material/swap_horiz:")
        st.caption("Transfer")
        st.page_link(selective_page, icon=":material/checklist:")
        st.space("medium")
        sign_out_form(principal)
    return page
