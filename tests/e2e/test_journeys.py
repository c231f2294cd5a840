"""Ways through the dashboard that take several steps, in a browser; what workers do is done between them."""

import re
from pathlib import Path
from threading import Event

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from sqlmodel import Session, select
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from adit_core.db import DicomNode, HeldInstance, Job, JobStatus, Permission, ReviewStatus, Task, User
from adit_core.db.engine import Database
from adit_core.services.claims import claim_task, hand_back_task, unfinished_task_ids
from adit_core.services.nodes import get_node
from adit_core.services.projects import add_project, set_project_access
from adit_core.services.submit_selective import PickedStudy, submit_selective_transfer
from adit_core.services.transfer_request import TransferRequest
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.e2e.conftest import Conduct, Visit
from tests.factories import instances_in, study
from tests.fakes.launcher import FakeLauncher
from tests.mass import head
from tests.page_scenes import choose, go, settle, tick
from tests.projects import files_below
from tests.queries import perform
from tests.rows import TRANSFERS, allow, load, make_folder, make_group, make_job, make_transfer
from tests.web_process import PASSWORD, WebProcess

pytestmark = pytest.mark.system

UNCHANGED = "None: with the patients' names"
_MOST_STEPS = 60
_MORE_THAN_A_LIST_SHOWS = 30
_RENEW_OFTEN = """
const usual = window.setInterval;
window.setInterval = (act, pause, ...rest) => usual(act, pause === 2000 ? 200 : pause, ...rest);
"""
"""Makes parts of pages that are renewed every two seconds be so ten times as often.

Streamlit's browser side breaks in one of some hundred changes of the page if it happens all the time.
"""
_ROUND = 16
"""Pixels from the corner of a picture, which is rounded, to where it takes the mouse."""


@pytest.fixture
def place(web: WebProcess, tmp_path: Path) -> Path:
    """Two folders as nodes, called like the test's folder: the archive, and where its studies shall go."""
    for name in ("archive", "arrivals"):
        (tmp_path / name).mkdir()
        make_folder(web.db, f"{tmp_path.name} {name}", path=str(tmp_path / name))
    return tmp_path


def _jobs_of(db: Database, user: User) -> list[Job]:
    with db.reading() as session:
        return list(session.exec(select(Job).where(Job.owner_id == user.id)).all())


def _fill_day(page: Page, name: str, digits: str) -> None:
    settle(page)
    page.get_by_role("group", name=name, exact=True).get_by_role("spinbutton").first.click()
    page.keyboard.type(digits)


def _confirm(page: Page, action: str) -> None:
    page.get_by_role("button", name=action, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=action, exact=True).click()


