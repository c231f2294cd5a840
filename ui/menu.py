"""The pages and the ways between them."""

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.services.sessions import Principal
from ui.components.sign_out import sign_out_form
from ui.views import batch, job, jobs, mass, query


def chosen_page(principal: Principal) -> Page:
    """Show the menu, and return the page that the address names."""

    def show_jobs() -> None:
        jobs.show(principal, open_job=open_job)

    def show_job() -> None:
        job.show(principal, open_jobs=open_jobs, open_batch=open_batch)

    def show_batch() -> None:
        batch.show(principal, open_job=open_job)

    def show_query() -> None:
        query.show(principal, open_job=open_job)

    def show_mass() -> None:
        mass.show(principal, open_job=open_job)

    def open_job(job_id: int) -> None:
        st.switch_page(job_page, query_params={"id": str(job_id)})

    def open_jobs() -> None:
        st.switch_page(jobs_page)

    def open_batch(query_id: int, source: str) -> None:
        st.switch_page(batch_page, query_params={"from": str(query_id), "source": source})

    jobs_page = st.Page(show_jobs, title="Jobs", url_path="jobs", default=True)
    job_page = st.Page(show_job, title="Job", url_path="job", visibility="hidden")
    batch_page = st.Page(show_batch, title="Batch transfer", url_path="batch")
    query_page = st.Page(show_query, title="Batch query", url_path="query")
    mass_page = st.Page(show_mass, title="Mass transfer", url_path="mass")
    page = st.navigation([jobs_page, job_page, batch_page, query_page, mass_page], position="hidden")
    with st.sidebar:
        # Not as icons of the pages: Streamlit would fetch those from another host for the browser's tab.
        st.page_link(jobs_page, icon=":material/swap_horiz:")
        st.caption("Transfer")
        st.page_link(batch_page, icon=":material/table_rows:")
        st.page_link(query_page, icon=":material/manage_search:")
        st.page_link(mass_page, icon=":material/date_range:")
        st.space("medium")
        sign_out_form(principal)
    return page
