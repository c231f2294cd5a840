"""Oneself in the API: the group that one works for, and the right to use the API at all."""

import pytest

from adit_core.db import Permission, TokenScope, User
from adit_core.services.groups import remove_group, set_permissions
from adit_core.services.users import create_user
from tests.api import Api
from tests.rows import allow, make_folder, make_group, make_server, make_user
from tests.web_process import PASSWORD

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])


@pytest.fixture
def ada(api: Api) -> User:
    """A user who may do nothing yet."""
    return make_user(api.db)


REFUSAL = (
    "ada lacks the permission to use the API. An administrator can give it to a group; only the group "
    "that is active counts."
)


def test_one_chooses_the_group_that_one_works_for(api: Api, ada: User):
    group = make_group(api.db, ada, permissions=(Permission.QUERY, Permission.USE_API))
    other = make_group(api.db, ada, permissions=(Permission.UPLOAD,))
    caller = api.caller(ada)

    before = caller.json("GET", "/v1/me")
    during = caller.json("PATCH", "/v1/me", json={"active_group": group.name})
    told = caller.json("GET", "/v1/me")
    after = caller.json("PATCH", "/v1/me", json={"active_group": None})

    assert (before["active_group"], before["groups"]) == (None, sorted([group.name, other.name]))
    assert (during["active_group"], during["permissions"]) == (group.name, ["query", "use the API"])
    assert told == during
    assert after == before


def test_no_other_group_is_chosen_and_not_by_who_only_reads(api: Api, ada: User):
    mine, other = make_group(api.db, ada), make_group(api.db)

    problem = api.caller(ada).problem("PATCH", "/v1/me", json={"active_group": other.name})
    reader = api.caller(ada, TokenScope.READ).problem("PATCH", "/v1/me", json={"active_group": mine.name})
    nothing = api.caller(ada).problem("PATCH", "/v1/me", json={})

    assert (problem["status"], reader["status"], nothing["status"]) == (404, 403, 422)


def test_a_job_is_told_with_the_group_that_it_is_for(api: Api, ada: User):
    granted = (Permission.UPLOAD, Permission.TRANSFER_MASSES, Permission.TRANSFER_UNPSEUDONYMIZED)
    group = make_group(api.db, ada, permissions=(*granted, Permission.USE_API))
    allow(api.db, group, make_server(api.db), as_source=True)
    allow(api.db, group, make_folder(api.db), as_destination=True)
    caller = api.caller(ada)
    order = {"source": "PACS", "destination": "Export"}
    order |= {"search": {"first_day": "2024-01-01", "last_day": "2024-01-01"}}

    together = caller.json("POST", "/v1/jobs/mass", json=order)
    caller.json("PATCH", "/v1/me", json={"active_group": group.name})
    of_group = caller.json("POST", "/v1/jobs/mass", json=order)

    assert (together["group"], of_group["group"]) == ("", group.name)
    assert caller.json("GET", f"/v1/jobs/{of_group['id']}")["group"] == group.name


def test_a_token_is_refused_once_the_right_to_the_api_is_taken_away(api: Api, ada: User):
    group = make_group(api.db, ada, permissions=(Permission.USE_API, Permission.DICOMWEB_QUERY))
    caller = api.caller(ada)
    assert caller.get("/v1/me").status_code == 200

    set_permissions(api.db, group.id, [Permission.DICOMWEB_QUERY])

    for path in ("/v1/me", "/v1/jobs", "/dicom-web/PACS/qidors/studies", "/v1/tokens"):
        problem = caller.problem("GET", path)
        assert (problem["status"], problem["detail"]) == (403, REFUSAL), path
    assert api.session(ada).get("/v1/me").status_code == 200, "a session is no use of the API"
    set_permissions(api.db, group.id, [Permission.USE_API])
    assert caller.get("/v1/me").status_code == 200


def test_no_token_is_made_for_who_may_not_use_the_api(api: Api, ada: User):
    page = api.session(ada, **{"Sec-Fetch-Site": "same-origin"})

    problem = page.problem("POST", "/v1/tokens", json={"name": "x", "scopes": ["read"]})

    assert (problem["status"], problem["detail"]) == (403, REFUSAL)
    assert page.json("GET", "/v1/tokens") == []


def test_who_may_not_use_the_api_gets_no_token_for_a_password(api: Api):
    eve = create_user(api.db, username="eve", password=PASSWORD)
    given = {"username": "eve", "password": PASSWORD}

    refused = api.stranger().problem("POST", "/v1/sign-in", json=given)
    group = make_group(api.db, eve, permissions=(Permission.USE_API,))
    made = api.stranger().json("POST", "/v1/sign-in", json=given)

    assert refused["status"] == 403
    assert "use the API" in refused["detail"]
    remove_group(api.db, group.id)
    program = api.stranger(Authorization=f"Bearer {made['token']}")
    assert program.problem("GET", "/v1/me")["status"] == 403


def test_staff_need_no_group_to_use_the_api(api: Api, staff: User):
    made = api.session(staff, **{"Sec-Fetch-Site": "same-origin"}).json(
        "POST", "/v1/tokens", json={"name": "x", "scopes": ["read"]}
    )

    program = api.stranger(Authorization=f"Bearer {made['token']}")
    assert program.json("GET", "/v1/me")["username"] == "root"
