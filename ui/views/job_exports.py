"""What can be taken along from a job: its address, and its studies or series as a spreadsheet."""

import streamlit as st

from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.services.job_export import export_series, export_tasks
from adit_core.services.text_sheet import SheetFormat
from adit_core.settings import Settings
from ui.session import address

_FILES = {
    SheetFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    SheetFormat.CSV: "text/csv",
}
"""The media types of what can be downloaded."""


def offer_link(settings: Settings, job_id: int) -> None:
    """Show the address of the job, to be copied and sent to somebody."""
    with st.popover("Copy link", type="tertiary", icon=":material/link:"):
        st.code(f"{settings.web_url.rstrip('/')}/job?id={job_id}", language=None)
        st.caption("Whoever opens it has to sign in, and to be allowed to see the job.")


def offer_export(db: Database, user: User, job_id: int) -> None:
    """Offer the studies of a job, or their series, with what became of each, as a file of either kind."""
    with st.popover("Export", type="tertiary", icon=":material/download:"):
        st.caption("The studies of the job, or their series, with counts. The file holds PatientIDs.")
        came_from = address()
        for parts, export in (("studies", export_tasks), ("series", export_series)):
            for form, media_type in _FILES.items():
                st.download_button(
                    f"{parts.capitalize()} (.{form})",
                    lambda form=form, export=export: export(db, user, job_id, form, address=came_from),
                    file_name=f"job-{job_id}-{parts}.{form}",
                    mime=media_type,
                    key=f"{parts}-{form}",
                    on_click="ignore",
                )
