"""The first page: my jobs, what waits for me, and how the nodes are doing."""

from collections.abc import Sequence
from html import escape

import streamlit as st
from streamlit.navigation.page import Page

from adit_core.api.wiring import connected
from adit_core.db import SpaceState
from adit_core.services.attention import Attention, attention
from adit_core.services.disk_space import Disk, disks
from adit_core.services.jobs import JobView, list_jobs
from adit_core.services.node_overview import Condition, NodeReport, node_reports
from adit_core.services.sessions import Principal
from ui.components.amounts import data_size, number
from ui.components.sentences import verbatim
from ui.components.table import Badge, Column, Grid, Row, Text, Tone, table
from ui.session import live, renew_page
from ui.views.jobs import any_open, jobs_grid

_RENEWAL = 2.0
_IDLE_RENEWAL = 30.0
_RECENT_JOBS = 8
_TONES = {
    Condition.READY: Tone.GOOD,
    Condition.CLOSED: Tone.NEUTRAL,
    Condition.TROUBLED: Tone.WARNING,
    Condition.BUSY: Tone.WARNING,
    Condition.FULL: Tone.BAD,
    Condition.PAUSED: Tone.BAD,
}
_SPACE = {
    SpaceState.ENOUGH: "",
    SpaceState.LOW: ":material/warning: Running low. ",
    SpaceState.FULL: ":material/error: Full. ",
}
_MOST_NODES = 12


def show(principal: Principal, *, ways: Sequence[Page]) -> None:
    """Show the page; `ways` are where something new is started or found."""
    st.title("Home", anchor=False)
    with st.container(horizontal=True):
        for way in ways:
            st.page_link(way, icon=":material/arrow_forward:", width="content")
    is_live = any_open(_recent(principal))

    @live(seconds=_RENEWAL if is_live else _IDLE_RENEWAL)
    def show_news(watcher: Principal) -> None:
        jobs = _recent(watcher)
        if is_live != any_open(jobs):
            renew_page()
        _show_attention(attention(connected().database, watcher.user))
        _show_jobs(jobs)
        _show_nodes(node_reports(connected().database, watcher.user))
        if watcher.user.is_staff:
            _show_disks(disks(connected().database, watcher.user, connected().settings))

    show_news()


def _recent(watcher: Principal) -> list[JobView]:
    return list_jobs(connected().database, watcher.user, limit=_RECENT_JOBS)


def _show_attention(waiting: Attention) -> None:
    st.header("What needs you", anchor=False)
    lines = [
        *_line(
            waiting.jobs_to_approve,
            ("job waits for your approval", "jobs wait for your approval"),
            "/jobs?status=Unverified&all=true",
        ),
        *_line(
            waiting.failed_jobs,
            ("job of yours failed, in part or as a whole", "jobs of yours failed, in part or as a whole"),
            "/jobs?status=Failure&status=Warning",
        ),
        *_line(
            waiting.images_to_review,
            ("image is held back for a review", "images are held back for a review"),
            "/review",
        ),
    ]
    if lines:
        # Not Markdown, whose links open another tab.
        st.html(f"<ul>{''.join(lines)}</ul>")
    else:
        st.markdown("Nothing needs you right now.")


def _line(count: int, words: tuple[str, str], href: str) -> list[str]:
    link = f'<a href="{escape(href)}" target="_self"><b>{number(count)}</b> {words[count > 1]}</a>'
    return [f"<li>{link}</li>"] if count else []


def _show_jobs(jobs: Sequence[JobView]) -> None:
    st.header("My latest jobs", anchor=False)
    if not jobs:
        st.markdown("You have no jobs yet. Start one with a way above, such as a selective transfer.")
        return
    table(jobs_grid(jobs, all_users=False), key="latest-jobs")


def _show_nodes(reports: Sequence[NodeReport]) -> None:
    st.header("Nodes", anchor=False)
    if not reports:
        st.markdown("You may not use any node yet. An administrator can let your group use some.")
        return
    shown = sorted(reports, key=lambda report: report.condition is Condition.READY)[:_MOST_NODES]
    rows = tuple(
        Row(
            report.name,
            (
                Text(report.name, (report.reason,) if report.reason else ()),
                Badge(report.condition.value.capitalize(), _TONES[report.condition]),
                Text(", ".join(report.roles)),
            ),
        )
        for report in shown
    )
    columns = (Column("Node"), Column("State", width="8rem"), Column("You may use it as", width="13rem"))
    table(Grid("Nodes that you may use", columns, rows), key="nodes")
    if len(reports) > len(shown):
        st.caption(f"{number(len(reports) - len(shown))} more nodes are ready.")


def _show_disks(found: Sequence[Disk]) -> None:
    st.header("Disk space", anchor=False)
    for disk in found:
        uses = ", ".join(map(verbatim, disk.uses))
        text = f"{_SPACE[disk.state]}{data_size(disk.free)} of {data_size(disk.total)} free · {uses}"
        st.progress(min(max(disk.used_share, 0.0), 1.0), text=text)
        for message in disk.messages:
            st.warning(verbatim(message), icon=":material/hard_drive:")
