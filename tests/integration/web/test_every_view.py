"""Every page of the dashboard as everybody sees it: what they may see, or a sentence that says why not."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from adit_core.db import Permission, User
from adit_core.services.users import create_user
from tests.rows import TRANSFERS, allow, make_group, make_job, make_server, make_user
from tests.web_pages import Dashboard, components
from tests.web_process import PASSWORD

HOME = "home"
OPEN = (HOME, "jobs", "explorer", "profile")
NEEDED = {
    "selective": Permission.TRANSFER_SELECTED,
    "batch": Permission.TRANSFER_BATCHES,
    "query": Permission.QUERY,
    "mass": Permission.TRANSFER_MASSES,
    "upload": Permission.UPLOAD,
    "review": Permission.REVIEW_HELD_INSTANCES,
}
OF_STAFF = ("users", "groups", "nodes", "profiles", "projects", "announcements", "audit")
EVERYTHING = (*OPEN, *NEEDED, *OF_STAFF, "job")
ROLES: dict[str, tuple[Permission, ...]] = {
    "nobody": (),
    "who transfers": (*TRANSFERS, Permission.TRANSFER_UNPSEUDONYMIZED),
    "who picks": (Permission.TRANSFER_SELECTED,),
    "who has spreadsheets": (Permission.TRANSFER_BATCHES,),
    "who chooses days": (Permission.TRANSFER_MASSES,),
    "who uploads": (Permission.UPLOAD,),
    "who asks": (Permission.QUERY,),
    "who reviews": (Permission.REVIEW_HELD_INSTANCES,),
    "who may what no page needs": tuple({*Permission} - {*NEEDED.values()}),
    "who may everything": tuple(Permission),
}
Open = Callable[[User, str], AppTest]


@pytest.fixture
def backend() -> str:
    """SQLite only: what databases do differently is not decided by pages."""
    return "sqlite"


@pytest.fixture
def job_id(dashboard: Dashboard) -> int:
    """The job of somebody else."""
    return make_job(dashboard.db, owner=make_user(dashboard.db, "owner")).id


@pytest.fixture
def opened(dashboard: Dashboard, job_id: int) -> Open:
    """What opens a page; that of a job shows the job of somebody else."""

    def open_page(user: User, path: str) -> AppTest:
        query = {"id": str(job_id)} if path == "job" else {}
        return dashboard.page(user, "" if path == HOME else path, **query)

    return open_page


@pytest.mark.parametrize("role", ROLES)
def test_members_see_what_their_group_permits(dashboard: Dashboard, opened: Open, role: str, job_id: int):
    user = make_user(dashboard.db)
    group = make_group(dashboard.db, user, permissions=ROLES[role])
    allow(dashboard.db, group, make_server(dashboard.db), as_source=True, as_destination=True)

    refusals = {path: _refusal(opened(user, path)) for path in EVERYTHING}

    assert refusals == {
        **dict.fromkeys(OPEN, ""),
        **{path: "" if needed in ROLES[role] else _lacking(needed) for path, needed in NEEDED.items()},
        **dict.fromkeys(OF_STAFF, "Only staff may do this."),
        "job": f"There is no job {job_id}.",
    }


@pytest.mark.parametrize("role", ROLES)
def test_the_menu_leads_to_what_a_group_permits_only(dashboard: Dashboard, opened: Open, role: str):
    user = make_user(dashboard.db)
    make_group(dashboard.db, user, permissions=ROLES[role])

    links = {link.proto.page or HOME for link in opened(user, HOME).sidebar.get("page_link")}

    assert links == {*OPEN} | {path for path, needed in NEEDED.items() if needed in ROLES[role]}


def test_staff_see_everything(dashboard: Dashboard, opened: Open):
    chief = make_user(dashboard.db, staff=True)

    assert [path for path in EVERYTHING if _refusal(opened(chief, path))] == []


def test_these_are_all_pages(dashboard: Dashboard, opened: Open):
    chief = make_user(dashboard.db, staff=True)

    links = {link.proto.page or HOME for link in opened(chief, HOME).sidebar.get("page_link")}

    assert links == {*EVERYTHING} - {"job"}, "a job is reached from a list"


def test_who_has_to_choose_a_password_sees_nothing_else(dashboard: Dashboard, opened: Open):
    user = create_user(dashboard.db, username="eve", password=PASSWORD, staff=True, must_change_password=True)

    for path in (HOME, "selective", "users"):
        page = opened(user, path)
        assert [title.value for title in page.title] == ["Choose a password of your own"], path
        assert not components(page), path


def _refusal(page: AppTest) -> str:
    """Return why a page shows nothing, empty if it shows what it has; it never shows both."""
    assert not page.exception
    if not page.error:
        assert page.title
        return ""
    (sentence,) = page.error
    assert not components(page)
    assert not [*page.text_input, *page.selectbox]
    return sentence.value


def _lacking(permission: Permission) -> str:
    return f"You lack the permission to {permission.value}. An administrator can give it to your group."
