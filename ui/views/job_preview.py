"""Looking ahead at a job before it is approved."""

from collections.abc import Collection

from adit_core.api.wiring import Wiring
from adit_core.db import User
from adit_core.services.action_rules import JobAction
from adit_core.services.job_preview import preview_job
from adit_core.services.jobs import JobView
from adit_core.services.preview import MOST_STUDIES
from ui.components.submitting import fingerprint
from ui.session import address
from ui.views.transfer_preview import offer_preview


def offer_job_preview(wiring: Wiring, user: User, job: JobView, chosen: Collection[int]) -> None:
    """Show a button that looks ahead at a job that the user can approve, or at the chosen tasks of it."""
    if JobAction.VERIFY not in job.actions:
        return
    offer_preview(
        "Preview",
        fingerprint("job", job.id, sorted(chosen)),
        lambda: preview_job(wiring.database, user, job.id, task_ids=chosen or None, address=address()),
        help=(
            f"Asks the nodes about up to {MOST_STUDIES} studies, of what is chosen if anything is; of a "
            "query, tells what it asks. Nothing is transferred."
        ),
    )
