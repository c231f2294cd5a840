"""The pages on a database of their own."""

import pytest

from adit_core.api.wiring import Wiring, connect
from adit_core.db.engine import Database
from adit_core.settings import Settings
from tests.web_pages import Dashboard


@pytest.fixture
def dashboard(database: Database) -> Dashboard:
    """The pages, with a scheduler in memory."""
    dashboard = Dashboard(database, Settings(prefect_ui_url="http://prefect.example:4200/"))
    connect(Wiring(dashboard.settings, database, dashboard.launcher))
    return dashboard
