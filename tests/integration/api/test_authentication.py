"""Who is let in to the API, and how everybody else is told."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from adit_core.db import ApiToken, TokenScope, User
from adit_core.db.engine import Database
from adit_core.services.sessions import SessionLimits, find_principal, open_session, session_id_of
from adit_core.services.tokens import create_token, revoke_token
from adit_core.services.users import create_user
from tests.api import PROBLEM, Api, make_api
from tests.rows import let_use_api
from tests.web_process import COOKIE

PASSWORD = "correct horse battery staple"
OPEN = {"/health/live", "/health/ready", "/v1/sign-in"}


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "bearer"])
def test_a_token_is_taken_in_both_schemes(api: Api, ada: User, scheme: str):
    token = create_token(api.db, ada, name="x", scopes={TokenScope.READ}).token

    me = api.stranger(Authorization=f"{scheme} {token}").json("GET", "/v1/me")

    assert (me["username"], me["scopes"], me["csrf_token"]) == ("ada", ["read"], None)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer x", "Basic YWRhOnB3", "Digest x", "Bearer \xff"]
)
def test_what_is_no_token_is_refused(api: Api, authorization: str):
    answer = api.stranger().get("/v1/me", headers={"Authorization": authorization.encode("latin-1")})

    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert answer.headers["www-authenticate"].startswith('Bearer realm="ADIT"')
    assert answer.json()["title"] == "Unauthorized"


def test_nobody_is_let_in_without_anything(api: Api):
    assert api.stranger().problem("GET", "/v1/me")["status"] == 401
    assert api.stranger(Cookie=f"{COOKIE}=x").problem("GET", "/v1/me")["status"] == 401


def test_every_route_but_the_known_ones_asks_who_calls(api: Api):
    document = api.stranger().json("GET", "/openapi.json")

    for path, operations in document["paths"].items():
        for method in operations:
            if path not in OPEN:
                assert api.stranger().send(method, _filled(path)).status_code == 401, (method, path)


def _filled(path: str) -> str:
    """Return a path with something in the place of each parameter."""
    parameters = {
        "action": "reset" if "/tasks/" in path else "cancel",
        "upload_id": "a" * 32,
        "name": "x",
        "username": "x",
    }
    return re.sub(r"{(\w+)}", lambda found: parameters.get(found[1], "1"), path)


def test_an_expired_token_says_so(api: Api, ada: User):
    made = create_token(api.db, ada, name="x", scopes={TokenScope.READ}, lifetime=timedelta(days=1))
    with api.db.session() as session:
        session.get_one(ApiToken, made.view.id).expires_at = made.view.created_at
        session.commit()

    problem = api.stranger(Authorization=f"Token {made.token}").problem("GET", "/v1/me")

    assert (problem["status"], problem["detail"]) == (401, "This token has expired; have a new one made.")


def test_a_revoked_token_says_so(api: Api, ada: User):
    made = create_token(api.db, ada, name="x", scopes={TokenScope.READ})
    revoke_token(api.db, ada, made.view.id)

    problem = api.stranger(Authorization=f"Token {made.token}").problem("GET", "/v1/me")

    assert (problem["status"], problem["detail"]) == (401, "This token was revoked; have a new one made.")


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/jobs", "read"),
        ("GET", "/v1/nodes", "read"),
        ("POST", "/v1/jobs/1/actions/cancel", "jobs"),
        ("POST", "/v1/uploads", "upload"),
    ],
)
def test_a_token_without_the_scope_is_told_which_one(api: Api, ada: User, method: str, path: str, scope: str):
    answer = api.caller(ada, TokenScope.DICOMWEB).send(method, path)

    assert answer.status_code == 403
    assert scope in answer.json()["detail"]
    assert f'error="insufficient_scope", scope="{scope}"' in answer.headers["www-authenticate"]


def test_a_session_reads_and_has_all_scopes(api: Api, ada: User):
    me = api.session(ada).json("GET", "/v1/me")

    assert me["scopes"] == sorted(TokenScope)
    assert len(me["csrf_token"]) >= 32


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://adit"}, 201),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"X-CSRF-Token": "made up"}, 403),
        ({"X-CSRF-Token": "made up", "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_a_session_changes_things_from_our_pages_only(api: Api, ada: User, headers: dict, status: int):
    answer = api.session(ada, **headers).post("/v1/tokens", {"name": "x", "scopes": ["read"]})

    assert answer.status_code == status


def test_a_session_changes_things_with_its_own_token(api: Api, ada: User):
    limits = SessionLimits.of(api.settings)
    token = open_session(api.db, ada, limits, address="")
    principal = find_principal(api.db, session_id_of(token), limits)
    assert principal is not None

    page = api.stranger(**{"Cookie": f"{COOKIE}={token}", "X-CSRF-Token": principal.csrf_token})

    assert page.post("/v1/tokens", {"name": "x", "scopes": ["read"]}).status_code == 201


def test_too_many_requests_have_to_wait(database: Database, tmp_path: Path, ada: User):
    api = make_api(database, tmp_path, api_calls_per_minute=3)
    hasty, other = api.caller(ada), api.caller(ada)

    answers = [hasty.get("/v1/me") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].headers["content-type"] == PROBLEM
    assert other.get("/v1/me").status_code == 200, "each token has a count of its own"


def test_a_password_gets_a_token_that_ends_by_itself(api: Api):
    let_use_api(api.db, create_user(api.db, username="bob", password=PASSWORD))
    stranger = api.stranger()

    made = stranger.json("POST", "/v1/sign-in", json={"username": "bob", "password": PASSWORD})

    assert made["expires_at"] is not None
    assert "admin" not in made["scopes"]
    assert api.stranger(Authorization=f"Bearer {made['token']}").json("GET", "/v1/me")["username"] == "bob"
    wrong = stranger.problem("POST", "/v1/sign-in", json={"username": "bob", "password": "wrong"})
    assert wrong["status"] == 401


def test_a_token_makes_none_that_can_do_more_or_lasts_longer(api: Api, ada: User):
    short = create_token(api.db, ada, name="x", scopes={TokenScope.READ}, lifetime=timedelta(days=1))
    caller = api.stranger(Authorization=f"Bearer {short.token}")

    made = caller.json("POST", "/v1/tokens", json={"name": "y", "scopes": ["read"], "days": 30})
    refused = caller.problem("POST", "/v1/tokens", json={"name": "y", "scopes": ["read", "jobs"]})

    assert short.view.expires_at is not None
    assert made["expires_at"] <= short.view.expires_at.isoformat().replace("+00:00", "Z")
    assert refused["status"] == 403


def test_one_sees_and_ends_ones_own_tokens_only(api: Api, ada: User, staff: User):
    hers = create_token(api.db, ada, name="hers", scopes={TokenScope.READ}).view
    theirs = create_token(api.db, staff, name="theirs", scopes={TokenScope.READ}).view
    caller = api.caller(ada)

    listed = caller.json("GET", "/v1/tokens")

    assert {token["name"] for token in listed} == {"hers", "test"}
    assert not any("token" in token or "token_hash" in token for token in listed)
    assert caller.problem("GET", "/v1/tokens?all_users=true")["status"] == 403
    assert caller.problem("DELETE", f"/v1/tokens/{theirs.id}")["status"] == 404
    assert caller.json("DELETE", f"/v1/tokens/{hers.id}")["state"] == "revoked"
    assert api.caller(staff).json("DELETE", f"/v1/tokens/{hers.id}")["state"] == "revoked"


def test_wrong_input_is_named_by_field_without_its_value(api: Api, ada: User):
    problem = api.caller(ada).problem(
        "POST", "/v1/tokens", json={"name": "Doe^John\x00", "scopes": ["everything"], "sudo": True}
    )

    assert problem["status"] == 422
    assert {error["field"] for error in problem["errors"]} == {"name", "scopes.0", "sudo"}
    assert "Doe" not in str(problem)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"a=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 422),
        ({"content": b" " * (33 << 20), "headers": {"Content-Type": "application/json"}}, 413),
        ({}, 422),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(api: Api, ada: User, request_: dict, status: int):
    assert api.caller(ada).problem("POST", "/v1/tokens", **request_)["status"] == status


def test_paths_and_methods_that_there_are_not(api: Api, ada: User):
    assert api.caller(ada).problem("GET", "/v1/nothing")["status"] == 404
    assert api.caller(ada).problem("GET", "/v1/jobs/%0A/tasks")["status"] == 404
    assert api.caller(ada).problem("PUT", "/v1/me")["status"] == 405


def test_passwords_cannot_be_tried_without_end(api: Api):
    wrong = {"username": "nobody", "password": "x"}

    answers = [api.stranger().post("/v1/sign-in", wrong).status_code for _ in range(12)]

    assert answers == [401] * 10 + [429] * 2