def test_what_filters_of_a_mass_transfer_choose_is_looked_at_and_transferred(
    web: WebProcess, visit: Visit, place: Path
):
    wanted, other = head(0, 1), head(1, 2)
    for spec in (wanted, other):
        write_study(spec, place / "archive")
    for number in range(_MORE_THAN_A_LIST_SHOWS):
        make_folder(web.db, f"Another of {place.name}, {number}", path=str(place / "other"))
    user = web.add_user(staff=True)

    page = visit("/mass", user=user)
    _fill_day(page, "First day", "20240330")
    _fill_day(page, "Last day", "20240330")
    tick(page, page.get_by_role("combobox", name="Modality").last, "SR")
    choose(page, "Source", f"{place.name} archive")
    choose(page, "Destination", f"{place.name} arrivals")
    choose(page, "Pseudonymization", UNCHANGED)
    expect(page.get_by_text("Without modality SR")).to_be_visible()
    page.get_by_role("button", name="Preview a day").click()
    ahead = page.get_by_role("table", name="Studies that would be transferred")
    expect(ahead.get_by_role("row").filter(has_text=wanted.patient_id)).to_contain_text("1 / 1")
    expect(ahead.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Transfer", exact=True).click()

    expect(page.get_by_text("The job waits for its turn.")).to_be_visible()
    (job,) = _jobs_of(web.db, user)
    perform(web.db, job.id)  # the search
    assert perform(web.db, job.id).status is JobStatus.SUCCESS
    expect(page.get_by_text("every image is accounted for")).to_be_visible()
    assert instances_in(place / "arrivals").keys() == {
        wanted.sop_instance_uid(0, image) for image in range(2)
    }


def test_a_job_is_watched_canceled_resumed_and_what_failed_of_it_tried_again(
    web: WebProcess, visit: Visit, place: Path
):
    first, second = head(0, 1), head(0, 2)
    write_study(first, place / "archive")
    user = web.add_user(staff=True)
    job = make_transfer(web.db, user, *_nodes(web.db, place), (first, second))
    running, _ = unfinished_task_ids(web.db, job.id)
    claim_task(web.db, running, token="worker", lease=600)

    page = visit(f"/job?id={job.id}", user=user)
    expect(page.get_by_text("Studies are being transferred.")).to_be_visible()
    _confirm(page, "Cancel job")
    expect(page.get_by_text("The job is being canceled")).to_be_visible()
    hand_back_task(web.db, running, token="worker", message="Stopped.", counts=None, counted=False)
    expect(page.get_by_text("The job was canceled.")).to_be_visible()

    _confirm(page, "Resume job")
    expect(page.get_by_text("The job waits for its turn.")).to_be_visible()
    perform(web.db, job.id)
    expect(page.get_by_text("1 of 2 studies failed.").first).to_be_visible()
    assert instances_in(place / "arrivals").keys() == first.sop_instance_uids()

    write_study(second, place / "archive")
    _confirm(page, "Retry failed")
    expect(page.get_by_text("The job waits for its turn.")).to_be_visible()
    assert perform(web.db, job.id).status is JobStatus.SUCCESS
    expect(page.get_by_text("every image is accounted for")).to_be_visible()
    assert instances_in(place / "arrivals") == instances_in(place / "archive")


def test_a_reviewer_looks_blanks_and_releases_one_image_and_rejects_another(
    web: WebProcess, visit: Visit, place: Path
):
    captures = study(SeriesSpec(Form.SECONDARY_CAPTURE, 2, "Measurements", 480, 640), key=place.name)
    write_study(captures, place / "archive")
    user = web.add_user()
    project = add_project(web.db, place.name)
    group = make_group(web.db, user, permissions=(*TRANSFERS, Permission.REVIEW_HELD_INSTANCES))
    set_project_access(web.db, group.name, project.name, allowed=True)
    source, destination = _nodes(web.db, place)
    allow(web.db, group, source, as_source=True)
    allow(web.db, group, destination, as_destination=True)
    request = TransferRequest(user.id, source.name, destination.name, project=project.name)
    picked = [PickedStudy(captures.patient_id, captures.study_instance_uid)]
    job_id = submit_selective_transfer(web.db, FakeLauncher(), request, picked)
    perform(web.db, job_id)
    assert not instances_in(place / "arrivals")

    page = visit("/", user=user)
    page.get_by_role("link", name="2 images are held back for a review").click()
    page.get_by_role("table", name="Images that are held back").get_by_role("link").first.click()
    _draw_over_upper_half(page, page.get_by_role("img", name=re.compile("Frame 1 of image")))
    page.get_by_role("button", name="Release, 1 region blanked").click()
    page.get_by_role("dialog").get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_text("Release as it is")).to_be_visible()  # of the other image
    _confirm(page, "Reject")
    expect(page.get_by_role("button", name="Reject", exact=True)).to_have_count(0)

    perform(web.db, job_id)
    (arrived,) = files_below(place / "arrivals")
    assert not arrived.pixel_array[40:200, 40:-40].any()
    assert arrived.pixel_array[280:].any()
    with web.db.reading() as session:
        chosen = select(HeldInstance.status).where(HeldInstance.task_id == _task_of(session, job_id))
        assert set(session.exec(chosen)) == {ReviewStatus.RELEASED, ReviewStatus.REJECTED}


