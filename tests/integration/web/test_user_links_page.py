"""What pages say and offer about users of an OpenID provider."""

import pytest

from adit_core.api.wiring import Wiring, connect
from adit_core.db import User
from adit_core.db.engine import Database
from adit_core.services.identities import link_identity, list_identities
from adit_core.services.users import create_user, get_user
from adit_core.settings import Settings
from tests.web_pages import Dashboard, buttons, fill, press, said
from tests.web_process import PASSWORD

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

ISSUER = "https://login.hospital.example"


@pytest.fixture
def dashboard(database: Database) -> Dashboard:
    """The pages of an ADIT with a provider, which nobody asks for anything."""
    settings = Settings(
        oidc_issuer=ISSUER,
        oidc_client_id="adit",
        oidc_name="Hospital",
        oidc_groups={"radiology": ("Readers",)},
    )
    dashboard = Dashboard(database, settings)
    connect(Wiring(settings, database, dashboard.launcher))
    return dashboard


@pytest.fixture
def root(dashboard: Dashboard) -> User:
    return create_user(dashboard.db, username="root", password=PASSWORD, staff=True)


def test_staff_link_an_account_and_take_the_link_away(dashboard: Dashboard, root: User) -> None:
    ada = create_user(dashboard.db, username="ada", password=PASSWORD)
    page = dashboard.view(root, "users", user="ada")
    assert "Signing in with Hospital" in page.subheader[0].value
    press(page, "Link")
    assert "**Subject**" in page.error[0].value

    press(fill(page, Subject="5f0c"), "Link")

    (link,) = list_identities(dashboard.db, ada)
    assert (link.issuer, link.subject, link.linked_by) == (ISSUER, "5f0c", "root")
    press(page, "Unlink")
    assert not page.error
    assert list_identities(dashboard.db, ada) == []


def test_who_signs_in_at_the_provider_is_told_what_is_decided_there(dashboard: Dashboard) -> None:
    ada = create_user(dashboard.db, username="ada", password=None)
    assert _told(dashboard, ada) == []
    link_identity(dashboard.db, "ada", issuer=ISSUER, subject="5f0c")

    (told,) = _told(dashboard, ada)

    assert told == f"You sign in with Hospital ({ISSUER}). Managed there: your name; membership of Readers."
    page = dashboard.view(ada, "account")
    assert "have no password here" in said(page)
    assert "Change password" not in buttons(page)


def test_users_of_the_provider_are_added_without_a_password(dashboard: Dashboard, root: User) -> None:
    page = dashboard.view(root, "users")
    press(fill(page, User_name="ada"), "Add user")

    assert not page.error
    assert get_user(dashboard.db, "ada").password_hash is None


def _told(dashboard: Dashboard, user: User) -> list[str]:
    notes = [note.value.replace("\\", "") for note in dashboard.view(user, "account").info]
    return [note for note in notes if note.startswith("You sign in with")]
