"""What everybody is told at the top of every page."""

import streamlit as st

from adit_core.db import Importance
from adit_core.db.engine import Database
from adit_core.services.announcements import current_announcements
from adit_core.services.maintenance import maintenance_now
from ui.components.sentences import verbatim
from ui.components.times import moment


def show_banner(db: Database) -> None:
    """Show whether ADIT is being maintained, and what administrators announce now."""
    maintenance = maintenance_now(db)
    if maintenance is not None:
        st.warning(
            f"**ADIT is being maintained, and takes no new jobs.** {verbatim(maintenance.message)}  \n"
            f"Jobs that run go on. Since {moment(maintenance.started_at)}.",
            icon=":material/construction:",
        )
    for row in current_announcements(db):
        say = st.warning if row.importance is Importance.WARNING else st.info
        say(verbatim(row.message), icon=":material/campaign:")
