"""What administrators do in a browser, and how strangers are kept out."""

import re

import pytest
from playwright.sync_api import Page, expect

from adit_core.services.groups import list_groups
from adit_core.services.nodes import usable_nodes
from adit_core.services.rights import NodeRole
from adit_core.services.sign_in_throttle import PER_PLACE
from adit_core.services.users import get_user
from tests.e2e.conftest import Conduct, Visit
from tests.page_scenes import tick
from tests.web_process import PASSWORD, WebProcess

pytestmark = pytest.mark.system

NEW_PASSWORD = "another good password"


def _sign_in(page: Page, username: str, password: str) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def _add_node(page: Page) -> None:
    page.get_by_role("link", name="Nodes", exact=True).click()
    page.get_by_text("Add a node").click()
    page.get_by_label("Name", exact=True).fill("Ward PACS")
    page.get_by_label("AE title", exact=True).fill("WARD")
    page.get_by_label("Host", exact=True).fill("ward.example.org")
    page.get_by_role("button", name="Add node").click()
    expect(page.get_by_role("heading", name="Ward PACS")).to_be_visible()


def _add_user(page: Page, username: str) -> None:
    page.get_by_role("link", name="Users", exact=True).click()
    page.get_by_text("Add a user").click()
    page.get_by_label("User name", exact=True).fill(username)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("row").filter(has_text=username)).to_contain_text("has to choose a password")


def _add_group(page: Page, username: str) -> None:
    page.get_by_role("link", name="Groups", exact=True).click()
    page.get_by_label("Name of a new group").fill("Ward")
    page.get_by_role("button", name="Add group").click()
    expect(page.get_by_role("heading", name="Ward", exact=True)).to_be_visible()
    tick(page, page.get_by_role("combobox", name="Members"), username)
    page.get_by_role("button", name="Save members").click()
    expect(page.get_by_text("Changed the members of Ward.")).to_be_visible()
    page.get_by_test_id("stMain").get_by_text("Transfer batches", exact=True).click()
    page.get_by_role("button", name="Save permissions").click()
    expect(page.get_by_text("Changed what Ward permits.")).to_be_visible()
    tick(page, page.get_by_role("combobox", name="May be used as sources"), "Ward PACS")
    page.get_by_role("button", name="Save nodes").click()
    expect(page.get_by_text("Changed the nodes of Ward.")).to_be_visible()


def test_an_admin_adds_a_node_a_user_and_a_right_and_that_user_sees_just_that(
    web: WebProcess, visit: Visit, conduct: Conduct
):
    username = "newcomer"
    page = visit(user=web.add_user(staff=True))
    _add_node(page)
    _add_user(page, username)
    _add_group(page, username)

    theirs = visit()
    _sign_in(theirs, username, PASSWORD)
    expect(theirs.get_by_role("heading", name="Choose a password of your own")).to_be_visible()
    theirs.get_by_label("Current password").fill(PASSWORD)
    theirs.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    theirs.get_by_label("New password, again").fill(NEW_PASSWORD)
    theirs.get_by_role("button", name="Change password").click()
    expect(theirs.get_by_role("heading", name="Home")).to_be_visible()
    expect(theirs.get_by_role("link", name="Batch transfer").first).to_be_visible()
    for page_of_others in ("Users", "Mass transfer"):
        expect(theirs.get_by_role("link", name=page_of_others, exact=True)).to_have_count(0)
    theirs.goto("/users")
    expect(theirs.get_by_text("Only staff may do this.")).to_be_visible()

    user = get_user(web.db, username)
    assert [node.name for node in usable_nodes(web.db, user, NodeRole.SOURCE)] == ["Ward PACS"]
    assert usable_nodes(web.db, user, NodeRole.DESTINATION) == []
    (group,) = [group for group in list_groups(web.db) if group.name == "Ward"]
    assert (group.members, group.permissions) == ((username,), ("transfer batches",))


def test_who_guesses_is_shut_out_but_not_the_user_who_can_sign_out_in_another_tab(
    web: WebProcess, visit: Visit, conduct: Conduct
):
    user = web.add_user()
    mine = visit()
    _sign_in(mine, user.username, PASSWORD)
    expect(mine.get_by_role("heading", name="Home")).to_be_visible()

    stranger = visit()
    for _ in range(PER_PLACE):
        _sign_in(stranger, user.username, "a wrong password")
        expect(stranger.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    _sign_in(stranger, user.username, PASSWORD)
    expect(stranger.get_by_role("alert")).to_have_text(re.compile("too many wrong passwords. Wait 1[45] min"))

    tab = mine.context.new_page()
    tab.goto("/")
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="ADIT")).to_be_visible()
    mine.get_by_role("link", name="Profile", exact=True).click()
    expect(mine.get_by_text("Your session has ended.")).to_be_visible()
    mine.get_by_role("link", name="Sign in again").click()
    _sign_in(mine, user.username, PASSWORD)
    expect(mine.get_by_role("heading", name="Profile")).to_be_visible()
