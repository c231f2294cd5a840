"""Spreadsheets in a browser: put right in place and transferred, and from a query to a transfer."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import select

from adit_core.db import Job, JobStatus, User
from deployments.demo.specs import StudySpec
from deployments.demo.studies import write_study
from tests.e2e.conftest import Visit
from tests.factories import instances_in
from tests.mass import head
from tests.page_scenes import choose, drop
from tests.queries import perform
from tests.rows import make_folder
from tests.web_process import WebProcess

pytestmark = pytest.mark.system

STUDIES = tuple(head(0, number, reports=0) for number in range(3))
_ROW_HEIGHT, _VALUE_AT = 35, 300
"""Pixels of the table in which cells are put right, which is a canvas."""


@pytest.fixture
def archive(web: WebProcess, tmp_path: Path) -> Path:
    """Two folders as nodes, called like the test's folder: one with studies, and one that shall have them."""
    for name in ("archive", "arrivals"):
        (tmp_path / name).mkdir()
        make_folder(web.db, f"{tmp_path.name} {name}", path=str(tmp_path / name))
    for study in STUDIES:
        write_study(study, tmp_path / "archive")
    return tmp_path


def _put_right(page: Page, row: int, text: str) -> None:
    """Type a text over the value in a row of the table of wrong cells."""
    table = page.get_by_role("region", name="Wrong cells")
    expect(table.locator("canvas").first).to_be_visible()
    cell = page.locator(".gdg-input")
    # A page that is being drawn takes no clicks.
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    table.dblclick(position={"x": _VALUE_AT, "y": _ROW_HEIGHT * (row + 1) + _ROW_HEIGHT // 2}, delay=50)
    cell.fill(text)
    cell.press("Enter")
    expect(cell).to_have_count(0)


def _row(study: StudySpec) -> dict[str, str]:
    return {"PatientID": study.patient_id, "StudyInstanceUID": study.study_instance_uid}


def _last_job(web: WebProcess, user: User) -> Job:
    with web.db.reading() as session:
        return session.exec(select(Job).where(Job.owner_id == user.id)).all()[-1]


def test_a_broken_spreadsheet_is_put_right_in_place_and_transferred(
    web: WebProcess, visit: Visit, archive: Path
):
    user = web.add_user(staff=True)
    page = visit("/batch", user=user)
    first, second, third = map(_row, STUDIES)
    drop(page, first, second | {"StudyInstanceUID": "1.2.840,5"}, third | {"PatientID": ""})
    expect(page.get_by_text("There is something to correct in 2 rows")).to_be_visible()
    _put_right(page, 0, second["StudyInstanceUID"])
    expect(page.get_by_text("There is something to correct in 1 row of")).to_be_visible()
    _put_right(page, 1, third["PatientID"])
    expect(page.get_by_text("3 studies of 3 patients").first).to_be_visible()

    choose(page, "Source", f"{archive.name} archive")
    choose(page, "Destination", f"{archive.name} arrivals")
    choose(page, "Pseudonymization", "None: with the patients' names")
    page.get_by_role("button", name="Transfer", exact=True).dblclick()

    expect(page.get_by_role("heading", name="Job")).to_be_visible()
    job = _last_job(web, user)
    assert page.url == f"{web.url}/job?id={job.id}"
    with web.db.reading() as session:
        assert len(session.exec(select(Job).where(Job.owner_id == user.id)).all()) == 1
    assert perform(web.db, job.id).status is JobStatus.SUCCESS
    assert instances_in(archive / "arrivals") == instances_in(archive / "archive")


def test_what_a_query_finds_is_transferred_by_one_click(web: WebProcess, visit: Visit, archive: Path):
    user = web.add_user(staff=True)
    page = visit("/query", user=user)
    drop(page, *({"PatientID": study.patient_id} for study in STUDIES), {"PatientID": "nobody"})
    expect(page.get_by_text("4 rows to ask about").first).to_be_visible()
    choose(page, "Source", f"{archive.name} archive")
    page.get_by_role("button", name="Query", exact=True).click()
    expect(page.get_by_text("0 of 4 rows done")).to_be_visible()
    perform(web.db, _last_job(web, user).id)

    page.get_by_role("button", name="Transfer these").click()
    expect(page.get_by_text("3 studies of 3 patients").first).to_be_visible()
    expect(page.get_by_role("combobox", name="Source")).to_have_value(f"{archive.name} archive")
    assert not any(study.patient_id in page.url for study in STUDIES)
    choose(page, "Destination", f"{archive.name} arrivals")
    choose(page, "Pseudonymization", "None: with the patients' names")
    page.get_by_role("button", name="Transfer", exact=True).click()

    expect(page.get_by_text("0 of 3 studies done")).to_be_visible()
    assert perform(web.db, _last_job(web, user).id).status is JobStatus.SUCCESS
    assert instances_in(archive / "arrivals") == instances_in(archive / "archive")
