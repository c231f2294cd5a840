"""The pages of administration: only for staff, down to what the database holds."""

from typing import Any

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, JobStatus, NodeKind, Permission, PseudonymSource, User
from adit_core.db.audit import AuditAction
from adit_core.dicom.credentials import BasicCredentials
from adit_core.dicom.node import ConnectionProfile, Service
from adit_core.services.announcements import current_announcements
from adit_core.services.audit import record
from adit_core.services.groups import UsableBy, add_group, list_groups, show_group
from adit_core.services.maintenance import maintenance_now
from adit_core.services.node_policies import get_policy
from adit_core.services.nodes import get_node, list_nodes, services_of
from adit_core.services.opening_hours import OpeningHours
from adit_core.services.profiles import add_profile, get_profile, list_profiles, profile_value
from adit_core.services.projects import add_project, get_project, groups_of_project
from adit_core.services.users import check_password, get_user
from tests.rows import make_folder, make_job, make_server, make_user
from tests.web_pages import Dashboard, components, fill, press, rows, said
from tests.web_process import PASSWORD

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

PAGES = ("users", "groups", "nodes", "deid_profiles", "projects", "announcements", "audit")


@pytest.fixture
def root(dashboard: Dashboard) -> User:
    return make_user(dashboard.db, "root", staff=True)


@pytest.mark.parametrize("name", PAGES)
def test_only_staff_see_administration(dashboard: Dashboard, root: User, name: str) -> None:
    make_server(dashboard.db, "Secret PACS")

    page = dashboard.view(make_user(dashboard.db, "ada"), name)
    assert [error.value for error in page.error] == ["Only staff may do this."]
    assert not components(page)
    assert not page.button
    assert "Secret PACS" not in said(page)
    allowed = dashboard.view(root, name)
    assert not allowed.error
    assert not allowed.exception


def test_a_user_is_added_who_has_to_choose_a_password(dashboard: Dashboard, root: User) -> None:
    page = dashboard.view(root, "users")
    fill(page, User_name="Ada", Password="short", Full_name="Ada L.")
    press(page, "Add user")
    assert "**Password**: The password is too short" in page.error[0].value.replace("\\", "")

    fill(page, Password=PASSWORD)
    press(page, "Add user")

    user = check_password(dashboard.db, "ada", PASSWORD)
    assert user is not None
    assert (user.full_name, user.is_staff, user.must_change_password) == ("Ada L.", False, True)
    assert [row["User"] for row in rows(page)] == ["ada\nhas to choose a password", "root"]
    assert "Added the user ada" in page.toast[0].value


def test_a_user_is_changed_but_not_by_oneself_locked_out(dashboard: Dashboard, root: User) -> None:
    make_user(dashboard.db, "ada")
    page = dashboard.view(root, "users", user="ada")
    next(box for box in page.checkbox if box.label == "May sign in").uncheck()
    fill(page, Full_name="Ada L.")
    press(page, "Save")
    assert not page.error
    ada = get_user(dashboard.db, "ada")
    assert (ada.full_name, ada.is_active) == ("Ada L.", False)

    own = dashboard.view(root, "users", user="root")
    next(box for box in own.checkbox if box.label == "Staff").uncheck()
    press(own, "Save")
    assert "**Staff**" in own.error[0].value
    assert get_user(dashboard.db, "root").is_staff


def test_a_group_is_given_members_permissions_and_nodes(dashboard: Dashboard, root: User) -> None:
    make_user(dashboard.db, "ada")
    make_server(dashboard.db)
    make_folder(dashboard.db)
    page = dashboard.view(root, "groups")
    press(fill(page, Name_of_a_new_group="Neuro"), "Add group")
    (group,) = list_groups(dashboard.db)
    page = dashboard.view(root, "groups", id=group.id)

    _multiselect(page, "Members").set_value(["ada"])
    press(page, "Save members")
    next(box for box in page.checkbox if box.label == "Transfer batches").check()
    press(page, "Save permissions")
    _multiselect(page, "May be used as sources").set_value(["PACS"])
    _multiselect(page, "May be used as destinations").set_value(["Export"])
    press(page, "Save nodes")

    changed = show_group(dashboard.db, group.id)
    assert (changed.members, changed.permissions) == (("ada",), (Permission.TRANSFER_BATCHES,))
    assert changed.nodes == (UsableBy("Export", False, True), UsableBy("PACS", True, False))
    with dashboard.db.reading() as session:
        changes = [
            event.details["changed"]
            for event in session.exec(select(AuditEvent))
            if event.action is AuditAction.GROUP_CHANGED
        ]
    assert changes == ["added", "members", "permissions", "nodes"]


def test_a_group_is_removed_after_a_question(dashboard: Dashboard, root: User) -> None:
    group = add_group(dashboard.db, "Neuro")
    page = dashboard.view(root, "groups", id=group.id)

    press(page, "Remove group")
    assert list_groups(dashboard.db)
    page.button(key="confirm").click().run()

    assert list_groups(dashboard.db) == []
    assert "There are no groups yet" in said(page)


