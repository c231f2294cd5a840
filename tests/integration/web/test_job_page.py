"""The page of a job: what it tells, to whom, and what can be done there."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import select

from adit_core.db import Job, JobKind, JobStatus, SeriesProgress, Task, TaskStatus
from adit_core.services.job_actions import cancel_job
from tests.mass import mass_options
from tests.rows import load, make_group, make_job, make_user
from tests.web_pages import Dashboard, buttons, components, press, rows, said, set_job, set_task
from ui.components.sentences import verbatim


@pytest.mark.parametrize("status", list(JobStatus))
def test_a_job_of_any_status_is_shown_in_words(dashboard: Dashboard, status: JobStatus):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 2, owner=ada, status=status, message="Here is why.")

    for page in (dashboard.jobs(ada), dashboard.job(ada, job.id)):
        assert not page.exception
        assert not page.error
    words = status.value.replace("_", " ").capitalize()
    assert rows(dashboard.jobs(ada))[0]["Status"] == words
    assert f"{words}" in said(dashboard.job(ada, job.id))
    assert "Here is why" in said(dashboard.job(ada, job.id))


def test_a_running_job_tells_how_far_it_is(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 2, owner=ada, name="Knee", flow_run_id="5e1f")
    started = datetime.now(UTC) - timedelta(seconds=100)
    set_job(dashboard.db, job, status=JobStatus.IN_PROGRESS, started_at=started)
    counts = {"planned": 10, "delivered": 7, "filtered": 2, "failed": 1, "bytes_sent": 5_000_000_000}
    set_task(dashboard.db, job, 1, status=TaskStatus.FAILURE, started_at=started, **counts)

    page = dashboard.job(ada, job.id)

    assert page.title[0].value == f"Job {job.id} · Knee"
    assert {metric.label: metric.value for metric in page.metric} == {
        "Instances planned": "10",
        "Delivered": "7",
        "Filtered": "2",
        "Failed": "1",
    }
    bar = page.get("progress")[0].proto
    assert bar.value == 50
    pace = r"1 of 2 studies done · 50% · 5\.0 GB sent · \d\d\.\d MB/s · about \d+ \w+ left"
    assert re.fullmatch(pace, bar.text)


def test_a_job_tells_for_which_group_it_is(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    group = make_group(dashboard.db, ada)
    job = make_job(dashboard.db, owner=ada, group_id=group.id)

    assert f"by ada for {verbatim(group.name)}" in said(dashboard.job(ada, job.id))


def test_all_series_of_a_job_are_listed_with_their_state(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 2, owner=ada)
    with dashboard.db.session() as session:
        for task_id in (1, 2):
            done: dict[str, Any] = {"planned": 3, "delivered": 3 if task_id == 1 else 0}
            session.add(SeriesProgress(task_id=task_id, series_instance_uid=f"1.2.{task_id}.9", **done))
        session.commit()

    page = dashboard.job(ada, job.id)
    next(group for group in page.button_group if group.label == "Show").set_value("Series").run()

    assert not page.exception
    assert [(row["State"], row["Series Instance UID"]) for row in rows(page)] == [
        ("Delivered", "1.2.1.9"),
        ("Waiting", "1.2.2.9"),
    ]


def test_only_a_mass_transfer_offers_to_search_again(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada", staff=True)
    job = make_job(dashboard.db, owner=ada, status=JobStatus.SUCCESS)
    assert "Search again" not in buttons(dashboard.job(ada, job.id))
    set_job(dashboard.db, job, kind=JobKind.MASS_TRANSFER, mass=mass_options())

    page = press(dashboard.job(ada, job.id), "Search again")
    page.button(key="confirm").click().run()

    assert not page.error
    assert load(dashboard.db, Job, job.id).run_number == 2


def test_a_job_leads_to_its_run_in_prefect(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada, flow_run_id="5e1f")

    (link,) = dashboard.job(ada, job.id).get("link_button")

    assert link.proto.url == "http://prefect.example:4200/runs/flow-run/5e1f"


def test_the_studies_of_a_job_are_listed_with_what_became_of_them(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 2, owner=ada)
    set_task(
        dashboard.db,
        job,
        1,
        status=TaskStatus.FAILURE,
        message="3 instances are missing.",
        rows=(2, 5),
        series_instance_uids=("1.2.1.1", "1.2.1.2"),
        attempts=3,
        planned=1200,
        delivered=1197,
        failed=3,
    )

    page = dashboard.job(ada, job.id)

    assert rows(page)[0] == {
        "Status": "Failure",
        "PatientID": "P1",
        "Study Instance UID": "1.2.1\n3 instances are missing.",
        "Rows": "2, 5",
        "Series": "2",
        "Instances": "1,197 / 1,200",
        "Attempts": "3",
    }
    assert (rows(page)[1]["Status"], rows(page)[1]["Series"]) == ("Pending", "all")


def test_studies_can_be_filtered_by_status(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 3, owner=ada)
    set_task(dashboard.db, job, 2, status=TaskStatus.FAILURE)

    page = dashboard.job(ada, job.id, study="Failure")

    assert [row["PatientID"] for row in rows(page)] == ["P2"]


def test_many_studies_are_shown_page_by_page(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 60, owner=ada)

    page = dashboard.job(ada, job.id)
    first = [row["PatientID"] for row in rows(page)]
    press(page, "Next")
    following = [row["PatientID"] for row in rows(page)]

    assert first + following == [f"P{number}" for number in range(1, 61)]


def test_the_series_of_the_study_that_the_address_names_are_shown(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 2, owner=ada)
    task_id = set_task(dashboard.db, job, 2, status=TaskStatus.IN_PROGRESS, planned=9)
    with dashboard.db.session() as session:
        series = {"task_id": task_id, "planned": 9, "delivered": 4, "filtered": 1, "failed": 2}
        session.add(
            SeriesProgress(
                **series, series_instance_uid="1.2.2.7", modality="CT", series_number=7, message="Slow."
            )
        )
        session.commit()

    page = dashboard.job(ada, job.id, task=str(task_id))

    assert rows(page)[1]["details"] == [["7", "CT", "1.2.2.7\nSlow.", "4 / 9", "1", "2"]]
    assert "details" not in rows(page)[0]


@pytest.mark.parametrize("job_id", ["", "0", "999999", "-1", "1; DROP TABLE job", "9" * 30, "²"])
def test_an_address_that_names_no_job_is_answered_with_a_sentence(dashboard: Dashboard, job_id: str):
    page = dashboard.job(make_user(dashboard.db, "ada"), job_id)

    assert len(page.error) == 1
    assert not page.exception


def test_the_job_of_another_user_looks_as_if_there_were_none(dashboard: Dashboard):
    job = make_job(dashboard.db, owner=make_user(dashboard.db, "bob"), name="Secret")

    page = dashboard.job(make_user(dashboard.db, "ada"), job.id)

    assert [error.value for error in page.error] == [f"There is no job {job.id}."]
    assert not components(page)
    assert "Secret" not in said(page)


def test_staff_see_the_job_of_another_user(dashboard: Dashboard):
    job = make_job(dashboard.db, owner=make_user(dashboard.db, "bob"), name="Knee")

    page = dashboard.job(make_user(dashboard.db, "ada", staff=True), job.id)

    assert page.title[0].value == f"Job {job.id} · Knee"
    assert "by bob" in said(page)


def test_names_are_shown_as_they_were_written(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada, name="![x](http://example.org) $a$ :red[b] <b>")

    title = dashboard.job(ada, job.id).title[0].value

    assert title.endswith(r"\!\[x\]\(http\:\/\/example\.org\) \$a\$ \:red\[b\] \<b\>")


def test_a_job_is_canceled_after_a_question(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(
        dashboard.db,
        2,
        owner=ada,
        flow_run_id=dashboard.launcher.launch(1, JobKind.BATCH_TRANSFER, run_number=1, urgent=False),
    )

    page = dashboard.job(ada, job.id)
    press(page, "Cancel job")
    assert load(dashboard.db, Job, job.id).status is JobStatus.PENDING, "a question comes first"
    page.button(key="confirm").click().run()

    assert load(dashboard.db, Job, job.id).status is JobStatus.CANCELED
    assert dashboard.launcher.canceled == [job.flow_run_id]
    assert buttons(page) == {"All jobs", "Resume job"}


def test_a_cancel_can_be_thought_better_of(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada)

    page = dashboard.job(ada, job.id)
    press(page, "Cancel job")
    page.button(key="go-back").click().run()

    assert load(dashboard.db, Job, job.id).status is JobStatus.PENDING
    assert buttons(page) == {"All jobs", "Cancel job", "Delete job"}


def test_failed_studies_are_tried_again_after_a_question(dashboard: Dashboard):
    staff = make_user(dashboard.db, "staff", staff=True)
    job = make_job(dashboard.db, 1, owner=staff, status=JobStatus.FAILURE)
    set_task(dashboard.db, job, 1, status=TaskStatus.FAILURE, planned=1, failed=1)

    page = dashboard.job(staff, job.id)
    press(page, "Retry failed")
    page.button(key="confirm").click().run()

    assert load(dashboard.db, Job, job.id).status is JobStatus.PENDING
    assert list(dashboard.launcher.runs) == [f"job-{job.id}-run-2"]
    assert not page.error


def test_an_action_that_came_too_late_is_answered_with_a_sentence(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada)

    page = dashboard.job(ada, job.id)
    press(page, "Cancel job")
    set_job(dashboard.db, job, status=JobStatus.SUCCESS)
    page.button(key="confirm").click().run()

    (error,) = page.error
    assert error.value.startswith(f"Job {job.id}: Only a job that waits or is in progress can be canceled")
    assert not page.exception


def test_a_job_that_is_over_offers_nothing_to_do(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada, status=JobStatus.SUCCESS)

    assert buttons(dashboard.job(ada, job.id)) == {"All jobs"}


def test_what_is_not_possible_is_explained(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada)

    words = said(dashboard.job(ada, job.id))

    assert "**Resume job**: Only a canceled job can be resumed; this one is PENDING." in words
    assert "**Restart job**: Only staff may do this." in words
    assert "**Cancel job**" not in words


def test_staff_approve_a_job_after_a_question(dashboard: Dashboard):
    staff = make_user(dashboard.db, "staff", staff=True)
    job = make_job(dashboard.db, owner=make_user(dashboard.db, "ada"), status=JobStatus.UNVERIFIED)

    page = dashboard.job(staff, job.id)
    press(page, "Approve all")
    assert dashboard.launcher.runs == {}
    page.button(key="confirm").click().run()

    assert load(dashboard.db, Job, job.id).status is JobStatus.PENDING
    assert list(dashboard.launcher.runs) == [f"job-{job.id}-run-1"]


def test_who_deletes_a_job_is_led_back_to_the_list(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, owner=ada)

    page = dashboard.job(ada, job.id)
    press(page, "Delete job")
    page.button(key="confirm").click().run()

    assert page.session_state["went to"] == "jobs"
    with dashboard.db.reading() as session:
        assert session.get(Job, job.id) is None


def test_the_study_that_is_opened_can_be_reset_after_a_question(dashboard: Dashboard):
    staff = make_user(dashboard.db, "staff", staff=True)
    job = make_job(dashboard.db, 2, owner=staff, status=JobStatus.WARNING)
    set_task(dashboard.db, job, 1, status=TaskStatus.SUCCESS)
    task_id = set_task(dashboard.db, job, 2, status=TaskStatus.FAILURE)

    page = dashboard.job(staff, job.id, task=str(task_id))
    offered = {button.label: button for button in page.button if button.label.endswith("study")}
    assert {label for label, button in offered.items() if not button.disabled} == {"Reset study"}
    assert "can be deleted; this one is FAILURE" in offered["Delete study"].help
    press(page, "Reset study")
    assert load(dashboard.db, Task, task_id).status is TaskStatus.FAILURE, "a question comes first"
    page.button(key="confirm").click().run()

    assert load(dashboard.db, Task, task_id).status is TaskStatus.PENDING
    assert list(dashboard.launcher.runs) == [f"job-{job.id}-run-2"]


def test_the_history_of_a_job_is_told_with_who_wanted_what(dashboard: Dashboard):
    ada = make_user(dashboard.db, "ada")
    job = make_job(dashboard.db, 1, owner=ada)
    cancel_job(dashboard.db, dashboard.launcher, ada, job.id)
    with dashboard.db.reading() as session:
        (task_id,) = session.exec(select(Task.id).where(Task.job_id == job.id))

    of_job = said(dashboard.job(ada, job.id))
    of_task = said(dashboard.job(ada, job.id, task=str(task_id)))

    assert "by ada: Cancel asked for" in of_job
    assert "CANCELED" in of_job
    assert "Canceled before it started" in of_task
    assert "Cancel asked for" not in of_task
