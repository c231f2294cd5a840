"""The outbox: what is to be told of ends of jobs is written in the transaction that ends the job.

So a crash loses none, and an end that is rolled back is never told of.
"""

from collections.abc import Mapping

from sqlmodel import Session

from adit_core.db import Channel, Job, JobEnd, Notification, TaskStatus, User
from adit_core.db.columns import utc_now


def announce_end(session: Session, job: Job, tasks: Mapping[TaskStatus, int]) -> None:
    """Have it told that `job`, whose row says so already, has ended with these `tasks`.

    The webhook is told of every job; if none is set up, what sends the notifications drops it.
    """
    owner = session.get_one(User, job.owner_id)
    job_end = JobEnd(
        job_id=job.id,
        run_number=job.run_number,
        kind=job.kind,
        status=job.status,
        summary=job.message,
        tasks={status: number for status, number in tasks.items() if number},
        ended_at=job.ended_at or utc_now(),
    )
    channels = [Channel.WEBHOOK, *([Channel.EMAIL] if owner.notify_by_email and owner.is_active else [])]
    session.add_all(Notification(job_id=job.id, channel=channel, job_end=job_end) for channel in channels)