def test_a_server_is_added_and_changed_and_what_is_wrong_is_said_by_field(
    dashboard: Dashboard, root: User
) -> None:
    page = dashboard.view(root, "nodes")
    fill(page, Name="PACS", AE_title="PACS", Host="no host!")
    press(page, "Add node")
    assert "**Host**" in page.error[0].value
    press(fill(page, Host="pacs.example.org"), "Add node")
    assert page.query_params["node"] == "PACS"

    page = dashboard.view(root, "nodes", node="PACS")
    fill(page, Host="127.0.0.1", Our_AE_title="RESEARCH")
    page.number_input[0].set_value(11112)
    pills = next(group for group in page.button_group if group.label == "Services")
    pills.set_value([Service.FIND, Service.MOVE])
    press(page, "Save settings")

    node = get_node(dashboard.db, "PACS")
    assert (node.host, node.port, node.calling_ae_title) == ("127.0.0.1", 11112, "RESEARCH")
    assert services_of(node) == {Service.FIND, Service.MOVE}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (NodeKind.WEB, {"Base_URL": "https://pacs.example.org/dicom-web"}, "base_url"),
        (NodeKind.FOLDER, {"Path": "/research/incoming"}, "path"),
    ],
)
def test_nodes_of_other_kinds_are_added(
    dashboard: Dashboard, root: User, kind: NodeKind, fields: dict[str, str], expected: str
) -> None:
    page = dashboard.view(root, "nodes")
    next(group for group in page.button_group if group.label == "Kind").set_value(kind).run()
    fill(page, Name="Research", **fields)
    press(page, "Add node")

    (node,) = list_nodes(dashboard.db)
    assert (node.kind, getattr(node, expected)) == (kind, next(iter(fields.values())))


def test_an_archive_that_is_not_there_fails_its_test_in_words(dashboard: Dashboard, root: User) -> None:
    make_server(dashboard.db, host="127.0.0.1", port=1)

    page = press(dashboard.view(root, "nodes", node="PACS"), "Test the node")

    assert "Jobs will fail" in page.error[0].value
    assert "**connection**" in page.error[1].value


def test_a_folder_passes_its_test(dashboard: Dashboard, root: User, tmp_path: Any) -> None:
    make_folder(dashboard.db, path=str(tmp_path))

    page = press(dashboard.view(root, "nodes", node="Export"), "Test the node")

    assert "in all ways" in page.success[0].value
    assert "free" in said(page)


def test_a_policy_is_edited_as_a_week(dashboard: Dashboard, root: User) -> None:
    node = make_server(dashboard.db)
    page = dashboard.view(root, "nodes", node="PACS")
    editor = f"windows-{node.id}"

    def edit(**cells: str) -> None:
        page.session_state[editor] = {"edited_rows": {0: cells}, "added_rows": [], "deleted_rows": []}
        press(page, "Save policy")

    edit(Day="Mon", From="8 pm", Until="06:00")
    assert "**Weekly windows**" in page.error[0].value
    edit(**{"Day": "Mon", "Last day": "Fri", "From": "20:00", "Until": "06:00"})

    policy = get_policy(dashboard.db, "PACS")
    assert OpeningHours(policy.windows, policy.time_zone).in_words() == "Mon-Fri 20:00-06:00 (UTC)"


def test_a_folder_is_given_a_quota(dashboard: Dashboard, root: User) -> None:
    make_folder(dashboard.db)
    page = dashboard.view(root, "nodes", node="Export")
    next(each for each in page.number_input if each.label == "Quota in GB").set_value(1.5)
    press(page, "Save policy")
    assert get_policy(dashboard.db, "Export").quota_bytes == 1_500_000_000


def test_a_node_is_removed_after_a_question_and_restored(dashboard: Dashboard, root: User) -> None:
    make_job(dashboard.db, owner=root, status=JobStatus.SUCCESS)
    page = dashboard.view(root, "nodes", node="source of root")

    press(page, "Remove this node")
    assert len(list_nodes(dashboard.db)) == 2
    page.button(key="confirm").click().run()
    assert [node.name for node in list_nodes(dashboard.db)] == ["destination of root"]

    press(dashboard.view(root, "nodes"), "Restore")
    assert len(list_nodes(dashboard.db)) == 2


def test_the_secrets_of_a_connection_profile_are_never_shown_but_stay(
    dashboard: Dashboard, root: User
) -> None:
    page = dashboard.view(root, "nodes", part="profiles")
    page.selectbox[0].select("basic").run()
    fill(page, Name="hospital", User_name="adit", Password="s3cret-word")
    press(page, "Add connection profile")
    assert get_profile(dashboard.db, "hospital").credentials is not None

    page = dashboard.view(root, "nodes", part="profiles", profile="hospital")
    assert "s3cret-word" not in str([field.value for field in page.text_input]) + said(page)
    page.number_input[0].set_value(33.0)
    press(page, "Save connection profile")

    value = profile_value(dashboard.db, get_profile(dashboard.db, "hospital").id)
    assert (value.connect_timeout, value.credentials) == (33.0, BasicCredentials("adit", "s3cret-word"))
    press(page, "Remove")
    page.button(key="confirm").click().run()
    assert list_profiles(dashboard.db) == []


