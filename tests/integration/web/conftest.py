"""The pages on a database of their own."""

from collections.abc import Iterator

import pytest

from adit_core.api.wiring import Wiring, connect
from adit_core.db.engine import Database
from adit_core.settings import Settings
from tests.web_pages import Dashboard
from tests.web_process import WebProcess, web_process


@pytest.fixture
def dashboard(database: Database) -> Dashboard:
    """The pages, with a scheduler in memory."""
    dashboard = Dashboard(database, Settings(prefect_ui_url="http://prefect.example:4200/"))
    connect(Wiring(dashboard.settings, database, dashboard.launcher))
    return dashboard


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """A web process that all tests use, each with users of its own."""
    with web_process(tmp_path_factory.mktemp("web")) as process:
        yield process
