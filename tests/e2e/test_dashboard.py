"""What people do with the dashboard, in a browser."""

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text
from sqlmodel import col, delete, select, update

from adit_core.db import Job, JobStatus, SeriesProgress, TaskStatus, User, WebSession
from adit_core.db.columns import utc_now
from adit_core.services.claims import claim_task, finish_task, unfinished_task_ids
from adit_core.services.progress import TaskCounts, record_progress
from tests.e2e.conftest import Conduct, Visit
from tests.rows import load, make_job
from tests.web_pages import another_job, set_job, set_task
from tests.web_process import PASSWORD, WebProcess

pytestmark = pytest.mark.system


def _metric(page: Page, label: str):
    return page.get_by_test_id("stMetric").filter(has_text=label)


def _progress(web: WebProcess, task_id: int, delivered: int, *, planned: int = 40) -> TaskCounts:
    counts = TaskCounts(planned=planned, delivered=delivered, sent=delivered, bytes_sent=delivered << 20)
    series = SeriesProgress(
        task_id=task_id,
        series_instance_uid=f"1.2.3.{task_id}",
        modality="CT",
        series_number=4,
        planned=planned,
        delivered=delivered,
    )
    record_progress(web.db, task_id, token="worker", series=[series], counts=counts)
    return counts


def test_an_operator_signs_in_and_watches_a_job_to_its_end(web: WebProcess, visit: Visit, conduct: Conduct):
    user = web.add_user(full_name="Ada Lovelace")
    job = make_job(web.db, 2, owner=user, name="Liver lesions")
    first, second = unfinished_task_ids(web.db, job.id)

    page = visit()
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Signed in as Ada Lovelace")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="Liver lesions")
    expect(row).to_contain_text("Pending")
    row.get_by_role("link", name="Liver lesions").click()

    expect(page.get_by_role("heading", name=f"Job {job.id} · Liver lesions")).to_be_visible()
    expect(page).to_have_url(f"{web.url}/job?id={job.id}")
    expect(page.get_by_text(re.compile(r"created \d{4}-\d\d-\d\d \d\d:\d\d CES?T"))).to_be_visible()
    claim_task(web.db, first, token="worker", lease=600)
    _progress(web, first, 10)
    expect(_metric(page, "Delivered")).to_contain_text("10")
    expect(page.get_by_text("0 of 2 studies done · 12%")).to_be_visible()
    counts = _progress(web, first, 40)
    finish_task(web.db, first, token="worker", status=TaskStatus.SUCCESS, message="", counts=counts)
    expect(page.get_by_text("1 of 2 studies done · 50%")).to_be_visible()
    claim_task(web.db, second, token="worker", lease=600)
    counts = _progress(web, second, 40)
    finish_task(web.db, second, token="worker", status=TaskStatus.SUCCESS, message="", counts=counts)

    expect(page.get_by_text("All studies were transferred")).to_be_visible()
    expect(page.get_by_text("2 of 2 studies done · 100%")).to_be_visible()
    expect(_metric(page, "Delivered")).to_contain_text("80")
    expect(page.get_by_role("button", name="Cancel job")).to_have_count(0)
    expect(page.get_by_role("cell", name="40 / 40")).to_have_count(2)
    page.wait_for_timeout(2500)
    questions = conduct.questions
    page.wait_for_timeout(4500)
    assert conduct.questions == questions, "a job that is over is not asked for any more"