def test_a_profile_in_use_says_why_it_stays(dashboard: Dashboard, root: User) -> None:
    profile = add_profile(dashboard.db, "slow", ConnectionProfile())
    make_server(dashboard.db, connection_profile_id=profile.id)
    page = press(dashboard.view(root, "nodes", part="profiles", profile="slow"), "Remove")
    page.button(key="confirm").click().run()

    assert "is in use by PACS" in page.error[0].value


def test_a_project_is_added_and_opened_to_a_group(dashboard: Dashboard, root: User) -> None:
    add_group(dashboard.db, "Neuro")
    page = dashboard.view(root, "projects")
    press(fill(page, Name="Trial", Clinical_Trial_Protocol_ID="T-1"), "Add project")

    page = dashboard.view(root, "projects", project="Trial")
    box = next(box for box in page.selectbox if box.label == "Pseudonyms that nobody gives")
    box.select(PseudonymSource.RANDOM)
    press(page, "Save project")
    page.multiselect[0].set_value(["Neuro"])
    press(page, "Save groups")

    project = get_project(dashboard.db, "Trial")
    assert (project.trial_protocol_id, project.pseudonyms) == ("T-1", PseudonymSource.RANDOM)
    assert (project.profile.name, groups_of_project(dashboard.db, "Trial")) == ("research", ["Neuro"])


def test_a_profile_from_a_file_is_read_or_refused_by_field(dashboard: Dashboard, root: User) -> None:
    add_project(dashboard.db, "Trial")
    page = dashboard.view(root, "projects", project="Trial")
    next(box for box in page.selectbox if box.label == "Profile").select("file").run()
    press(page, "Save project")
    assert "Choose the file" in page.error[0].value
    page.file_uploader[0].set_value(("own.yaml", b"name: own\nversion: 0\n", "application/yaml")).run()
    press(page, "Save project")
    assert "version" in page.error[0].value
    assert get_project(dashboard.db, "Trial").profile.name == "research"

    page.file_uploader[0].set_value(("own.yaml", b"name: own\nversion: 3\n", "application/yaml")).run()
    press(page, "Save project")
    assert get_project(dashboard.db, "Trial").profile.version == 3

    shown = dashboard.view(root, "deid_profiles")
    listed = [(row["Profile"], row["Version"], row["Used by"]) for row in rows(shown)]
    assert ("own\ngiven by a project", "3", "Trial") in listed


def test_announcements_and_maintenance_mode_are_switched(dashboard: Dashboard, root: User) -> None:
    page = dashboard.view(root, "announcements")
    press(page, "Announce")
    assert "**Sentence**" in page.error[0].value
    page.text_area[0].input("The *PACS* moves.")
    press(page, "Announce")
    fill(page, What_those_are_told_who_want_to_submit_a_job="Back at 20:00.")
    press(page, "Switch maintenance mode on")

    assert [row.message for row in current_announcements(dashboard.db)] == ["The *PACS* moves."]
    assert maintenance_now(dashboard.db) is not None
    seen = dashboard.home(make_user(dashboard.db, "ada"))
    assert "Back at 20:00" in seen.warning[0].value.replace("\\", "")
    assert seen.info[0].value == r"The \*PACS\* moves\."

    press(page, "Switch maintenance mode off")
    press(page, "Remove")
    assert (maintenance_now(dashboard.db), current_announcements(dashboard.db)) == (None, [])


def test_the_audit_trail_is_searched_page_by_page(dashboard: Dashboard, root: User) -> None:
    for number in range(60):
        add_group(dashboard.db, f"G{number}", actor=root)
    page = dashboard.view(root, "audit", actor="root")
    assert rows(page)[1]["About"].startswith("group G59")
    assert len(rows(page)) == 50

    press(page, "Older")
    assert len(rows(page)) == 11, "the rest, and that root signed in"
    page.multiselect[0].set_value([AuditAction.SIGNED_IN]).run()
    assert [row["Event"] for row in rows(page)] == ["Signed in"]
    assert "before" not in page.query_params


def test_the_audit_trail_is_in_words(dashboard: Dashboard, root: User) -> None:
    with dashboard.db.session() as session:
        record(session, AuditAction.JOB_SUBMITTED, actor=root, object_id=7, urgent=True, tries=1, noted=False)
        session.commit()
    page = dashboard.view(root, "audit", actor="root")
    assert rows(page)[1]["About"] == "7\nurgent: yes\ntries: 1\nnoted: no"


def test_the_menu_offers_administration_to_staff_only(dashboard: Dashboard, root: User) -> None:
    ada = make_user(dashboard.db, "ada")

    def links(user: User) -> set[str]:
        return {link.proto.label for link in dashboard.home(user).get("page_link")}

    assert {"Users", "Audit", "Profile"} <= links(root)
    assert links(ada).isdisjoint({"Users", "Groups", "Nodes", "Profiles", "Projects", "Audit"})
    assert "Profile" in links(ada)


def _multiselect(page: Any, label: str) -> Any:
    return next(field for field in page.multiselect if field.label == label)
