"""Every page with something on it: how it looks in light and dark, and whether everybody can use it.

`make screenshots` keeps the pictures in docs/screenshots.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import pictures
from tests.accessibility import serious_findings
from tests.e2e.conftest import Browsers, Conduct
from tests.page_scenes import PAGES, SIGN_IN, show
from tests.scenery import Scenery, conceal_addresses, set_up
from tests.servers import OrthancServer
from tests.web_process import WebProcess, web_process

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

_FOR_DOCS = os.environ.get("ADIT_SCREENSHOTS", "")
"""The folder that keeps the pictures; without one, they are only looked at."""
_ADDRESSED = "nodes"
"""The page that shows where nodes are; in the docs that are made-up hosts."""
_LAST = (_ADDRESSED, SIGN_IN)
"""After the one nothing reaches the nodes any more, after the other nobody is signed in."""
_WORDS_OF_PLAIN_COLOR = """links => {
    const plain = document.body.appendChild(document.createElement("a"));
    plain.href = "#";
    const color = getComputedStyle(plain).color;
    plain.remove();
    return links.flatMap(link => {
        const words = document.createTreeWalker(link, NodeFilter.SHOW_TEXT);
        const found = [];
        while (words.nextNode()) {
            const { parentElement, textContent } = words.currentNode;
            if (getComputedStyle(parentElement).color === color) found.push(textContent);
        }
        return found;
    });
}"""
"""Of all links, the words that have the colour of a link without any style."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """A web process of its own, since staff sees what other tests leave behind."""
    with web_process(tmp_path_factory.mktemp("web")) as process:
        yield process


@pytest.fixture(scope="module")
def scenery(
    web: WebProcess, running_orthanc_source: OrthancServer, tmp_path_factory: pytest.TempPathFactory
) -> Scenery:
    running_orthanc_source.clear()
    return set_up(web, running_orthanc_source, tmp_path_factory.mktemp("scenery"))


@pytest.fixture(scope="module")
def browser(scenery: Scenery, browsers: Browsers) -> Iterator[BrowserContext]:
    """A browser in which a member of staff is signed in."""
    with browsers.one(scenery.user) as context:
        yield context


@pytest.fixture
def page(browser: BrowserContext, web: WebProcess, conduct: Conduct, name: str) -> Iterator[Page]:
    if name == SIGN_IN:
        browser.clear_cookies()
    page = browser.new_page()
    page.set_viewport_size({"width": pictures.WIDTH, "height": 900})
    conduct.watch(page, web.url)
    yield page
    page.close()


@pytest.mark.parametrize("name", [*(each for each in PAGES if each not in _LAST), *_LAST])
def test_a_page_can_be_looked_at_and_used_by_everybody(
    page: Page, scenery: Scenery, name: str, tmp_path: Path
):
    if name == _ADDRESSED:
        conceal_addresses(scenery)
    show(page, name, scenery, tmp_path)
    folder = Path(_FOR_DOCS) if _FOR_DOCS else tmp_path

    for scheme in pictures.in_both_schemes(page):
        picture = folder / f"{name}-{scheme}.png"
        pictures.take(page, picture)
        pictures.check(picture, scheme)
        assert serious_findings(page) == []
        assert _links_without_style(page) == []
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_what_not_everybody_could_use_would_be_found(chromium: Browser):
    page = chromium.new_page()
    page.set_content("<html lang='en'><title>Job</title><main><h1>Job</h1><button></button></main></html>")

    assert [finding.split(":")[0] for finding in serious_findings(page)] == ["button-name"]
    page.close()


def _links_without_style(page: Page) -> list[str]:
    """Return the words of links that have the colour that the browser gives them, which no theme has."""
    return page.get_by_role("main").get_by_role("link").evaluate_all(_WORDS_OF_PLAIN_COLOR)
