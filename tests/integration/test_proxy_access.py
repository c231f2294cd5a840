"""Which archive somebody means who names it to the DICOMweb proxy, with either database."""

import pytest

from adit_core.db import User
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotFound
from adit_core.services.proxy_access import SEARCH, ProxyVisitor, enter
from tests.rows import make_server, make_user


@pytest.fixture
def staff(database: Database) -> User:
    return make_user(database, staff=True)


def entered(database: Database, staff: User, called: str) -> str:
    return enter(ProxyVisitor(database, staff), called, SEARCH).node.name


def test_archive_is_called_by_its_ae_title_or_the_name_of_its_node(database: Database, staff: User):
    make_server(database, "Archive", ae_title="PACS")
    assert entered(database, staff, "PACS") == entered(database, staff, "Archive") == "Archive"


def test_name_of_a_node_goes_before_the_ae_title_of_another(database: Database, staff: User):
    make_server(database, "Archive", ae_title="PACS")
    make_server(database, "PACS", ae_title="OTHER")
    assert entered(database, staff, "PACS") == "PACS"


def test_ae_title_of_several_nodes_is_no_answer(database: Database, staff: User):
    for name in ("One", "Other"):
        make_server(database, name, ae_title="PACS")
    with pytest.raises(InvalidInput, match="One, Other"):
        entered(database, staff, "PACS")


@pytest.mark.parametrize("called", ["NOBODY", "pacs", "PA\0CS", "PACS\0", "", "%", "\N{SNOWMAN}"])
def test_what_no_archive_is_called_is_not_found(database: Database, staff: User, called: str):
    make_server(database, "Archive", ae_title="PACS")
    with pytest.raises(NotFound):
        entered(database, staff, called)


def test_retired_node_is_not_found(database: Database, staff: User):
    make_server(database, "Archive", ae_title="PACS", retired_at=utc_now())
    with pytest.raises(NotFound):
        entered(database, staff, "PACS")
