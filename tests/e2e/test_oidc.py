"""Signing in by an OpenID provider, with a browser and a provider that others have written."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from adit_core.db import Permission
from adit_core.services.groups import add_group, list_groups
from adit_core.services.users import get_user
from deployments.demo.processes import HOST, on_free_ports, start_server
from tests.rows import TRANSFERS
from tests.web_process import WebProcess, web_process

pytestmark = pytest.mark.system

SUBJECT = "5f0c9b1e"
CLAIMS = {
    "sub": SUBJECT,
    "preferred_username": "ada",
    "name": "Ada Lovelace",
    "email": "ada@hospital.example",
    "groups": ["radiology", "choir"],
}


@pytest.fixture(scope="module")
def provider_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("provider") / "provider.log"
    program = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--host", HOST]
    server = on_free_ports(
        1,
        lambda ports: start_server(
            [*program, "--port", str(ports[0]), "--user-claims", json.dumps(CLAIMS)], ports=ports, log=log
        ),
    )
    with server:
        yield f"http://{HOST}:{server.port}"


@pytest.fixture(scope="module")
def web(provider_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    settings = {
        "oidc_issuer": provider_url,
        "oidc_client_id": "adit",
        "oidc_client_secret": "secret of the client",
        "oidc_name": "Hospital",
        "oidc_groups": json.dumps({"radiology": "Readers", "pacs": "Keepers"}),
        "oidc_staff_groups": json.dumps(["pacs"]),
    }
    with web_process(tmp_path_factory.mktemp("web"), **settings) as process:
        add_group(process.db, "Readers", [Permission.QUERY])
        add_group(process.db, "Keepers", [*TRANSFERS])
        yield process


@pytest.fixture
def page(chromium: Browser, web: WebProcess) -> Iterator[Page]:
    """A browser of its own, which reaches this machine only: the provider's pages want more."""
    context = chromium.new_context(base_url=web.url, viewport={"width": 1280, "height": 900})
    context.route(re.compile("^https:"), _block)
    yield context.new_page()
    context.close()


def _block(route: Route) -> None:
    route.abort()


def test_a_user_of_the_provider_comes_in_with_just_the_mapped_groups_and_goes_out_of_both(
    web: WebProcess, page: Page, provider_url: str, tmp_path: Path
):
    page.goto("/profile")
    page.get_by_role("link", name="Sign in with Hospital").click()
    expect(page.get_by_text("Authorize Client")).to_be_visible()
    page.get_by_role("button", name=SUBJECT).click()

    expect(page.get_by_text(f"You sign in with Hospital ({provider_url})")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("membership of Keepers, Readers")).to_be_visible()
    expect(page.get_by_text("You sign in elsewhere, and have no password here.")).to_be_visible()
    page.get_by_role("link", name="Home", exact=True).click()
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    user = get_user(web.db, "ada")
    assert (user.full_name, user.is_staff) == ("Ada Lovelace", False)
    assert [group.name for group in list_groups(web.db) if "ada" in group.members] == ["Readers"]

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="End Session")).to_be_visible()
    assert page.url == f"{provider_url}/oauth2/end_session"
    page.get_by_role("button", name="End session").click()
    expect(page.get_by_role("link", name="Sign in with Hospital")).to_be_visible()
    assert page.url == f"{web.url}/auth/sign-in"
    page.goto("/")
    expect(page.get_by_label("Password")).to_be_visible()


def test_who_changes_their_mind_at_the_provider_is_back_at_the_form(page: Page):
    page.goto("/auth/sign-in")
    page.get_by_role("link", name="Sign in with Hospital").click()
    page.get_by_role("button", name="Deny").click()

    expect(page.get_by_role("alert")).to_contain_text("Signing in with Hospital was not completed.")
    expect(page.get_by_role("link", name="Sign in with Hospital")).to_be_visible()
    expect(page.get_by_label("User name")).to_be_visible()
