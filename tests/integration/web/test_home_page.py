"""The first page: my jobs, what waits for whom, and how nodes and disks are doing."""

from datetime import timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from adit_core.db import HeldInstance, JobStatus, NodeHealth, Permission, TaskStatus
from adit_core.db.columns import utc_now
from adit_core.services.projects import set_project_access
from tests.projects import make_project
from tests.rows import allow, make_folder, make_group, make_job, make_server, make_user
from tests.web_pages import Dashboard, markup, said, set_job, set_task, tables

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


def test_somebody_new_is_told_what_to_do(dashboard: Dashboard):
    page = dashboard.home(make_user(dashboard.db, "ada"))

    assert "Nothing needs you right now." in said(page)
    assert "You have no jobs yet." in said(page)
    assert "You may not use any node yet." in said(page)
    assert not page.exception


def test_my_jobs_and_my_failures_are_shown_and_nobody_elses(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    mine = make_job(dashboard.db, 2, owner=ada, status=JobStatus.WARNING, ended_at=utc_now())
    set_task(dashboard.db, mine, 1, status=TaskStatus.FAILURE)
    bob = make_user(dashboard.db, "bob")
    make_job(dashboard.db, owner=bob, status=JobStatus.FAILURE, ended_at=utc_now())

    page = dashboard.home(ada)

    assert [row["Job"] for row in tables(page)[0]] == [str(mine.id)]
    assert "<b>1</b> job of yours failed" in markup(page)


def test_old_failures_and_mere_warnings_need_nobody(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada, status=JobStatus.FAILURE, ended_at=utc_now() - timedelta(days=15))
    assert "Nothing needs you right now." in said(dashboard.home(ada))

    set_job(dashboard.db, job, status=JobStatus.WARNING, ended_at=utc_now())
    set_task(dashboard.db, job, 1, status=TaskStatus.WARNING)
    assert "Nothing needs you right now." in said(dashboard.home(ada))


def test_staff_see_what_waits_for_approval_and_disks_and_others_do_not(dashboard: Dashboard, tmp_path: Path):
    ada = make_user(dashboard.db, "ada")
    make_job(dashboard.db, owner=ada, status=JobStatus.UNVERIFIED)
    make_folder(dashboard.db, "Archive folder", path=str(tmp_path))

    page = dashboard.home(make_user(dashboard.db, "root", staff=True))
    assert "<b>1</b> job waits for your approval" in markup(page)
    assert "free · " in said(page)
    assert "Archive folder" in disks_said(page)

    page = dashboard.home(ada)
    assert "approval" not in markup(page)
    assert disks_said(page) == ""


def test_reviewers_are_told_of_images_of_their_projects(dashboard: Dashboard):
    project = make_project(dashboard.db, "Trial")
    bob = make_user(dashboard.db, "bob")
    job = make_job(dashboard.db, owner=bob, project_id=project.id)
    task_id = set_task(dashboard.db, job, 1, status=TaskStatus.WARNING)
    with dashboard.db.session() as session:
        session.add(
            HeldInstance(task_id=task_id, series_instance_uid="1.2", sop_instance_uid="1.3", reason="Text.")
        )
        session.commit()
    ada, eve = make_user(dashboard.db, "ada"), make_user(dashboard.db, "eve")
    group = make_group(dashboard.db, ada, permissions=(Permission.REVIEW_HELD_INSTANCES,))
    make_group(dashboard.db, eve, permissions=(Permission.REVIEW_HELD_INSTANCES,))
    set_project_access(dashboard.db, group.name, "Trial", allowed=True)

    assert "<b>1</b> image is held back" in markup(dashboard.home(ada))
    assert "held back" not in markup(dashboard.home(eve))


def test_nodes_that_are_paused_say_why_and_come_first(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    group = make_group(dashboard.db, ada)
    good, bad = make_server(dashboard.db, "A good one"), make_server(dashboard.db, "PACS")
    make_server(dashboard.db, "Not mine")
    allow(dashboard.db, group, good, as_source=True, as_destination=True)
    allow(dashboard.db, group, bad, as_source=True)
    paused = utc_now() + timedelta(seconds=30)
    with dashboard.db.session() as session:
        session.add(NodeHealth(node_id=bad.id, failures=3, paused_until=paused, message="It is gone."))
        session.commit()

    (nodes,) = tables(dashboard.home(ada))

    assert [(row["State"], row["You may use it as"]) for row in nodes] == [
        ("Paused", "source"),
        ("Ready", "source, destination"),
    ]
    assert "3 failures in a row. It is gone." in nodes[0]["Node"]


def disks_said(page: AppTest) -> str:
    return "\n".join(element.proto.text for element in page.get("progress"))
