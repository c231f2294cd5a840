"""A selective transfer in a browser, from one real archive to another, by the real processes."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from adit_core.db import JobStatus, Permission
from adit_core.services.jobs import list_jobs
from adit_core.services.nodes import add_server
from adit_core.services.sessions import SessionLimits, open_session
from adit_core.settings import Settings
from deployments.demo.studies import write_study
from tests.e2e.conftest import Conduct
from tests.factories import ct_study
from tests.rows import allow, make_group, make_user
from tests.servers import OrthancServer
from tests.stack import RunningStack
from tests.web_process import COOKIE

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

WANTED = ct_study(3, key="wanted", patient_id="0000815", description="CT head")
OTHER = ct_study(2, key="other", patient_id="0000816", description="CT foot")


@pytest.fixture
def url(adit: RunningStack) -> Iterator[str]:
    """Where the stack's dashboard is."""
    adit.start("web", environment={"ADIT_SECURE_COOKIES": "0"})
    await_web(adit.stack.web_url)
    yield adit.stack.web_url
    adit.stop("web")


def test_somebody_searches_selects_and_watches_the_transfer_to_its_end(
    *,
    adit: RunningStack,
    url: str,
    orthanc_source: OrthancServer,
    orthanc_destination: OrthancServer,
    chromium: Browser,
    conduct: Conduct,
    tmp_path: Path,
) -> None:
    orthanc_source.archive.load(file for spec in (WANTED, OTHER) for file in write_study(spec, tmp_path))
    user = make_user(adit.db, "selector")
    group = make_group(adit.db, user, permissions=tuple(Permission))
    for name, server in (("PACS", orthanc_source), ("Research", orthanc_destination)):
        node = server.archive.node
        added = add_server(adit.db, name, ae_title=node.ae_title, host=node.host, port=node.port)
        allow(adit.db, group, added, as_source=name == "PACS", as_destination=name == "Research")
    context = chromium.new_context(base_url=url, viewport={"width": 1280, "height": 900})
    token = open_session(adit.db, user, SessionLimits.of(Settings()), address="127.0.0.1")
    context.add_cookies([{"name": COOKIE, "value": token, "url": url}])
    page = context.new_page()
    conduct.watch(page, url)
    page.goto("/selective?source=PACS")

    page.get_by_role("textbox", name="PatientID").fill("00008*")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row").filter(has_text="0000816")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="0000815")
    row.get_by_role("link", name="CT head").click()
    expect(page.get_by_role("table", name="Series of the study")).to_be_visible()
    row.get_by_role("checkbox", name="Select study CT head").check()
    expect(page.get_by_role("checkbox", name=re.compile("Select series"))).to_be_disabled()
    expect(page.get_by_text("Selected: 1 study")).to_be_visible()
    expect(page.get_by_role("combobox", name="Destination")).to_have_value("Research")
    expect(page.get_by_text("Choose a pseudonymization.")).to_be_visible()
    submit = page.get_by_role("button", name="Transfer", exact=True)
    submit.scroll_into_view_if_needed()  # a list that is open closes when the page is scrolled
    page.get_by_role("combobox", name="Pseudonymization").click()
    page.get_by_role("option", name="None: with").click()
    expect(submit).to_be_enabled()
    assert "0000815" not in page.url
    submit.dblclick()

    expect(page).to_have_url(re.compile(r"/job\?id=\d+$"))
    expect(page.get_by_text("every image is accounted for")).to_be_visible(timeout=120_000)
    (job,) = list_jobs(adit.db, user)
    assert job.status is JobStatus.SUCCESS
    assert orthanc_destination.contents().keys() == WANTED.sop_instance_uids()
    context.close()


def await_web(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{url}/api/health/live").raise_for_status()
        except httpx.HTTPError:
            assert time.monotonic() < deadline, "the web process did not start"
            time.sleep(0.3)
        else:
            return
