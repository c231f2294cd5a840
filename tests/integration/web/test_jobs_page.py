"""The page that lists jobs: who sees which, and how they find them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import col, update

from adit_core.db import JobKind, JobStatus, TaskStatus, User, WebSession
from tests.rows import make_job, make_user
from tests.web_pages import Dashboard, another_job, components, markup, press, rows, said, set_job, set_task


def test_the_list_shows_my_jobs_newest_first(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    older = make_job(dashboard.db, 3, owner=ada, name="Liver *lesions*")
    newer = another_job(dashboard.db, older)
    set_task(dashboard.db, older, 1, status=TaskStatus.SUCCESS, planned=1500, delivered=1400, filtered=100)
    set_job(
        dashboard.db,
        older,
        status=JobStatus.IN_PROGRESS,
        message="It is slow.",
        created_at=datetime(2026, 11, 24, 8, 15, tzinfo=UTC),
    )
    make_job(dashboard.db, owner=make_user(dashboard.db, "bob"))

    page = dashboard.jobs(ada)

    assert [row["Job"] for row in rows(page)] == [str(newer.id), str(older.id)]
    assert rows(page)[0]["Name"].startswith("Batch transfer\n"), "one without a name is called by its kind"
    assert rows(page)[1] == {
        "Job": str(older.id),
        "Status": "In progress",
        "Name": "Liver *lesions*\nsource of ada → destination of ada\nIt is slow.",
        "Studies, rows": "1 / 3",
        "Instances": "1,400 / 1,500",
        "Created": "2026-11-24 08:15 UTC",
    }
    assert not page.toggle, "only staff may ask for the jobs of others"
    assert not page.exception


def test_staff_see_the_jobs_of_all_users_when_they_ask_for_them(dashboard: Dashboard):
    staff = make_user(dashboard.db, "staff", staff=True)
    job = make_job(dashboard.db, owner=make_user(dashboard.db, "bob"))

    page = dashboard.jobs(staff)
    assert not components(page)
    page.toggle(key="all").set_value(True).run()

    assert [(row["Job"], row["Owner"]) for row in rows(page)] == [(str(job.id), "bob")]


def test_the_address_brings_back_what_was_chosen(dashboard: Dashboard):
    staff = make_user(dashboard.db, "staff", staff=True)
    failed = make_job(dashboard.db, owner=make_user(dashboard.db, "bob"), status=JobStatus.FAILURE)
    another_job(dashboard.db, failed, status=JobStatus.SUCCESS)

    page = dashboard.jobs(staff, all="true", status="Failure")

    assert [row["Job"] for row in rows(page)] == [str(failed.id)]


def test_an_address_cannot_show_the_jobs_of_others_to_those_who_are_not_staff(dashboard: Dashboard):
    make_job(dashboard.db, owner=make_user(dashboard.db, "bob"))

    page = dashboard.jobs(make_user(dashboard.db, "ada"), all="true")

    assert not components(page)


def test_a_filter_that_matches_nothing_can_be_taken_back(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada, status=JobStatus.SUCCESS)

    page = dashboard.jobs(ada, status="Failure")
    assert "No job here matches the filter." in said(page)
    press(page, "Show all jobs")

    assert [row["Job"] for row in rows(page)] == [str(job.id)]


def test_an_empty_list_says_what_to_do(dashboard: Dashboard):
    page = dashboard.jobs(make_user(dashboard.db, "ada"))

    assert "There are no jobs yet." in said(page)
    assert "Start one in the menu" in said(page)
    assert not page.exception


def test_a_long_list_is_shown_page_by_page(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    first = make_job(dashboard.db, owner=ada, status=JobStatus.SUCCESS)
    ids = [first.id, *(another_job(dashboard.db, first, status=JobStatus.SUCCESS).id for _ in range(29))]

    page = dashboard.jobs(ada)
    newest = [row["Job"] for row in rows(page)]
    press(page, "Older")
    older = [row["Job"] for row in rows(page)]

    assert newest + older == [str(job_id) for job_id in reversed(ids)]
    assert page.query_params["before"] == newest[-1]
    press(page, "Newest")
    assert [row["Job"] for row in rows(page)] == newest


def test_a_session_that_ends_while_a_page_is_open_shows_nothing_any_more(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    make_job(dashboard.db, owner=ada)
    page = dashboard.jobs(ada)
    assert rows(page)

    with dashboard.db.session() as session:
        session.exec(update(WebSession).values(expires_at=datetime.now(UTC)))
        session.commit()
    page.run()

    assert [error.value for error in page.error] == ["Your session has ended."]
    assert not components(page)
    assert 'href="/auth/sign-in?next=' in markup(page)


@pytest.mark.parametrize("user", [{}, {"session": ""}, {"session": None}, {"session": "ada"}])
def test_without_a_session_a_page_shows_nothing(dashboard: Dashboard, user: dict[str, Any]):
    page = dashboard.without_session(user)

    assert [error.value for error in page.error] == ["Your session has ended."]
    assert not page.sidebar.children


def test_somebody_who_is_staff_no_more_loses_the_jobs_of_others_at_once(dashboard: Dashboard):
    staff = make_user(dashboard.db, "staff", staff=True)
    make_job(dashboard.db, owner=make_user(dashboard.db, "bob"))
    page = dashboard.jobs(staff, all="true")
    assert rows(page)

    with dashboard.db.session() as session:
        session.exec(update(User).where(col(User.id) == staff.id).values(is_staff=False))
        session.commit()
    page.run()

    assert not components(page)
    assert not page.toggle


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"text": "liver"}, ["bob"]),
        ({"text": "100%"}, []),
        ({"owner": "cyd"}, ["cyd"]),
        ({"kind": "Mass transfer"}, ["cyd"]),
        ({"text": "1"}, ["bob"]),
        ({"text": "liver", "owner": "cyd"}, []),
    ],
)
def test_the_address_says_which_name_owner_and_kind_are_wanted(
    dashboard: Dashboard, asked: dict[str, str], found: list[str]
):
    staff = make_user(dashboard.db, "staff", staff=True)
    make_job(dashboard.db, owner=make_user(dashboard.db, "bob"), name="Liver lesions")
    make_job(dashboard.db, owner=make_user(dashboard.db, "cyd"), kind=JobKind.MASS_TRANSFER)

    page = dashboard.jobs(staff, all="true", **asked)

    assert [row["Owner"] for row in (rows(page) if found else [])] == found
    assert not page.exception
