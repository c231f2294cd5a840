"""The page of one's own account, and what is asked of those whose password somebody else chose."""

from typing import Any

import pytest

from adit_core.db import Permission, TokenScope, User
from adit_core.services.active_group import active_group_of
from adit_core.services.sessions import SessionLimits, find_principal, open_session, session_id_of
from adit_core.services.tokens import TokenBearer, TokenState, find_bearer
from adit_core.services.users import check_password, create_user, get_user
from tests.rows import let_use_api, make_group, make_job
from tests.web_pages import Dashboard, components, fill, press, said
from tests.web_process import PASSWORD
from ui.components.sentences import verbatim

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

OTHER = "another good password"


@pytest.fixture
def ada(dashboard: Dashboard) -> User:
    return create_user(dashboard.db, username="ada", password=PASSWORD)


def change(page: Any, current: str, new: str, again: str) -> None:
    fill(page, Current_password=current, New_password=new, New_password_again=again)
    press(page, "Change password")


def test_the_password_is_changed_by_who_knows_it(dashboard: Dashboard, ada: User) -> None:
    page = dashboard.view(ada, "account")
    change(page, "wrong", OTHER, OTHER)
    assert "**Current password**" in page.error[0].value
    change(page, PASSWORD, OTHER, OTHER)

    assert not page.error
    assert check_password(dashboard.db, "ada", OTHER)
    assert "password is changed" in page.toast[0].value


def test_a_given_password_has_to_be_changed_before_anything_else(dashboard: Dashboard) -> None:
    eve = create_user(dashboard.db, username="eve", password=PASSWORD, must_change_password=True)
    make_job(dashboard.db, owner=eve)
    page = dashboard.home(eve)
    assert page.title[0].value == "Choose a password of your own"
    assert not components(page)

    change(page, PASSWORD, OTHER, OTHER)

    assert page.title[0].value == "Home"
    assert components(page)
    assert not get_user(dashboard.db, "eve").must_change_password


def test_who_may_not_use_the_api_is_offered_no_token(dashboard: Dashboard, ada: User) -> None:
    page = dashboard.view(ada, "account")

    assert "Make token" not in {button.label for button in page.button}
    assert "may not use the API" in page.info[0].value


def test_the_group_that_one_works_for_is_chosen_and_shown(dashboard: Dashboard, ada: User) -> None:
    make_group(dashboard.db, ada, permissions=(Permission.TRANSFER_BATCHES,))
    liver = make_group(dashboard.db, ada, permissions=(Permission.QUERY,))
    page = dashboard.view(ada, "account")
    next(box for box in page.selectbox if box.label == "Work for").select(liver.name)
    press(page, "Save group")

    assert active_group_of(dashboard.db, ada) == liver.name
    home = dashboard.home(get_user(dashboard.db, "ada"))
    assert f"Working for **{verbatim(liver.name)}**" in {caption.value for caption in home.sidebar.caption}
    links = {link.proto.page for link in home.sidebar.get("page_link")}
    assert "query" in links
    assert "batch" not in links


def test_a_token_is_shown_once_and_revoked_after_a_question(dashboard: Dashboard, ada: User) -> None:
    let_use_api(dashboard.db, ada)
    page = dashboard.view(ada, "account")
    press(page, "Make token")
    assert "**What it is for**" in page.error[0].value
    press(fill(page, What_it_is_for="notebook"), "Make token")
    (shown,) = page.code
    bearer = find_bearer(dashboard.db, shown.value)
    assert isinstance(bearer, TokenBearer)
    assert bearer.scopes == {TokenScope.READ}
    assert bearer.until is not None
    pills = next(group for group in page.button_group if group.label == "What it may be used for")
    assert "admin" not in pills.options

    page.run()
    assert not page.code
    press(page, "Revoke")
    page.button(key="confirm").click().run()
    assert find_bearer(dashboard.db, shown.value) is TokenState.REVOKED


def test_notifications_and_time_zone_are_ones_own_choice(dashboard: Dashboard, ada: User) -> None:
    page = dashboard.view(ada, "account")
    page.checkbox[0].check()
    press(page, "Save notifications")
    assert "**E-mail address**" in page.error[0].value.replace("\\", "")
    press(fill(page, **{"E-mail_address": "ada@hospital.org"}), "Save notifications")
    zone = next(box for box in page.selectbox if box.label == "Time zone")
    zone.select("Asia/Tokyo")
    press(page, "Save time zone")

    user = get_user(dashboard.db, "ada")
    assert (user.notify_by_email, user.email, user.time_zone) == (True, "ada@hospital.org", "Asia/Tokyo")
    assert "JST" in said(page)


def test_other_sessions_are_ended(dashboard: Dashboard, ada: User) -> None:
    limits = SessionLimits.of(dashboard.settings)
    token = open_session(dashboard.db, ada, limits, address="10.9.8.7")
    page = dashboard.view(ada, "account")
    assert r"10\.9\.8\.7" in said(page)

    press(page, "End")

    assert find_principal(dashboard.db, session_id_of(token), limits) is None
    assert not [button for button in page.button if button.label == "End"]
