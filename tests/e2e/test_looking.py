"""Bringing studies of one's own, and looking into an archive, in a browser and with a real archive."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from sqlmodel import col, select

from adit_core.db import AuditEvent, Job, Permission
from adit_core.db.audit import AuditAction
from deployments.demo.specs import Form, SeriesSpec
from deployments.demo.studies import write_study
from tests.e2e.conftest import Visit
from tests.factories import instances_in, study
from tests.queries import perform
from tests.rows import TRANSFERS, allow, make_group, make_server
from tests.servers import OrthancServer
from tests.web_process import WebProcess

pytestmark = pytest.mark.system

HEAD = study(
    SeriesSpec(Form.CT, 3, "Axial", 64, 64), SeriesSpec(Form.REPORT, 1, "Report"), key="a head to look at"
)


def test_a_folder_is_uploaded_and_arrives_in_an_archive(
    web: WebProcess, visit: Visit, orthanc_destination: OrthancServer, tmp_path: Path
):
    user = web.add_user()
    node = orthanc_destination.archive.node
    destination = make_server(
        web.db, f"PACS of {user.username}", ae_title=node.ae_title, host=node.host, port=node.port
    )
    granted = (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED)
    allow(web.db, make_group(web.db, user, permissions=granted), destination, as_destination=True)
    write_study(HEAD, tmp_path / "CD")
    (tmp_path / "CD" / "READ ME.txt").write_text("Insert this CD into a computer.")

    page = visit("/upload", user=user)
    page.locator("input.folder-input").set_input_files(tmp_path / "CD")
    studies = page.get_by_role("table", name="Studies that were recognised")
    expect(studies.get_by_role("row").filter(has_text=HEAD.patient_id)).to_contain_text("CT, SR")
    expect(page.get_by_role("table", name="Files that are left out")).to_contain_text("CD/READ ME.txt")
    assert HEAD.patient_id not in page.url
    page.get_by_role("combobox", name="Destination").click()
    page.get_by_role("option", name=destination.name).click()
    page.get_by_role("combobox", name="Pseudonymize for project").click()
    page.get_by_role("option", name="No, leave them as they are").click()
    page.get_by_role("button", name="Preview").click()
    ahead = page.get_by_role("table", name="Studies that would be transferred")
    expect(ahead.get_by_role("row").filter(has_text=HEAD.patient_id)).to_contain_text("CT, SR")
    page.get_by_role("textbox", name="Name of the job").fill("From a CD")
    page.get_by_role("button", name="Submit").click()

    heading = page.get_by_role("heading", name="From a CD")
    expect(heading).to_be_visible()
    with web.db.reading() as session:
        job = session.exec(select(Job).where(Job.owner_id == user.id)).one()
    perform(web.db, job.id)
    expect(page.get_by_text("All studies were transferred")).to_be_visible()
    assert orthanc_destination.contents() == instances_in(tmp_path / "CD")


def test_what_is_dropped_and_holds_nothing_is_refused_with_the_reason(web: WebProcess, visit: Visit):
    user = web.add_user()
    make_group(web.db, user, permissions=(*TRANSFERS,))

    page = visit("/upload", user=user)
    expect(page.get_by_role("button", name="Choose a folder")).to_be_visible()
    dropped = page.evaluate_handle(
        "() => { const files = new DataTransfer();"
        " files.items.add(new File(['no DICOM'], 'notes.txt')); return files; }"
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})

    expect(page.get_by_role("alert")).to_contain_text("There is no instance in what was uploaded.")
    expect(page.get_by_role("button", name="Choose a folder")).to_be_visible()


def test_an_archive_is_explored_from_a_patient_to_the_pixels(
    web: WebProcess, visit: Visit, orthanc_source: OrthancServer, tmp_path: Path
):
    user = web.add_user()
    node = orthanc_source.archive.node
    archive = make_server(
        web.db, f"Archive of {user.username}", ae_title=node.ae_title, host=node.host, port=node.port
    )
    allow(web.db, make_group(web.db, user), archive, as_source=True)
    orthanc_source.archive.load(write_study(HEAD, tmp_path / "studies"))

    page = visit("/explorer", user=user)
    page.get_by_text("Patients", exact=True).click()
    page.get_by_role("textbox", name="PatientID").fill(f"{HEAD.patient_id[:4]}*")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("table", name="Patients").get_by_role("link", name=HEAD.patient_id).click()
    page.get_by_role("table", name="Studies").get_by_role("link").first.click()
    page.get_by_role("table", name="Series").get_by_role("link", name="Axial").click()

    picture = page.get_by_role("img", name="Frame 1 of the instance")
    expect(picture).to_be_visible()
    usual = _pixels(page.request.get(str(picture.get_attribute("src"))).body())
    assert usual.shape[:2] == (64, 64)
    assert usual.min() < usual.max()
    attributes = page.get_by_role("table", name="Attributes of the instance")
    page.get_by_role("textbox", name="Search attributes").fill("0010,0020")
    page.get_by_role("textbox", name="Search attributes").press("Enter")
    expect(attributes.get_by_role("row")).to_have_count(2)
    expect(attributes).to_contain_text(HEAD.patient_id)

    source = picture.get_attribute("src")
    page.get_by_role("combobox", name="Window").click()
    page.get_by_role("option", name="Lung").click()
    expect(picture).not_to_have_attribute("src", str(source))
    lung = _pixels(page.request.get(str(picture.get_attribute("src"))).body())
    assert not np.array_equal(usual, lung)
    source = picture.get_attribute("src")
    page.get_by_role("slider").press("ArrowRight")
    expect(page.get_by_role("slider")).to_have_value("2")
    expect(picture).not_to_have_attribute("src", str(source))
    expect(attributes).to_contain_text(HEAD.patient_id)
    assert HEAD.patient_id not in page.url
    assert HEAD.study_instance_uid not in page.url
    with web.db.reading() as session:
        looked = session.exec(
            select(AuditEvent.object_id)
            .where(AuditEvent.actor == user.username, AuditEvent.action == AuditAction.RETRIEVED)
            .order_by(col(AuditEvent.id))
        ).all()
    assert len(set(looked)) == 2


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))
