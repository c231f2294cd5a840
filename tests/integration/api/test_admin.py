"""Administration through the API: only for staff, audited, and telling what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from adit_core.db import JobStatus, Permission, TokenScope, User
from adit_core.dicom.node import ArchiveNode
from adit_core.services.disk_watch import watch_disks
from adit_core.services.nodes import get_node, node_value
from adit_core.services.users import check_password, get_user
from adit_core.settings import Settings
from tests.api import Api
from tests.rows import let_use_api, make_job, make_server, make_user

PASSWORD = "correct horse battery staple"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/audit"),
        ("GET", "/v1/admin/users"),
        ("GET", "/v1/admin/groups"),
        ("GET", "/v1/admin/nodes"),
        ("GET", "/v1/admin/profiles"),
        ("GET", "/metrics"),
        ("DELETE", "/v1/admin/groups/1"),
    ],
)
def test_only_staff_administer(api: Api, ada: User, staff: User, method: str, path: str):
    assert api.caller(ada).problem(method, path)["status"] == 403
    assert api.session(ada, **{"Sec-Fetch-Site": "same-origin"}).problem(method, path)["status"] == 403
    if path.startswith("/v1"):
        assert api.caller(staff, TokenScope.READ, TokenScope.JOBS).problem(method, path)["status"] == 403


def test_accounts_are_added_changed_and_closed(api: Api, staff: User):
    caller = api.caller(staff)
    added = caller.json("POST", "/v1/admin/users", json={"username": "Bob", "password": PASSWORD})
    let_use_api(api.db, get_user(api.db, "bob"))
    bobs = api.stranger().json("POST", "/v1/sign-in", json={"username": "bob", "password": PASSWORD})

    closed = caller.json("PATCH", "/v1/admin/users/bob", json={"is_active": False, "full_name": "Bob B."})

    assert (added["username"], added["is_active"], "password_hash" in added) == ("bob", True, False)
    assert (closed["is_active"], closed["full_name"], closed["is_staff"]) == (False, "Bob B.", False)
    assert api.stranger(Authorization=f"Bearer {bobs['token']}").problem("GET", "/v1/me")["status"] == 401
    assert [user["username"] for user in caller.json("GET", "/v1/admin/users")] == ["bob", "root"]
    assert caller.problem("GET", "/v1/admin/users/nobody")["status"] == 404
    answer = caller.send("PUT", "/v1/admin/users/bob/password", json={"password": PASSWORD[::-1]})
    assert answer.status_code == 204
    caller.json("PATCH", "/v1/admin/users/bob", json={"is_active": True})
    assert check_password(api.db, "bob", PASSWORD[::-1])


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        ({"username": "no spaces", "password": "short", "email": "x"}, ["username", "password", "email"]),
        ({"username": "root", "password": PASSWORD}, ["username"]),
        ({"username": "bob", "notify_by_email": True}, ["email"]),
    ],
)
def test_accounts_that_cannot_be_are_refused(api: Api, staff: User, sent: dict[str, Any], fields: list[str]):
    problem = api.caller(staff).problem("POST", "/v1/admin/users", json=sent)

    assert [error["field"] for error in problem["errors"]] == fields


def test_nobody_closes_the_own_account(api: Api, staff: User):
    for change in ({"is_active": False}, {"is_staff": False}):
        assert api.caller(staff).problem("PATCH", "/v1/admin/users/root", json=change)["status"] == 422


def test_groups_are_given_members_permissions_and_nodes(api: Api, ada: User, staff: User):
    make_server(api.db, "PACS/1")
    caller = api.caller(staff)

    group = caller.json("POST", "/v1/admin/groups", json={"name": "Neuro", "permissions": ["query"]})
    path = f"/v1/admin/groups/{group['id']}"
    caller.json("PUT", f"{path}/members/ada")
    caller.json("PUT", f"{path}/members/ada")
    caller.json("PUT", f"{path}/permissions", json={"permissions": ["transfer batches", "view link table"]})
    access = {"node": "PACS/1", "as_source": True, "as_destination": False}
    shown = caller.json("PUT", f"{path}/nodes", json=access)

    assert shown == {
        "id": group["id"],
        "name": "Neuro",
        "permissions": ["transfer batches", "view link table"],
        "members": ["ada"],
        "nodes": [access],
    }
    assert api.caller(ada).json("GET", "/v1/me")["permissions"] == [
        Permission.TRANSFER_BATCHES,
        Permission.USE_API,
        Permission.VIEW_LINK_TABLE,
    ]
    assert [node["name"] for node in api.caller(ada).json("GET", "/v1/nodes")] == ["PACS/1"]
    assert caller.problem("POST", "/v1/admin/groups", json={"name": "Neuro"})["status"] == 422
    assert caller.json("DELETE", f"{path}/members/ada")["members"] == []
    assert caller.send("DELETE", path).status_code == 204
    assert caller.problem("GET", path)["status"] == 404
    assert api.caller(ada).json("GET", "/v1/nodes") == []


def test_nodes_and_policies_are_set(api: Api, staff: User, tmp_path):
    caller = api.caller(staff)
    server = {"name": "PACS/2", "ae_title": "PACS", "host": "pacs.example.org", "port": 104}

    added = caller.json("POST", "/v1/admin/nodes/servers", json=server)
    web = {"name": "WEB", "base_url": "https://pacs.example.org/dicom-web"}
    caller.json("POST", "/v1/admin/nodes/web-servers", json=web)
    caller.json("POST", "/v1/admin/nodes/folders", json={"name": "Export", "path": str(tmp_path)})
    changed = caller.json("PATCH", "/v1/admin/nodes/servers/PACS/2", json={"services": ["C-FIND", "C-MOVE"]})
    policy = {"windows": ["Mon-Fri 20:00-06:00"], "time_zone": "Europe/Berlin", "instances_per_second": 20}
    told = caller.json("PATCH", "/v1/admin/policies/PACS/2", json=policy)

    assert (added["services"], changed["services"]) == (["C-FIND", "C-GET", "C-STORE"], ["C-FIND", "C-MOVE"])
    assert [node["name"] for node in caller.json("GET", "/v1/admin/nodes")] == ["Export", "PACS/2", "WEB"]
    assert (told["open"], told["instances_per_second"]) == ("Mon-Fri 20:00-06:00 (Europe/Berlin)", 20)
    assert caller.json("GET", "/v1/admin/policies/PACS/2")["open"] == told["open"]
    assert caller.json("POST", "/v1/admin/nodes/resume/PACS/2")["name"] == "PACS/2"
    problem = caller.problem(
        "POST", "/v1/admin/nodes/servers", json={**server, "host": "no host", "ae_title": " "}
    )
    assert {error["field"] for error in problem["errors"]} == {"name", "host", "ae_title"} - {"name"}
    bad = caller.problem("PATCH", "/v1/admin/policies/PACS/2", json={"windows": ["always"]})
    assert [error["field"] for error in bad["errors"]] == ["window"]


def test_an_archive_that_has_moved_is_given_its_new_address(api: Api, staff: User):
    caller = api.caller(staff)
    server = {"name": "PACS/2", "ae_title": "PACS", "host": "old.example.org", "port": 104}
    before = caller.json("POST", "/v1/admin/nodes/servers", json=server)
    path = "/v1/admin/nodes/servers/PACS/2"
    new = {"ae_title": "PACS2", "host": "new.example.org", "port": 11112, "calling_ae_title": "ADIT2"}
    limits = {"max_associations": 5, "allows_direct_move": False}

    after = caller.json("PATCH", path, json={**new, **limits})

    assert after == {**before, **new, **limits}
    problem = caller.problem("PATCH", path, json={"host": "no host", "ae_title": "an AE title too long"})
    assert {error["field"] for error in problem["errors"]} == {"host", "ae_title"}
    assert caller.json("GET", "/v1/admin/nodes") == [after], "what is wrong changes nothing"


def test_a_web_server_that_has_moved_is_given_its_new_address(api: Api, staff: User):
    caller = api.caller(staff)
    web = {"name": "WEB", "base_url": "https://old.example.org", "prefixes": {"QIDO-RS": "qido"}}
    before = caller.json("POST", "/v1/admin/nodes/web-servers", json=web)
    path = "/v1/admin/nodes/web-servers/WEB"

    moved = caller.json("PATCH", path, json={"base_url": "https://new.example.org/dicom-web"})
    other = caller.json("PATCH", path, json={"prefixes": {"WADO-RS": "wado"}, "max_associations": 7})

    assert before["prefixes"] == {"QIDO-RS": "qido"}
    assert moved == {**before, "base_url": "https://new.example.org/dicom-web"}
    assert other == {**moved, "prefixes": {"WADO-RS": "wado"}, "max_associations": 7}
    problem = caller.problem("PATCH", path, json={"base_url": "ftp://x"})
    assert [error["field"] for error in problem["errors"]] == ["base_url"]


def test_a_folder_that_has_moved_is_given_its_new_path(api: Api, staff: User, tmp_path: Path):
    caller = api.caller(staff)
    storage = {"study": "{StudyDate}", "series": "{Modality}"}
    folder = {"name": "Export", "path": str(tmp_path / "old"), "storage": storage}
    before = caller.json("POST", "/v1/admin/nodes/folders", json=folder)
    path = "/v1/admin/nodes/folders/Export"

    moved = caller.json("PATCH", path, json={"path": str(tmp_path / "new"), "max_associations": 1})

    assert moved == {**before, "path": str(tmp_path / "new"), "max_associations": 1}
    kept = get_node(api.db, "Export")
    assert (kept.study_folder, kept.series_folder) == ("{StudyDate}", "{Modality}")
    assert caller.json("PATCH", path, json={"storage": {"form": "nifti"}})["storage"] == "nifti"
    assert get_node(api.db, "Export").study_folder is None, "a storage is given as a whole"
    problem = caller.problem("PATCH", path, json={"path": "relative"})
    assert [error["field"] for error in problem["errors"]] == ["path"]
    wrong = caller.problem("PATCH", "/v1/admin/nodes/servers/Export", json={"port": 1})
    assert (wrong["status"], [error["field"] for error in wrong["errors"]]) == (422, ["name"])


def test_archive_files_keep_their_password_if_none_is_given(api: Api, staff: User, tmp_path: Path):
    caller = api.caller(staff)
    storage = {"form": "7z", "password": "sesame-1234"}
    caller.json("POST", "/v1/admin/nodes/folders", json={"name": "X", "path": "/x", "storage": storage})

    for change in ({"path": "/y"}, {"storage": {"form": "zip"}}):
        assert "sesame" not in str(caller.json("PATCH", "/v1/admin/nodes/folders/X", json=change))

    node = node_value(api.db, get_node(api.db, "X"))
    assert isinstance(node, ArchiveNode)
    assert (str(node.path), node.format, node.password) == ("/y", "zip", "sesame-1234")


def test_nodes_are_deleted_or_retired_and_restored(api: Api, staff: User):
    make_job(api.db, owner=staff, status=JobStatus.SUCCESS)
    make_job(api.db, owner=make_user(api.db, "bob"), status=JobStatus.PENDING)
    make_server(api.db, "PACS/2")
    caller = api.caller(staff)

    assert caller.json("DELETE", "/v1/admin/nodes/PACS/2") == {"node": "PACS/2", "outcome": "deleted"}
    assert caller.json("DELETE", "/v1/admin/nodes/source of root")["outcome"] == "retired"
    assert caller.problem("DELETE", "/v1/admin/nodes/source of root")["status"] == 404
    assert caller.problem("DELETE", "/v1/admin/nodes/source of bob")["status"] == 409
    assert [node["name"] for node in caller.json("GET", "/v1/admin/retired-nodes")] == ["source of root"]
    assert caller.json("POST", "/v1/admin/nodes/restore/source of root")["name"] == "source of root"
    assert caller.json("GET", "/v1/admin/retired-nodes") == []


def test_profiles_keep_their_secrets(api: Api, staff: User):
    caller = api.caller(staff)
    secret = {"kind": "basic", "username": "adit", "password": "sesame-1234"}

    added = caller.json("POST", "/v1/admin/profiles", json={"name": "web", "credentials": secret})
    replaced = caller.json("PUT", "/v1/admin/profiles/web", json={"connect_timeout": 3})

    assert (added["credentials"], "sesame" in str(added)) == ("basic", False)
    assert (replaced["credentials"], replaced["connect_timeout"]) == (None, 3)
    problem = caller.problem("POST", "/v1/admin/profiles", json={"name": "x", "tls": {"ca": "no PEM"}})
    assert problem["status"] == 422
    assert caller.send("DELETE", "/v1/admin/profiles/web").status_code == 204
    assert caller.json("GET", "/v1/admin/profiles") == []


def test_the_audit_trail_is_filtered_and_paged(api: Api, staff: User):
    caller = api.caller(staff)
    for name in ("one", "two", "three"):
        caller.json("POST", "/v1/admin/groups", json={"name": name})

    first = caller.json("GET", "/v1/audit?action=group changed&limit=2")
    rest = caller.json("GET", f"/v1/audit?action=group changed&limit=2&next={first['next']}")

    events = first["items"] + rest["items"]
    assert [event["object_id"] for event in events] == ["three", "two", "one"]
    assert {event["actor"] for event in events} == {"root"}
    assert caller.json("GET", "/v1/audit?actor=nobody")["items"] == []
    assert caller.json("GET", "/v1/audit?since=2999-01-01T00:00:00Z")["items"] == []
    assert caller.problem("GET", "/v1/audit?since=2999-01-01T00:00:00")["status"] == 422, "it has no zone"


def test_metrics_count_jobs_and_tasks(api: Api, ada: User, staff: User):
    make_job(api.db, studies=2, owner=ada)

    answer = api.caller(staff).get("/metrics")
    at_root = api.caller(staff).get("/../metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert 'adit_jobs{kind="batch transfer",status="PENDING"} 1.0' in answer.text
    assert 'adit_tasks{kind="transfer",status="PENDING"} 2.0' in answer.text
    assert 'adit_node_open{node="source of ada"} 1.0' in answer.text
    assert at_root.text == answer.text
    assert "P1" not in answer.text


def test_metrics_tell_how_full_disks_are(api: Api, staff: User, tmp_path: Path):
    (tmp_path / "uploads").mkdir()
    watch_disks(api.db, Settings(data_dir=tmp_path, uploads_min_free_bytes=1 << 60))

    answer = api.caller(staff).get("/metrics").text

    assert 'adit_disk_state{place="uploads"} 2.0' in answer
    assert 'adit_disk_state{place="application"} 0.0' in answer
    assert 'adit_disk_free_bytes{place="uploads"} ' in answer
