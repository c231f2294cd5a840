"""The API on a database of its own."""

from pathlib import Path

import pytest

from adit_core.db import User
from adit_core.db.engine import Database
from tests.api import Api, make_api
from tests.rows import let_use_api, make_user


@pytest.fixture
def api(database: Database, tmp_path: Path) -> Api:
    """The API, with a scheduler in memory."""
    return make_api(database, tmp_path)


@pytest.fixture
def ada(api: Api) -> User:
    """A user who may do nothing yet, but use the API."""
    user = make_user(api.db)
    let_use_api(api.db, user)
    return user


@pytest.fixture
def staff(api: Api) -> User:
    """A member of staff."""
    return make_user(api.db, "root", staff=True)
