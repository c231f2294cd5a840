"""The faces of ADIT on a marked day: programs, commands and browsers, most of which ask for what is wrong."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, Page, expect

from adit_core.services.sessions import SessionLimits, open_session
from adit_core.settings import Settings
from tests.e2e.marked_day import CAPTURES, ODD, STRANGERS, USUAL, Day, row_of, uploaded_files
from tests.markers import CONTROL, HELD, TYPED
from tests.page_scenes import choose, drop, go
from tests.queries import sheet_of
from tests.web_process import COOKIE

_WRONG = f"{TYPED.patient_name} {TYPED.patient_id} {TYPED.birth_date}"
_ENDLESS = "/v1/jobs/{job_id}/progress"
_FORM = "multipart/form-data"


def ask_for_everything_wrongly(day: Day) -> None:
    """Send to every route what is not right, with a patient in every place that takes one."""
    with day.client() as stranger, day.client(day.token) as client:
        document = client.get("/openapi.json").json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if path != _ENDLESS:
                    for request in _wrong_requests(operation):
                        client.request(method, re.sub(r"\{\w+\}", quote(_WRONG, safe=""), path), **request)
                    stranger.request(method, re.sub(r"\{\w+\}", "1", path), params={"text": _WRONG})
        client.get(f"/v1/{quote(_WRONG)}")
        client.post("/v1/sign-in", json={"username": _WRONG, "password": _WRONG})


def _wrong_requests(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
    given = {"params": dict.fromkeys(names, _WRONG)}
    yield given
    body = operation.get("requestBody", {}).get("content", {})
    if "application/json" in body:
        for content in ('{"node": "' + _WRONG, json.dumps([_WRONG]), json.dumps({_WRONG: _WRONG})):
            yield {**given, "content": content, "headers": {"Content-Type": "application/json"}}
    elif _FORM in body:
        broken = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{_WRONG}"\r\n\r\n{_WRONG}'
        for boundary in ("b", "other"):
            kind = f"{_FORM}; boundary={boundary}"
            yield {**given, "content": broken.encode(), "headers": {"Content-Type": kind}}


def look_for_patients(day: Day) -> None:
    """Use what gives patient data to programs: archives that are there, archives that are not."""
    patient = {"patient_id": HELD.patient_id, "patient_name": f"{HELD.family_name}*"}
    rows = [
        {"PatientID": HELD.patient_id, "StudyInstanceUID": spec.study_instance_uid} for spec in (USUAL, ODD)
    ]
    with day.client(day.token) as client:
        for node in ("Marked", "Marked folder", "Marked and gone"):
            client.post("/v1/search/patients", json={"node": node, **patient})
            client.post("/v1/search/studies", json={"node": node, **patient})
            for spec in (USUAL, ODD):
                study = {"patient_id": HELD.patient_id, "study_instance_uid": spec.study_instance_uid}
                found = client.post("/v1/search/series", json={"node": node, **study})
                series = {"series_instance_uid": spec.series_instance_uid(0)}
                client.post("/v1/search/instances", json={"node": node, **study, **series})
                _look_by_dicomweb(client, quote(node), spec.study_instance_uid)
            order = {"source": node, "destination": "Marked arrivals", "rows": rows}
            client.post("/v1/jobs/batch/preview", json=order)
            assert found.is_success is (node != "Marked and gone"), found.text
        for project in ("Marked trial", "none"):
            for spec in (USUAL, ODD):
                wanted = {"node": "Marked", "patient_id": HELD.patient_id}
                client.post(
                    f"/v1/projects/{project}/dry-run",
                    json={**wanted, "study_instance_uid": spec.study_instance_uid},
                )
            client.post(f"/v1/projects/{project}/links/search", json={"patient_ids": [HELD.patient_id]})
            day.exports.append(client.get(f"/v1/projects/{project}/links/export").content)
        _review(client)


def look_ahead(day: Day) -> None:
    """Preview every kind of transfer: of what is there, of another patient's, and where nobody answers."""
    stranger = {"patient_id": TYPED.patient_id, "study_instance_uid": STRANGERS.study_instance_uid}
    sought = {"first_day": "2024-01-02", "last_day": "2024-01-02"}
    with day.client(day.token) as client:
        upload = client.post("/v1/uploads", files=uploaded_files(day)).json()["id"]
        for source in ("Marked", "Marked and gone"):
            for project in ({}, {"project": "Marked trial"}):
                way = {"source": source, "destination": "Marked arrivals", **project}
                selective = client.post("/v1/jobs/selective/preview", json={**way, "studies": [stranger]})
                client.post("/v1/jobs/batch/preview", json={**way, "rows": [row_of(USUAL), row_of(ODD)]})
                client.post("/v1/jobs/mass/preview", json={**way, "search": sought})
                assert selective.is_success is (source == "Marked"), selective.text
        for destination in ("Marked arrivals", "Marked and gone"):
            order = {"upload": upload, "destination": destination}
            looked = client.post("/v1/jobs/upload/preview", json=order)
            assert looked.is_success is (destination == "Marked arrivals"), looked.text
        client.delete(f"/v1/uploads/{upload}")


