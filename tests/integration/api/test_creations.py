"""Whatever is created by POST is created once under one key, and a repetition gets the same answer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest
from sqlmodel import func, select, update

from adit_core.db import ApiToken, RepeatableCreation, User
from adit_core.db.columns import utc_now
from adit_core.services.repeatable import claim, give_up
from adit_core.services.retention import Retention, remove_outdated
from adit_core.services.users import create_user, list_users
from deployments.demo.studies import write_study
from tests.api import Api, ApiCaller, form_of
from tests.factories import ct_study

PASSWORD = "correct horse battery staple"
BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/v1/admin/users": (
        {"username": "eve", "password": PASSWORD},
        {"username": "eve", "password": "another horse"},
    ),
    "/v1/admin/groups": ({"name": "Neuro"}, {"name": "Cardio"}),
    "/v1/admin/nodes/servers": (
        {"name": "New", "ae_title": "NEW", "host": "pacs", "port": 104},
        {"name": "New", "ae_title": "NEW", "host": "pacs", "port": 105},
    ),
    "/v1/admin/nodes/web-servers": (
        {"name": "Web", "base_url": "https://pacs/web"},
        {"name": "Web", "base_url": "https://pacs/other"},
    ),
    "/v1/admin/nodes/folders": ({"name": "Out", "path": "/out"}, {"name": "Out", "path": "/elsewhere"}),
    "/v1/admin/profiles": ({"name": "Slow"}, {"name": "Slower"}),
    "/v1/admin/announcements": ({"message": "Hello."}, {"message": "Goodbye."}),
    "/v1/projects": ({"name": "Trial"}, {"name": "Other"}),
}
KEY = {"headers": {"Idempotency-Key": "k-1"}}
WITHOUT_KEY = {"/v1/sign-in": "nobody is signed in yet whose key it could be"}


@pytest.fixture
def caller(api: Api, staff: User) -> ApiCaller:
    return api.caller(staff)


def test_every_creation_takes_a_key(api: Api, caller: ApiCaller):
    paths = caller.json("GET", "/openapi.json")["paths"]
    posts = {path: told["post"] for path, told in paths.items() if "post" in told}
    created = {path: told for path, told in posts.items() if "201" in told["responses"]}
    without = {
        path
        for path, operation in created.items()
        if "idempotency-key" not in {each["name"].lower() for each in operation.get("parameters", ())}
    }
    assert without == set(WITHOUT_KEY)
    assert set(BODIES) <= set(created)


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize("path", BODIES)
def test_a_repetition_gets_the_same_answer_and_creates_nothing(api: Api, caller: ApiCaller, path: str):
    body, other = BODIES[path]

    first = caller.post(path, body, **KEY)
    second = caller.post(path, body, **KEY)

    assert (first.status_code, second.status_code) == (201, 201), second.text
    assert first.json() == second.json()
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    refused = caller.problem("POST", path, json=other, **KEY)
    assert refused["status"] == 422
    assert refused["errors"][0]["field"] == "Idempotency-Key"
    with api.db.reading() as session:
        (row,) = session.exec(select(RepeatableCreation)).all()
    assert PASSWORD not in repr(row.model_dump())


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_token_is_shown_once(api: Api, caller: ApiCaller):
    wish = {"name": "notebook", "scopes": ["read"]}
    made = caller.json("POST", "/v1/tokens", json=wish, **KEY)

    refused = caller.problem("POST", "/v1/tokens", json=wish, **KEY)

    assert refused["status"] == 409
    assert f"(id {made['id']}) was made and shown" in refused["detail"]
    with api.db.reading() as session:
        assert session.exec(select(func.count()).select_from(ApiToken)).one() == 2, "the caller's and this"
        answers = session.exec(select(RepeatableCreation)).all()
    assert made["token"] not in repr([api.db.keyring.unseal(row.answer) for row in answers if row.answer])


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_same_files_under_the_same_key_are_uploaded_once(api: Api, caller: ApiCaller, tmp_path: Path):
    write_study(ct_study(2), tmp_path / "study")
    files = [(path.name, path.read_bytes()) for path in sorted((tmp_path / "study").rglob("*.dcm"))]

    first = caller.send("POST", "/v1/uploads", **form_of(files), **KEY)
    second = caller.send("POST", "/v1/uploads", **form_of(files), **KEY)
    fewer = caller.problem("POST", "/v1/uploads", **form_of(files[:1]), **KEY)

    assert (first.status_code, second.status_code, fewer["status"]) == (201, 201, 422)
    assert first.json() == second.json()
    assert first.headers["location"] == second.headers["location"]
    assert len(list((tmp_path / "uploads").iterdir())) == 1


def test_of_requests_at_the_same_time_one_creates(api: Api, caller: ApiCaller):
    start = Barrier(4)

    def announce(_: int) -> httpx.Response:
        start.wait()
        return caller.post("/v1/admin/announcements", {"message": "Hello."}, **KEY)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(announce, range(4)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    (made,) = caller.json("GET", "/v1/admin/announcements")
    assert {answer.json()["id"] for answer in answers if answer.is_success} == {made["id"]}


def test_who_asks_while_it_is_being_done_is_told_when_to_ask_again_and_gets_the_first_answer(
    api: Api, caller: ApiCaller, staff: User
):
    body = {"name": "Neuro"}
    claim(api.db, staff.id, "k-1")
    early = caller.post("/v1/admin/groups", body, **KEY)
    give_up(api.db, staff.id, "k-1")
    first = caller.post("/v1/admin/groups", body, **KEY)

    late = caller.post("/v1/admin/groups", body, **KEY)

    assert (early.status_code, early.headers["retry-after"]) == (409, "1")
    assert (first.status_code, late.status_code) == (201, 201)
    assert late.json() == first.json()
    assert late.headers["idempotency-replayed"] == "true"
    assert len(caller.json("GET", "/v1/admin/groups")) == 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_failed_may_be_sent_again_and_keys_of_others_do_not_meet(api: Api, caller: ApiCaller):
    body = {"username": "eve", "password": "short"}
    assert caller.problem("POST", "/v1/admin/users", json=body, **KEY)["status"] == 422
    assert caller.post("/v1/admin/users", {**body, "password": PASSWORD}, **KEY).status_code == 201

    other = api.caller(create_user(api.db, username="max", password=None, staff=True))
    assert other.post("/v1/admin/groups", {"name": "Neuro"}, **KEY).status_code == 201
    assert {user.username for user in list_users(api.db)} == {"root", "eve", "max"}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_key_is_free_again_after_a_day_or_an_hour_after_its_creator_died(api: Api, caller: ApiCaller):
    def age(by: timedelta, **changes: object) -> None:
        with api.db.session() as session:
            session.exec(update(RepeatableCreation).values(created_at=utc_now() - by, **changes))
            session.commit()

    def create() -> int:
        return caller.post("/v1/admin/announcements", {"message": "Hello."}, **KEY).status_code

    assert create() == 201
    age(timedelta(minutes=30), answer=None)
    assert create() == 409
    age(timedelta(minutes=61))
    assert create() == 201
    age(timedelta(hours=23))
    assert caller.problem("POST", "/v1/admin/announcements", json={"message": "Bye."}, **KEY)["status"] == 422
    age(timedelta(hours=25))
    assert create() == 201
    age(timedelta(hours=25))
    kept = Retention(jobs=None, studies=timedelta(days=1), tokens=timedelta(days=1))
    assert remove_outdated(api.db, kept, now=utc_now()).submissions == 1
    assert len(caller.json("GET", "/v1/admin/announcements")) == 3