def test_a_job_is_canceled_after_a_question(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, 3, owner=user)

    page = visit(f"/job?id={job.id}", user=user)
    page.get_by_role("button", name="Cancel job").click()
    question = page.get_by_role("dialog", name="Cancel this job?")
    question.get_by_role("button", name="Go back").click()
    expect(question).to_have_count(0)
    assert load(web.db, Job, job.id).status is JobStatus.PENDING

    page.get_by_role("button", name="Cancel job").click()
    page.wait_for_timeout(2500)  # the page renews itself behind the question
    question.get_by_role("button", name="Cancel job").click()

    expect(question).to_have_count(0)
    expect(page.get_by_text("The job was canceled.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="Canceled before it started.")).to_have_count(3)
    expect(page.get_by_role("button", name="Resume job")).to_be_visible()
    assert load(web.db, Job, job.id).status is JobStatus.CANCELED


def test_failed_studies_are_tried_again_after_a_question(web: WebProcess, visit: Visit):
    user = web.add_user(staff=True)
    job = make_job(web.db, 1, owner=user, status=JobStatus.FAILURE)
    set_task(web.db, job, 1, status=TaskStatus.FAILURE, planned=3, failed=3, message="The archive was away.")

    page = visit(f"/job?id={job.id}", user=user)
    expect(page.get_by_text("The archive was away.")).to_be_visible()
    page.get_by_role("button", name="Retry failed").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry failed").click()

    expect(page.get_by_text("The job waits for its turn. Waits for the scheduler.")).to_be_visible()
    expect(page.get_by_text("The archive was away.")).to_have_count(0)


def test_an_action_that_came_too_late_is_answered_with_a_sentence(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, owner=user)

    page = visit(f"/job?id={job.id}", user=user)
    page.get_by_role("button", name="Cancel job").click()
    question = page.get_by_role("dialog", name="Cancel this job?")
    expect(question).to_be_visible()
    set_job(web.db, job, status=JobStatus.SUCCESS)
    question.get_by_role("button", name="Cancel job").click()

    reason = "Only a job that waits or is in progress can be canceled; this one is SUCCESS."
    expect(question.get_by_text(f"Job {job.id}: {reason}")).to_be_visible()


def test_a_click_on_a_study_opens_its_series_which_stay_live(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, 2, owner=user)
    first, _ = unfinished_task_ids(web.db, job.id)
    claim_task(web.db, first, token="worker", lease=600)
    _progress(web, first, 10)

    page = visit(f"/job?id={job.id}", user=user)
    page.get_by_role("link", name="1.2.1", exact=True).click()
    series = page.get_by_role("table", name="Series of study 1.2.1")
    expect(series.get_by_role("row").filter(has_text=f"1.2.3.{first}")).to_contain_text("10 / 40")
    expect(page).to_have_url(f"{web.url}/job?id={job.id}&task={first}")

    _progress(web, first, 25)
    expect(series.get_by_role("row").filter(has_text=f"1.2.3.{first}")).to_contain_text("25 / 40")
    page.reload()
    expect(series).to_be_visible()
    page.get_by_role("link", name="1.2.1", exact=True).click()
    expect(series).to_have_count(0)
    expect(page).to_have_url(f"{web.url}/job?id={job.id}")


def test_renewing_leaves_alone_what_did_not_change(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, 2, owner=user)
    first, _ = unfinished_task_ids(web.db, job.id)
    claim_task(web.db, first, token="worker", lease=600)
    _progress(web, first, 10)

    page = visit(f"/job?id={job.id}", user=user)
    unchanged = page.get_by_role("row").filter(has_text="1.2.2")
    unchanged.evaluate("row => { row.dataset.seen = 'yes'; }")
    page.get_by_role("link", name="1.2.2").focus()
    heights = page.evaluate("document.documentElement.scrollHeight")
    _progress(web, first, 25)
    expect(page.get_by_role("row").filter(has_text="1.2.1")).to_contain_text("25 / 40")

    expect(unchanged).to_have_attribute("data-seen", "yes")
    expect(page.get_by_role("link", name="1.2.2")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollHeight") == heights


def test_a_click_arrives_though_the_row_is_drawn_anew_under_the_pressed_button(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, 2, owner=user)
    first, _ = unfinished_task_ids(web.db, job.id)
    claim_task(web.db, first, token="worker", lease=600)
    _progress(web, first, 10)

    page = visit(f"/job?id={job.id}", user=user)
    row = page.get_by_role("row").filter(has_text="1.2.1")
    expect(row).to_contain_text("10 / 40")
    link = row.get_by_role("link", name="1.2.1", exact=True)
    link.evaluate("link => { link.isTheSame = true; }")
    _press(page, link)
    _progress(web, first, 25)
    set_task(web.db, job, 1, message="The archive is busy.")
    expect(row).to_contain_text("25 / 40")
    expect(row).to_contain_text("The archive is busy.")
    assert link.evaluate("link => link.isTheSame")
    page.mouse.up()

    expect(page.get_by_role("table", name="Series of study 1.2.1")).to_be_visible()


def test_a_click_opens_the_job_that_was_pressed_though_another_one_comes_to_its_place(
    web: WebProcess, visit: Visit
):
    user = web.add_user()
    job = make_job(web.db, owner=user)
    page = visit("/jobs", user=user)
    rows = page.get_by_role("table").get_by_role("row")
    expect(rows).to_have_count(2)
    _press(page, rows.get_by_role("link").first)
    another_job(web.db, job)
    expect(rows).to_have_count(3)
    page.mouse.up()

    expect(page).to_have_url(f"{web.url}/job?id={job.id}")


def test_a_press_that_is_drawn_away_from_the_link_is_no_click(web: WebProcess, visit: Visit):
    user = web.add_user()
    make_job(web.db, owner=user)
    page = visit("/jobs", user=user)
    _press(page, page.get_by_role("table").get_by_role("link").first)
    page.mouse.move(700, 20)
    page.mouse.up()

    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.wait_for_timeout(1000)
    expect(page).to_have_url(f"{web.url}/jobs")


def _press(page: Page, link: Locator) -> None:
    """Press the button of the mouse on a link, and keep it pressed."""
    link.hover(position={"x": 3, "y": 3})
    page.mouse.down()


def test_the_address_keeps_the_filter(web: WebProcess, visit: Visit):
    staff = web.add_user(staff=True)
    owner = web.add_user()
    failed = make_job(web.db, owner=owner, status=JobStatus.FAILURE, name=f"Failed of {owner.username}")
    another_job(web.db, failed, status=JobStatus.SUCCESS, name=f"Done of {owner.username}")

    page = visit("/jobs", user=staff)
    expect(page.get_by_text("There are no jobs yet.")).to_be_visible()
    page.get_by_text("Jobs of all users").click()
    expect(page.get_by_text(f"Done of {owner.username}")).to_be_visible()
    page.get_by_role("button", name="Failure").click()
    expect(page.get_by_text(f"Done of {owner.username}")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/jobs\?.*status=Failure"))
    expect(page).to_have_url(re.compile(r"/jobs\?.*all=true"))

    page.reload()
    expect(page.get_by_text(f"Failed of {owner.username}")).to_be_visible()
    expect(page.get_by_text(f"Done of {owner.username}")).to_have_count(0)


def test_the_list_renews_itself_while_a_job_is_open(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, owner=user, name="Knee")

    page = visit(user=user)
    row = page.get_by_role("row").filter(has_text="Knee")
    expect(row).to_contain_text("Pending")
    set_job(web.db, job, status=JobStatus.SUCCESS)

    expect(row).to_contain_text("Success")


def test_a_session_that_ends_takes_the_page_with_it(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, owner=user)
    page = visit(f"/job?id={job.id}", user=user)
    expect(page.get_by_role("table")).to_be_visible()

    _end_sessions(web, user)

    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    expect(page.get_by_role("table")).to_have_count(0)
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_label("User name").fill(user.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name=f"Job {job.id}")).to_be_visible()


def _end_sessions(web: WebProcess, user: User) -> None:
    with web.db.session() as session:
        session.exec(delete(WebSession).where(col(WebSession.user_id) == user.id))
        session.commit()


def test_watching_a_page_is_no_activity_and_using_it_is(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, 2, owner=user)
    page = visit(f"/job?id={job.id}", user=user)
    expect(page.get_by_role("table")).to_be_visible()
    half_an_hour_ago = utc_now() - timedelta(minutes=30)
    _set_last_seen(web, user, half_an_hour_ago)

    first, _ = unfinished_task_ids(web.db, job.id)
    claim_task(web.db, first, token="worker", lease=600)  # the page renews itself as a whole
    expect(page.get_by_text("Studies are being transferred.")).to_be_visible()
    page.wait_for_timeout(2500)
    assert _last_seen(web, user) == half_an_hour_ago

    page.get_by_role("link", name="1.2.2", exact=True).click()
    expect(page.get_by_role("table", name="Series of study 1.2.2")).to_be_visible()
    assert _last_seen(web, user) > half_an_hour_ago


def _set_last_seen(web: WebProcess, user: User, at: datetime) -> None:
    with web.db.session() as session:
        session.exec(update(WebSession).where(col(WebSession.user_id) == user.id).values(last_seen_at=at))
        session.commit()


def _last_seen(web: WebProcess, user: User) -> datetime:
    with web.db.reading() as session:
        return session.exec(select(WebSession.last_seen_at).where(WebSession.user_id == user.id)).one()


def test_signing_out_leads_to_the_form_and_ends_the_session(web: WebProcess, visit: Visit):
    page = visit(user=web.add_user())

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_role("heading", name="ADIT")).to_be_visible()
    page.goto("/")
    expect(page.get_by_label("Password")).to_be_visible()


def test_the_job_of_another_user_is_not_shown(web: WebProcess, visit: Visit):
    job = make_job(web.db, owner=web.add_user(), name="Secret")

    page = visit(f"/job?id={job.id}", user=web.add_user())

    expect(page.get_by_text(f"There is no job {job.id}.")).to_be_visible()
    expect(page.get_by_text("Secret")).to_have_count(0)
    page.get_by_role("button", name="All jobs").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_a_mistake_of_ours_is_told_in_a_sentence_without_its_details(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, owner=user)
    watching = visit(f"/job?id={job.id}", user=user)
    expect(watching.get_by_role("table")).to_be_visible()

    with web.db.engine.begin() as connection:
        connection.execute(text("UPDATE job SET options = '{\"bogus\": 1}' WHERE id = :id"), {"id": job.id})

    for page in (watching, visit("/", user=user)):
        expect(page.get_by_text("Something went wrong here.")).to_be_visible()
        expect(page.get_by_text(re.compile("Traceback|ValidationError|bogus|pydantic"))).to_have_count(0)
    assert "ValidationError" in web.log
    assert "bogus" not in web.log


@pytest.mark.parametrize("width", [768, 1024, 1280])
def test_pages_fit_the_screen(web: WebProcess, visit: Visit, width: int):
    user = web.add_user()
    job = make_job(web.db, 2, owner=user, name="A study of the length of names " * 4)

    for path in ("/", f"/job?id={job.id}"):
        page = visit(path, user=user, width=width)
        expect(page.get_by_role("table")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