def _look_by_dicomweb(client: httpx.Client, node: str, study: str) -> None:
    root = f"/dicom-web/{node}"
    client.get(f"{root}/qidors/studies", params={"PatientID": HELD.patient_id, "PatientName": _WRONG})
    client.get(f"{root}/qidors/studies", params={"StudyDate": _WRONG, _WRONG: _WRONG})
    for path in ("", "/metadata", "/rendered", "/thumbnail", "/nifti", f"/series/{quote(_WRONG)}"):
        client.get(f"{root}/wadors/studies/{study}{path}", params={"viewport": _WRONG})
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    body = f"--b\r\nContent-Type: application/dicom\r\n\r\n{_WRONG}\r\n--b--\r\n"
    client.post(f"{root}/stowrs/studies/{study}", content=body.encode(), headers=kind)


def _review(client: httpx.Client) -> None:
    held = client.get("/v1/held").json()["items"]
    mine = [each for each in held if each["project"] == "Marked trial"]
    assert len(mine) >= len(CAPTURES.sop_instance_uids())
    for each in mine:
        client.get(f"/v1/held/{each['id']}/picture", params={"frame": 1})
        client.get(f"/v1/held/{each['id']}/picture", params={"frame": 77})
    client.post("/v1/held/reject", json={"ids": [each["id"] for each in mine]})


def meet_the_unreadable(day: Day, job_id: int) -> None:
    """Ask for a job that nobody can read: each face meets an error that nobody foresaw."""
    with day.client(day.token) as client:
        answer = client.get(f"/v1/jobs/{job_id}")
        assert answer.status_code == 500, answer.text
        client.post(f"/v1/jobs/{job_id}/actions/cancel")


def run_commands(day: Day, job_id: int) -> None:
    """Run commands that go wrong, one of which asks for a job that nobody can read."""
    sheet = day.folder / "broken.csv"
    sheet.write_bytes(sheet_of({"PatientID": TYPED.patient_id, "StudyInstanceUID": _WRONG}))
    way = ("--source", "Marked", "--destination", "Marked arrivals")
    commands = [
        ("find", "Marked and gone", "--patient-id", TYPED.patient_id, "--patient-name", TYPED.patient_name),
        ("find", "Marked and gone", "--level", "instance", "--study", ODD.study_instance_uid),
        ("submit", "batch", sheet, *way),
        ("jobs", "show", job_id),
    ]
    for running in [day.command(*arguments) for arguments in commands]:
        with closing(running.stdout), closing(running.stderr):  # type: ignore[type-var]
            _, complaints = running.communicate(timeout=60)
        assert running.returncode
        day.complaints.append(complaints)


def look_with_a_browser(day: Day, chromium: Browser, *, unreadable: int, to_approve: int) -> None:
    """Go through the pages of the dashboard, type patients into them, and open what breaks a page."""
    url = day.adit.stack.web_url
    context = chromium.new_context(base_url=url)
    token = open_session(day.adit.db, day.staff, SessionLimits.of(Settings()), address="")
    context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
    page = context.new_page()
    page.on("request", lambda request: day.addresses.append(request.url.encode()))
    page.on("framenavigated", lambda frame: day.addresses.append(frame.url.encode()))
    _search(page)
    _explore(page)
    _drop_a_broken_spreadsheet(page)
    _approve_a_part(page, to_approve)
    for path in (
        f"/?about={CONTROL}",
        "/jobs",
        *(f"/job?id={job_id}" for job_id in day.jobs[:2]),
        "/audit",
        "/review",
    ):
        page.goto(path)
        expect(page.get_by_role("heading").first).to_be_visible()
        expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    for path in (f"/job?id={unreadable}", "/jobs"):
        page.goto(path)
        expect(page.get_by_text("Something went wrong here")).to_be_visible()
        day.problems.append(page.content().encode())
    context.close()


def _search(page: Page) -> None:
    """Search an archive for selective transfers: one that answers, and one that is gone."""
    for node, said in (("Marked", HELD.study_description), ("Marked and gone", "GONE")):
        go(page, "/selective")
        choose(page, "Source", node)
        page.get_by_role("textbox", name="PatientID").fill(HELD.patient_id)
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text(said).first).to_be_visible()


def _explore(page: Page) -> None:
    go(page, "/explorer")
    choose(page, "Archive", "Marked")
    page.get_by_text("Patients", exact=True).click()
    page.get_by_role("textbox", name="PatientID").fill(HELD.patient_id)
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("table", name="Patients").get_by_role("link", name=HELD.patient_id).first.click()
    page.get_by_role("table", name="Studies").get_by_role("link").first.click()
    expect(page.get_by_role("table", name="Series")).to_be_visible()
    page.get_by_role("table", name="Series").get_by_role("link").first.click()
    expect(page.get_by_role("img", name="Frame 1 of the instance")).to_be_visible()


def _approve_a_part(page: Page, job_id: int) -> None:
    """Look ahead at a job that waits for approval, and approve the study of another patient than it says."""
    go(page, f"/job?id={job_id}")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("table", name="Studies that would be transferred")).to_be_visible(timeout=30_000)
    rows = page.get_by_role("textbox", name="Rows to approve")
    rows.fill("3")
    rows.press("Enter")
    page.get_by_role("button", name="Approve the 1 chosen").click()
    page.get_by_role("button", name="Approve 1 study").click()
    expect(page.get_by_role("button", name="Approve 1 study")).to_have_count(0)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as studies:
        page.get_by_role("button", name="Studies (.csv)").click()
    assert TYPED.patient_id in studies.value.path().read_text(encoding="utf-8")


def _drop_a_broken_spreadsheet(page: Page) -> None:
    go(page, "/batch")
    row = {"PatientID": TYPED.patient_id, "StudyInstanceUID": _WRONG}
    drop(page, row, filename=f"{TYPED.family_name}.csv")
    expect(page.get_by_text("There is something to correct")).to_be_visible()
