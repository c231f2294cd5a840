"""A real browser in front of a real web process."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, WebSocket, expect, sync_playwright

from adit_core.db import User
from tests.servers import require
from tests.stack import RunningStack, started_stack
from tests.web_process import COOKIE, WebProcess, web_process

expect.set_options(timeout=20_000)

# Without these, Chromium asks hosts on the internet for updates, refuses to run as root, or compiles the
# dashboard anew for each page.
_OPTIONS = [
    "--no-sandbox",
    "--process-per-site",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """A web process that all tests use, each with users of its own."""
    with web_process(tmp_path_factory.mktemp("web")) as process:
        yield process


@pytest.fixture(scope="session")
def running_adit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    environment = {"ADIT_RECONCILE_INTERVAL": "3", "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with started_stack(tmp_path_factory.mktemp("stack"), environment) as stack:
        yield stack


@pytest.fixture
def adit(running_adit: RunningStack) -> Iterator[RunningStack]:
    """The processes but receiver and dashboard, which all tests use; this one is connected to them."""
    with running_adit.connected():
        yield running_adit


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium, which has to be installed.

    It ends with the module, since no other event loop can run in the thread while Playwright does.
    """
    program = require(shutil.which("chromium"), package="chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@dataclass
class Conduct:
    """What pages did that they should not, and how often they asked for news."""

    requests_to_others: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    questions: int = 0

    def watch(self, page: Page, url: str) -> None:
        """Write down what `page` of the server at `url` does from now on."""
        own = (url, url.replace("http", "ws", 1), "data:", "blob:")

        def note_request(request: Request) -> None:
            if not request.url.startswith(own):
                self.requests_to_others.append(request.url)

        def note_socket(socket: WebSocket) -> None:
            socket.on("framesent", lambda _: self._note_question())

        page.on("request", note_request)
        page.on("websocket", note_socket)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: self.errors.append(message.text) if "Security Policy" in message.text else None,
        )

    def _note_question(self) -> None:
        self.questions += 1


@pytest.fixture
def conduct() -> Iterator[Conduct]:
    """What the pages of the test do; asking other hosts and raising errors makes it fail."""
    conduct = Conduct()
    yield conduct
    assert conduct.requests_to_others == []
    assert conduct.errors == []


Visit = Callable[..., Page]


class Browsers:
    """Browsers that tests have one after another, each as if it were new, but that it knows the dashboard.

    What Chromium has compiled of the dashboard it keeps as long as one page of it is open.
    """

    def __init__(self, chromium: Browser, web: WebProcess) -> None:
        self._chromium = chromium
        self._web = web
        self._free: list[tuple[BrowserContext, Page]] = []

    @contextmanager
    def one(self, user: User | None = None) -> Iterator[BrowserContext]:
        """Take a browser that nobody has, in which `user` is signed in."""
        context, kept = self._free.pop() if self._free else self._new()
        if user is not None:
            with self._web.browser(user) as browser:
                token = browser.cookies[COOKIE]
            context.add_cookies([{"name": COOKIE, "value": token, "url": self._web.url}])
        yield context
        for page in context.pages:
            if page is not kept:
                page.close()
        kept.evaluate("() => localStorage.clear()")
        context.clear_cookies()
        self._free.append((context, kept))

    def _new(self) -> tuple[BrowserContext, Page]:
        context = self._chromium.new_context(
            base_url=self._web.url, viewport={"width": 1280, "height": 900}, timezone_id="Europe/Berlin"
        )
        kept = context.new_page()
        kept.goto("/api/health/live")
        return context, kept


@pytest.fixture(scope="module")
def browsers(chromium: Browser, web: WebProcess) -> Browsers:
    """The browsers of the tests of a module, which end with Chromium."""
    return Browsers(chromium, web)


@pytest.fixture
def visit(browsers: Browsers, web: WebProcess, conduct: Conduct) -> Iterator[Visit]:
    """Opens a page of the dashboard in a browser of its own, in which `user` is signed in."""
    with ExitStack() as taken:

        def visit(path: str = "/", *, user: User | None = None, width: int = 1280) -> Page:
            page = taken.enter_context(browsers.one(user)).new_page()
            page.set_viewport_size({"width": width, "height": 900})
            conduct.watch(page, web.url)
            page.goto(path)
            return page

        yield visit
