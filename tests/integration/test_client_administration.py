"""AditClient administers: accounts, groups, nodes, policies, connection profiles, announcements."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adit_core.client import AditClient, InvalidRequest, NotAllowed, NotFound, NotSignedIn
from adit_core.db import TokenScope, User
from adit_core.db.secrets import new_key
from adit_core.services.tokens import create_token
from adit_core.services.users import get_user
from tests.rows import let_use_api
from tests.web_process import PASSWORD, WebProcess, web_process

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    with web_process(tmp_path_factory.mktemp("web"), secret_keys=new_key()) as web:
        yield web


def client_of(web: WebProcess, user: User) -> AditClient:
    scopes = frozenset(TokenScope) if user.is_staff else frozenset({TokenScope.READ})
    let_use_api(web.db, user)
    token = create_token(web.db, user, name="tests", scopes=scopes).token
    return AditClient(web.url, token)


@pytest.fixture
def adit(web: WebProcess) -> Iterator[AditClient]:
    """A client of a member of staff."""
    with client_of(web, web.add_user(staff=True)) as client:
        yield client


def test_an_account_is_added_changed_and_signs_in(adit: AditClient, web: WebProcess):
    added = adit.add_user("ada", password=PASSWORD, full_name="Ada L.", email="ada@example.org")
    changed = adit.change_user("ada", needs_approval=True, notify_by_email=True)
    adit.set_password("ada", PASSWORD[::-1])

    let_use_api(web.db, get_user(web.db, "ada"))
    with pytest.raises(NotSignedIn):
        AditClient.sign_in(web.url, "ada", PASSWORD)
    with AditClient.sign_in(web.url, "ada", PASSWORD[::-1]) as ada:
        assert (ada.me().username, ada.me().needs_approval) == ("ada", True)
        with pytest.raises(NotAllowed):
            ada.users()
    assert (added.full_name, added.notify_by_email, changed.notify_by_email) == ("Ada L.", False, True)
    assert adit.user("ada") == changed
    assert changed in adit.users()
    assert not adit.change_user("ada", is_active=False).is_active


def test_a_group_gets_members_permissions_and_nodes(adit: AditClient, web: WebProcess):
    bob = web.add_user()
    adit.add_folder("Group folder", path="/group")
    group = adit.add_group("Neuro", ["query"])

    adit.set_permissions(group.id, ["transfer batches", "view link table"])
    adit.add_member(group.id, bob.username)
    full = adit.set_node_access(group.id, "Group folder", as_source=True, as_destination=False)

    assert (full.permissions, full.members) == (("transfer batches", "view link table"), (bob.username,))
    assert [(each.node, each.as_source, each.as_destination) for each in full.nodes] == [
        ("Group folder", True, False)
    ]
    assert (adit.group(group.id), full in adit.groups()) == (full, True)
    with client_of(web, bob) as bobs:
        assert [(node.name, node.roles) for node in bobs.nodes()] == [("Group folder", ("source",))]
    assert adit.remove_member(group.id, bob.username).members == ()
    adit.remove_group(group.id)
    with pytest.raises(NotFound):
        adit.group(group.id)


def test_nodes_of_all_kinds_are_added_moved_and_removed(adit: AditClient):
    profile = adit.add_connection_profile("patient", silence_timeout=5)
    added = adit.add_server("A/1", ae_title="A", host="old.example.org", port=104, services=["C-FIND"])
    server = adit.change_server("A/1", host="new.example.org", port=11112, connection_profile="patient")
    adit.add_web_server("W", base_url="https://old.example.org", services=["QIDO-RS"])
    web = adit.change_web_server("W", base_url="https://new.example.org", prefixes={"QIDO-RS": "qido"})
    adit.add_folder("F", path="/old", storage={"form": "7z", "password": "sesame"})
    folder = adit.change_folder("F", path="/new", max_associations=1)

    assert (added.host, added.port, added.services) == ("old.example.org", 104, ("C-FIND",))
    assert (server.host, server.port, server.services) == ("new.example.org", 11112, ("C-FIND",))
    assert server.connection_profile == profile.name
    assert (web.base_url, web.services, web.prefixes) == (
        "https://new.example.org",
        ("QIDO-RS",),
        {"QIDO-RS": "qido"},
    )
    assert (folder.path, folder.storage, folder.max_associations) == ("/new", "7z", 1)
    assert [node for node in adit.all_nodes() if node in (server, web, folder)] == [server, folder, web]
    with pytest.raises(InvalidRequest) as refused:
        adit.change_server("A/1", host="no host")
    assert [problem.field for problem in refused.value.errors] == ["host"]
    assert adit.resume_node("A/1") == server
    assert [adit.remove_node(name) for name in ("A/1", "W", "F")] == ["deleted"] * 3
    assert adit.retired_nodes() == []
    with pytest.raises(NotFound):
        adit.restore_node("A/1")


def test_a_policy_is_set(adit: AditClient):
    adit.add_server("P", ae_title="P", host="pacs.example.org", port=104)

    set_ = adit.change_policy("P", windows=["Mon-Fri 20:00-06:00"], time_zone="Europe/Berlin", find_limit=9)

    assert (set_.open, set_.find_limit) == ("Mon-Fri 20:00-06:00 (Europe/Berlin)", 9)
    assert adit.policy("P").find_limit == 9
    assert adit.change_policy("P", windows=[]).closed == ""


def test_connection_profiles_keep_their_secrets(adit: AditClient):
    added = adit.add_connection_profile(
        "web", credentials={"kind": "basic", "username": "adit", "password": "sesame"}, connect_timeout=3
    )
    replaced = adit.replace_connection_profile("web", connect_timeout=4)

    assert (added.credentials, added.connect_timeout, "sesame" in str(added)) == ("basic", 3, False)
    assert (replaced.credentials, replaced.connect_timeout) == (None, 4)
    assert (adit.connection_profile("web"), replaced in adit.connection_profiles()) == (replaced, True)
    adit.remove_connection_profile("web")
    assert replaced not in adit.connection_profiles()


def test_everybody_is_told(adit: AditClient):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    now = adit.announce("Now.", importance="warning")
    later = adit.announce("Later.", starts_at=tomorrow)

    assert [each.message for each in adit.announcements()] == ["Now."]
    assert {each.id for each in adit.all_announcements()} == {now.id, later.id}
    for each in (now, later):
        adit.remove_announcement(each.id)
    assert adit.all_announcements() == []
    begun = adit.begin_maintenance("The archive is moved.")
    assert (begun.is_on, adit.maintenance().message) == (True, "The archive is moved.")
    assert not adit.end_maintenance().is_on
