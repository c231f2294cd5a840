"""The list of jobs, the newest first."""

from collections.abc import Sequence

import streamlit as st

from adit_core.api.wiring import connected
from adit_core.db import JobKind, JobStatus, User
from adit_core.services.job_status import OPEN_JOBS, OPEN_TASKS
from adit_core.services.jobs import JobView, list_jobs
from adit_core.services.sessions import Principal
from ui.components.amounts import number
from ui.components.status import status_badge, status_tone, status_word
from ui.components.table import Bar, Column, Grid, Link, Row, Text, table
from ui.components.times import moment
from ui.components.url import number_in_url
from ui.session import live, renew_page

_PAGE_LENGTH = 25
_RENEWAL = 2.0


def show(principal: Principal) -> None:
    """Show the user's jobs, or to staff who ask for it everybody's."""
    st.title("Jobs", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        text = _choose_text()
        kinds = _choose_kinds()
        all_users = _choose_users(principal)
        owner = _choose_owner() if all_users else ""
    statuses = _choose_statuses()

    def listed(user: User) -> list[JobView]:
        return list_jobs(
            connected().database,
            user,
            all_users=all_users,
            owner=owner,
            text=text,
            statuses=statuses,
            kinds=kinds,
            limit=_PAGE_LENGTH + 1,
            before_id=number_in_url("before"),
        )

    is_live = any_open(listed(principal.user))

    @live(seconds=_RENEWAL if is_live else None)
    def show_list(watcher: Principal) -> None:
        jobs = listed(watcher.user)
        if is_live != any_open(jobs):
            renew_page()
        if not jobs:
            _explain_emptiness(filtered=any((statuses, kinds, owner, text, "before" in st.query_params)))
            return
        table(jobs_grid(jobs[:_PAGE_LENGTH], all_users=all_users), key="jobs")
        _offer_pages(jobs)

    show_list()


def _choose_users(principal: Principal) -> bool:
    if not principal.user.is_staff:
        return False
    return st.toggle("Jobs of all users", key="all", bind="query-params", on_change=_go_to_newest)


def _choose_owner() -> str:
    return _choose_words("Owner", "owner", placeholder="Anybody", width=150, help="A user name.")


def _choose_text() -> str:
    return _choose_words(
        "Name or number",
        "text",
        placeholder="Any",
        width=190,
        help="Part of the name, or the number. It gets into the address: no patient data, please.",
    )


def _choose_words(label: str, key: str, *, placeholder: str, width: int, help: str) -> str:  # noqa: A002
    chosen = st.text_input(
        label,
        key=key,
        bind="query-params",
        on_change=_go_to_newest,
        placeholder=placeholder,
        width=width,
        help=help,
    )
    return chosen.strip()


def _choose_kinds() -> Sequence[JobKind]:
    return st.multiselect(
        "Kind",
        tuple(JobKind),
        format_func=str.capitalize,
        key="kind",
        bind="query-params",
        on_change=_go_to_newest,
        placeholder="Any",
        width=280,
    )


def _choose_statuses() -> Sequence[JobStatus]:
    return st.pills(
        "Status",
        tuple(JobStatus),
        selection_mode="multi",
        format_func=status_word,
        key="status",
        bind="query-params",
        on_change=_go_to_newest,
        wrap=True,
    )


def any_open(jobs: Sequence[JobView]) -> bool:
    """Tell whether a list of jobs may change by itself."""
    return any(job.status in OPEN_JOBS for job in jobs)


def jobs_grid(jobs: Sequence[JobView], *, all_users: bool) -> Grid:
    """Return a table of jobs, with their owners if they are of `all_users`."""
    return Grid(
        "Jobs, the newest first",
        (
            Column("Job", width="4rem"),
            Column("Status", width="7.5rem"),
            Column("Name"),
            *([Column("Owner", width="7rem")] if all_users else []),
            Column("Studies, rows", numeric=True, width="7rem"),
            Column("Instances", numeric=True, width="10rem"),
            Column("Created", width="11.5rem"),
        ),
        tuple(_row(job, all_users=all_users) for job in jobs),
    )


def _row(job: JobView, *, all_users: bool) -> Row:
    href = f"/job?id={job.id}"
    notes = (job.way, *([job.message] if job.message else []))
    return Row(
        str(job.id),
        (
            Link(str(job.id), href),
            status_badge(job.status),
            Link(job.name or job.kind.value.capitalize(), href, notes),
            *([Text(job.owner)] if all_users else []),
            _studies(job),
            _instances(job),
            Text(moment(job.created_at)),
        ),
    )


def _studies(job: JobView) -> Bar:
    total = sum(job.progress.tasks.values())
    ended = sum(tasks for status, tasks in job.progress.tasks.items() if status not in OPEN_TASKS)
    return Bar(f"{number(ended)} / {number(total)}", job.progress.share, status_tone(job.status))


def _instances(job: JobView) -> Text:
    if job.kind is JobKind.BATCH_QUERY:
        return Text("")
    counts = job.progress.counts
    return Text(f"{number(counts.delivered)} / {number(counts.planned)}")


def _explain_emptiness(*, filtered: bool) -> None:
    with st.container(border=True, horizontal_alignment="center"):
        if filtered:
            st.markdown("**No job here matches the filter.**", width="content")
            if st.button("Show all jobs", on_click=_show_all):
                st.rerun()
        else:
            st.markdown("**There are no jobs yet.**", width="content")
            st.markdown(
                "A job moves studies from one archive to another, or asks an archive about many patients. "
                "Start one in the menu, such as a selective transfer, and watch it here.",
                width="content",
            )


def _offer_pages(jobs: Sequence[JobView]) -> None:
    is_first, is_last = "before" not in st.query_params, len(jobs) <= _PAGE_LENGTH
    if is_first and is_last:
        return
    last_id = jobs[:_PAGE_LENGTH][-1].id
    with st.container(horizontal=True, horizontal_alignment="right"):
        newest = st.button("Newest", on_click=_go_to_newest, icon=":material/first_page:", disabled=is_first)
        older = st.button(
            "Older", on_click=_go_before, args=[last_id], icon=":material/chevron_right:", disabled=is_last
        )
    if newest or older:
        st.rerun()


def _go_before(job_id: int) -> None:
    st.query_params["before"] = str(job_id)


def _go_to_newest() -> None:
    st.query_params.pop("before", None)


def _show_all() -> None:
    st.session_state["status"] = []
    st.session_state["kind"] = []
    st.session_state["text"] = ""
    st.session_state["owner"] = ""
    _go_to_newest()
