"""A job: how far it is as a whole, by study and by series, and what can be done with it."""

from collections.abc import Callable

import streamlit as st

from adit_core.api.wiring import Wiring, connected
from adit_core.db import JobKind, JobStatus, User
from adit_core.errors import NotFound
from adit_core.services.job_status import OPEN_JOBS, OPEN_TASKS, parts_in_words
from adit_core.services.jobs import JobView, show_job
from adit_core.services.sessions import Principal
from ui.components.amounts import data_size, number, speed
from ui.components.sentences import verbatim
from ui.components.status import status_color, status_word
from ui.components.times import duration, moment
from ui.components.url import number_in_url
from ui.session import live, renew_page
from ui.views.job_actions import offer_actions
from ui.views.job_approval import Approval, offer_approval, show_approval_question
from ui.views.job_exports import offer_export, offer_link
from ui.views.job_history import show_history
from ui.views.job_pages import go_to_first
from ui.views.job_preview import offer_job_preview
from ui.views.job_rows import offer_results, offer_transfer, show_rows
from ui.views.job_series import show_series
from ui.views.job_tasks import show_tasks
from ui.views.task_actions import show_task_question

_RENEWAL = 2.0
_PARTS = ("Studies", "Series")
_MEANINGS = {
    JobStatus.UNVERIFIED: "A member of staff has to approve the job before it starts.",
    JobStatus.PENDING: "The job waits for its turn.",
    JobStatus.IN_PROGRESS: "Studies are being transferred.",
    JobStatus.CANCELING: "The job is being canceled; what is under way ends within seconds.",
    JobStatus.CANCELED: "The job was canceled.",
    JobStatus.SUCCESS: "All studies were transferred, and every image is accounted for.",
    JobStatus.WARNING: "The job is over, but not everything went as it should have.",
    JobStatus.FAILURE: "No study could be transferred completely.",
}
_MEANINGS_OF_QUERY = _MEANINGS | {
    JobStatus.IN_PROGRESS: "The archive is being asked.",
    JobStatus.SUCCESS: "Every row was answered, and something was found for it.",
    JobStatus.FAILURE: "No row was answered.",
}


def show(
    principal: Principal, *, open_jobs: Callable[[], None], open_batch: Callable[[int, str], None]
) -> None:
    """Show the job that the address names.

    `open_jobs` goes back to the list; `open_batch` goes to a batch transfer of what a query found, from a
    source.
    """
    if st.button("All jobs", type="tertiary", icon=":material/arrow_back:"):
        open_jobs()
    job_id = number_in_url("id")
    if job_id is None:
        raise NotFound("The address names no job. Choose one from the list.")
    wiring = connected()
    job = show_job(wiring.database, principal.user, job_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(_title(job), anchor=False, width="stretch")
        offer_actions(job, wiring, leave=open_jobs)
        offer_link(wiring.settings, job_id)
        if not _is_query(job):
            offer_export(wiring.database, principal.user, job_id)
        else:
            offer_results(wiring.database, principal.user, job_id)
            offer_transfer(wiring.database, principal.user, job, open_batch)
    st.caption(_facts(job))

    @live(seconds=_RENEWAL if job.status in OPEN_JOBS else None)
    def show_progress(watcher: Principal) -> None:
        now = show_job(wiring.database, watcher.user, job_id)
        if (now.status, now.flow_run_id) != (job.status, job.flow_run_id):
            renew_page()
        _show_status(now)
        _show_counts(now)
        approval = offer_approval(wiring, watcher.user, now)
        offer_job_preview(wiring, watcher.user, now, approval.chosen if approval else ())
        if _is_query(now):
            show_rows(wiring.database, watcher.user, job_id)
        else:
            _show_parts(wiring, watcher.user, job_id, approval)
        show_history(wiring.database, watcher.user, job_id)

    show_progress()
    show_task_question(wiring)
    show_approval_question(wiring, principal.user, job)


def _show_parts(wiring: Wiring, user: User, job_id: int, approval: Approval | None) -> None:
    """Show the studies, or all series; while parts are chosen to be approved, these are the studies."""
    if approval is not None:
        show_tasks(wiring, user, job_id, approval)
        return
    parts = st.segmented_control(
        "Show",
        _PARTS,
        default=_PARTS[0],
        key="parts",
        on_change=go_to_first,
        label_visibility="collapsed",
    )
    if parts == _PARTS[1]:
        show_series(wiring.database, user, job_id)
    else:
        show_tasks(wiring, user, job_id, None)


def _is_query(job: JobView) -> bool:
    return job.kind is JobKind.BATCH_QUERY


def _title(job: JobView) -> str:
    return f"Job {job.id}" + (f" · {verbatim(job.name)}" if job.name else "")


def _way(job: JobView) -> str:
    source = f" from **{verbatim(job.source)}**" if job.source else ""
    destination = f" to **{verbatim(job.destination)}**" if job.destination else ""
    return source + destination


def _facts(job: JobView) -> str:
    options = job.options
    trial = " ".join(filter(None, (options.trial_protocol_id, options.trial_protocol_name)))
    facts = [
        f"{job.kind.value.capitalize()}{_way(job)}",
        *([f"in the encrypted archive `{job.archive_file}`"] if job.archive_file else []),
        *(["as NIfTI volumes"] if options.as_nifti else []),
        *([f"trial protocol {verbatim(trial)}"] if trial else []),
        f"by {verbatim(job.owner)}" + (f" for {verbatim(job.group)}" if job.group else ""),
        *(["urgent"] if job.urgent else []),
        f"created {moment(job.created_at)}",
        *([f"started {moment(job.started_at)}"] if job.started_at else []),
        *([f"ended {moment(job.ended_at)}"] if job.ended_at else []),
    ]
    return " · ".join(facts)


def _show_status(job: JobView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(status_word(job.status), color=status_color(job.status))
        meanings = _MEANINGS_OF_QUERY if _is_query(job) else _MEANINGS
        st.markdown(" ".join([meanings[job.status], verbatim(job.message)]), width="stretch")
    st.progress(min(job.progress.share, 1.0), text=_pace(job))


def _pace(job: JobView) -> str:
    """Return how much of the job is done, how fast, and how long it takes or took."""
    progress = job.progress
    ended = sum(number_of for status, number_of in progress.tasks.items() if status not in OPEN_TASKS)
    parts = [
        f"{number(ended)} of {number(sum(progress.tasks.values()))} {parts_in_words(job.kind)} done",
        f"{progress.share:.0%}",
    ]
    if progress.counts.bytes_sent:
        parts.append(f"{data_size(progress.counts.bytes_sent)} sent")
    if progress.bytes_per_second:
        parts.append(speed(progress.bytes_per_second))
    if job.status is JobStatus.IN_PROGRESS and progress.seconds_left is not None:
        parts.append(f"about {duration(progress.seconds_left)} left")
    if job.started_at and job.ended_at:
        parts.append(f"took {duration((job.ended_at - job.started_at).total_seconds())}")
    return " · ".join(parts)


def _show_counts(job: JobView) -> None:
    counts = job.progress.counts
    account = {
        "Instances planned": counts.planned,
        "Delivered": counts.delivered,
        "Filtered": counts.filtered,
        "Failed": counts.failed,
    }
    if _is_query(job):
        account = {"Rows": counts.planned, "Answered": counts.delivered, "Failed": counts.failed}
    with st.container(horizontal=True):
        for name, value in account.items():
            st.metric(name, number(value), border=True)
