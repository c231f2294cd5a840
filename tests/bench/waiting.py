"""Waiting for jobs at little cost to them."""

import time

from adit_core.db import Job
from adit_core.services.job_status import OPEN_JOBS
from adit_core.services.jobs import JobView, show_job
from tests.rows import load
from tests.stack import RunningStack

_POLL = 0.25


def ended_job(adit: RunningStack, job_id: int) -> JobView:
    """Return a job once it has ended; to show it as often as it is looked at would take a part of a core."""
    while load(adit.db, Job, job_id).status in OPEN_JOBS:
        time.sleep(_POLL)
    return show_job(adit.db, adit.user, job_id)
