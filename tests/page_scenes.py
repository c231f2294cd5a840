"""How each page of the dashboard is opened, and brought to where there is something to see on it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as NotInTime

from deployments.demo.studies import write_study
from tests.queries import sheet_of
from tests.scenery import ABDOMEN, CLINIC, KNEE, LIVER, MR, RESEARCH, STUDIES, Scenery

_SETTLED = '[data-testid="stApp"][data-test-script-state="notRunning"]'
_OPENINGS = 4
_OPENING_TIMEOUT = 5_000
"""Milliseconds."""


def settle(page: Page) -> None:
    """Wait until Streamlit has shown all that the page is to show."""
    expect(page.locator(_SETTLED)).to_be_visible()
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    page.evaluate("() => document.fonts.ready.then(() => true)")


def go(page: Page, path: str) -> None:
    """Open a page, and wait until what is typed into it is not lost to its being drawn."""
    page.goto(path)
    settle(page)


def tick(page: Page, box: Locator, value: str) -> None:
    """Add a choice to a list of which several can be chosen."""
    settle(page)
    _offered(page, box, value).click()
    page.keyboard.press("Escape")


def choose(page: Page, label: str, value: str) -> None:
    """Choose from a list, unless it is chosen already."""
    settle(page)
    box = page.get_by_role("combobox", name=label, exact=True)
    if box.input_value() != value:
        _offered(page, box, value).click()
    expect(box).to_have_value(value)


def _offered(page: Page, box: Locator, value: str) -> Locator:
    """Open a list at a value, as it shows only the first of many; again if it closes while redrawn."""
    option = page.get_by_role("option", name=value, exact=True)
    for _ in range(_OPENINGS):
        box.scroll_into_view_if_needed()
        box.clear()  # what is in it already would not be typed
        box.click()
        box.fill(value)
        with suppress(NotInTime):
            option.wait_for(timeout=_OPENING_TIMEOUT)
            break
    return option


def drop(page: Page, *rows: dict[str, str], filename: str = "studies.csv") -> None:
    """Drop a spreadsheet with these rows into the only field for files."""
    file = {"name": filename, "mimeType": "text/csv", "buffer": sheet_of(*rows)}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]


def show(page: Page, name: str, scenery: Scenery, folder: Path) -> None:
    """Open the page of that name, and do there what makes it worth looking at."""
    if name in _PATHS:
        path, words = _PATHS[name]
        page.goto(path.format_map(scenery.jobs))
        expect(page.get_by_text(words).first).to_be_visible()
    else:
        _SCENES[name](page, folder)
    if name != SIGN_IN:
        settle(page)


def _selective(page: Page, _: Path) -> None:
    go(page, "/selective")
    choose(page, "Source", CLINIC)
    page.get_by_role("textbox", name="StudyDescription").fill("*")
    page.get_by_role("button", name="Search").click()
    row = page.get_by_role("row").filter(has_text=ABDOMEN.patient_id)
    row.get_by_role("link").first.click()
    expect(page.get_by_role("table", name="Series of the study")).to_be_visible()
    row.get_by_role("checkbox").first.check()
    expect(page.get_by_text("Selected: 1 study")).to_be_visible()
    choose(page, "Destination", RESEARCH)
    choose(page, "Kept as", "One encrypted archive")
    password = page.get_by_role("textbox", name="Password of the archive")
    password.fill("for the picture only")
    password.press("Enter")
    choose(page, "Pseudonymization", LIVER)
    expect(page.get_by_role("button", name="Transfer", exact=True)).to_be_enabled()


def _batch(page: Page, _: Path) -> None:
    go(page, "/batch")
    rows = [
        {"PatientID": study.patient_id, "StudyInstanceUID": study.study_instance_uid, "Pseudonym": ""}
        for study in STUDIES
    ]
    rows[1]["PatientID"] = ""
    rows[2]["StudyInstanceUID"] = "1.2.840,5"
    drop(page, *rows)
    expect(page.get_by_text("There is something to correct in 2 rows")).to_be_visible()
    choose(page, "Source", CLINIC)
    choose(page, "Destination", RESEARCH)


def _query(page: Page, _: Path) -> None:
    go(page, "/query")
    drop(
        page,
        {"PatientID": ABDOMEN.patient_id, "PatientName": "", "Modality": "CT", "From": "2024-01-01"},
        {"PatientID": MR.patient_id, "PatientName": "", "Modality": "MR", "From": ""},
        {"PatientID": "", "PatientName": "Test^P*", "Modality": "", "From": "2024-02-01"},
    )
    expect(page.get_by_text("3 rows to ask about").first).to_be_visible()
    choose(page, "Source", CLINIC)
    expect(page.get_by_role("button", name="Query", exact=True)).to_be_visible()


def _mass(page: Page, _: Path) -> None:
    go(page, "/mass?first=2024-03-04&last=2024-03-08")
    tick(page, page.get_by_role("combobox", name="Modality").first, "CT")
    choose(page, "Source", CLINIC)
    choose(page, "Destination", RESEARCH)
    choose(page, "Pseudonymization", LIVER)
    page.get_by_role("group", name="Sample day").get_by_role("spinbutton").first.click()
    page.keyboard.type("20240305")
    page.get_by_role("button", name="Preview a day").click()
    expect(page.get_by_text("Looked at: 2024-03-05")).to_be_visible()


def _upload(page: Page, folder: Path) -> None:
    for study in (KNEE, ABDOMEN):
        write_study(study, folder / "CD" / study.patient_id)
    (folder / "CD" / "READ ME.txt").write_text("Insert this CD into a computer.")
    go(page, "/upload")
    page.locator("input.folder-input").set_input_files(folder / "CD")
    expect(page.get_by_role("table", name="Studies that were recognised")).to_be_visible()
    choose(page, "Destination", RESEARCH)
    choose(page, "Pseudonymize for project", LIVER)
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.get_by_role("table", name="Studies that would be transferred")).to_be_visible()


def _explorer(page: Page, _: Path) -> None:
    go(page, "/explorer")
    page.get_by_role("textbox", name="PatientID").fill(ABDOMEN.patient_id)
    page.get_by_role("button", name="Search", exact=True).click()
    for link in (
        page.get_by_role("table", name="Studies").get_by_role("link").first,
        page.get_by_role("table", name="Series").get_by_role("link", name="Venous"),
    ):
        expect(link).to_be_visible()
        settle(page)
        link.click()
    expect(page.get_by_role("img", name="Frame 1 of the instance")).to_be_visible()


SIGN_IN = "sign-in"
"""The one page that is not a part of the dashboard."""
_PATHS = {
    SIGN_IN: ("/", "Sign in"),
    "home": ("/", "Disk space"),
    "jobs": ("/jobs?all=true", "All abdomens of the quarter"),
    "job": ("/job?id={Liver baseline}&task={running task}", "Liver baseline"),
    "review": ("/review?image=1", "Release as it is"),
    "users": ("/users", "rosalind"),
    "groups": ("/groups", "Reviewers"),
    "nodes": ("/nodes", "Partner archive"),
    "profiles": ("/profiles", "allow-list"),
    "projects": ("/projects", LIVER),
    "announcements": ("/announcements", "ADIT is updated"),
    "audit": ("/audit", "Study transferred"),
    "profile": ("/profile", "Ada Lovelace"),
}
_SCENES: dict[str, Callable[[Page, Path], None]] = {
    "selective": _selective,
    "batch": _batch,
    "query": _query,
    "mass": _mass,
    "upload": _upload,
    "explorer": _explorer,
}
PAGES = (*_PATHS, *_SCENES)