def test_a_job_is_found_and_canceled_without_a_mouse(web: WebProcess, visit: Visit):
    user = web.add_user()
    job = make_job(web.db, owner=user, name="Knees")

    page = visit()
    _go_to(page, page.get_by_label("User name"))
    page.keyboard.type(user.username)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="Knees")
    expect(link).to_be_visible()
    _go_to(page, link)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Knees")).to_be_visible()
    settle(page)
    _go_to(page, page.get_by_role("button", name="Cancel job"))
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog", name="Cancel this job?")
    expect(question).to_be_visible()
    _go_to(page, question.get_by_role("button", name="Cancel job"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("The job was canceled.")).to_be_visible()
    assert load(web.db, Job, job.id).status is JobStatus.CANCELED


def test_who_leaves_a_page_while_it_is_renewed_gets_to_the_next_one(web: WebProcess, visit: Visit):
    user = web.add_user()
    make_job(web.db, owner=user, name="Shoulders")
    page = visit(user=user)
    page.add_init_script(_RENEW_OFTEN)
    go(page, "/jobs")

    for _ in range(4):
        page.get_by_role("link", name="Shoulders").click()
        expect(page.get_by_role("heading", name="Shoulders")).to_be_visible()
        expect(page.get_by_role("button", name="Cancel job")).to_be_visible()
        page.get_by_role("button", name="All jobs").click()
        expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_a_page_that_streamlit_breaks_is_loaded_again(web: WebProcess, visit: Visit, conduct: Conduct):
    user = web.add_user()
    job = make_job(web.db, owner=user, name="Shoulders")
    page = visit(user=user)
    losing = _lose_blocks(page)
    go(page, "/jobs")

    losing.set()
    page.get_by_role("link", name="Shoulders").click()
    expect(page.get_by_role("heading", name="Shoulders")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel job")).to_be_visible()
    assert not losing.is_set()
    assert page.url.endswith(f"/job?id={job.id}")
    assert any("delta path" in error for error in conduct.errors)
    conduct.errors.clear()


def _lose_blocks(page: Page) -> Event:
    """Have no blocks reach the browser when the event is set, until it loads the page again.

    So what is in them has no place.
    """
    losing = Event()

    def pass_on(message: str | bytes, browser: WebSocketRoute) -> None:
        assert isinstance(message, bytes)
        if not (losing.is_set() and ForwardMsg.FromString(message).delta.HasField("add_block")):
            browser.send(message)

    def connect(browser: WebSocketRoute) -> None:
        losing.clear()
        browser.connect_to_server().on_message(lambda message: pass_on(message, browser))

    page.route_web_socket(re.compile("/_stcore/stream"), connect)
    return losing


def test_staff_tick_and_type_what_is_approved(web: WebProcess, visit: Visit):
    job = make_job(web.db, 60, owner=web.add_user(), status=JobStatus.UNVERIFIED)
    page = visit(f"/job?id={job.id}", user=web.add_user(staff=True))
    rows = page.get_by_role("textbox", name="Rows to approve")
    first = page.get_by_role("checkbox", name="Approve 2, 1.2.1", exact=True)
    second = page.get_by_role("checkbox", name="Approve 3, 1.2.2", exact=True)

    first.check()
    expect(rows).to_have_value("2")
    second.check()
    expect(rows).to_have_value("2-3")
    rows.fill("3-4, 60-61")
    rows.press("Enter")
    expect(first).not_to_be_checked()
    expect(second).to_be_checked()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("checkbox", name="Approve 61, 1.2.60", exact=True).uncheck()
    expect(rows).to_have_value("3-4, 60")
    page.get_by_role("button", name="First").click()
    expect(second).to_be_checked()
    page.get_by_role("button", name="Approve the 3 chosen").click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("57 studies will not. Rows: 2, 5-59, 61")
    question.get_by_role("button", name="Approve 3 studies").click()

    expect(page.get_by_text("The job waits for its turn.")).to_be_visible()
    with web.db.reading() as session:
        tasks = session.exec(select(Task).where(Task.job_id == job.id)).all()
    assert {task.rows for task in tasks if not task.refused} == {(3,), (4,), (60,)}


def _go_to(page: Page, wanted: Locator) -> None:
    """Press the tabulator until the wanted element has the focus, which must not take for ever."""
    for _ in range(_MOST_STEPS):
        if wanted.evaluate("element => element.matches(':focus')"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} is not reached by the keyboard")


def _draw_over_upper_half(page: Page, picture: Locator) -> None:
    expect(picture).to_be_visible()
    settle(page)
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + _ROUND, box["y"] + _ROUND)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - _ROUND, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()


def _nodes(db: Database, place: Path) -> tuple[DicomNode, DicomNode]:
    return get_node(db, f"{place.name} archive"), get_node(db, f"{place.name} arrivals")


def _task_of(session: Session, job_id: int) -> int:
    return session.exec(select(Task.id).where(Task.job_id == job_id)).one()
