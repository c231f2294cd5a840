"""Announcements, maintenance mode and throttled sign-in through the API."""

import pytest

from adit_core.db import User
from adit_core.services.maintenance import maintenance_now
from adit_core.services.sign_in_throttle import PER_PLACE
from adit_core.services.users import create_user
from tests.api import Api

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

PASSWORD = "correct horse battery staple"


def test_everybody_reads_what_staff_announce(api: Api, ada: User, staff: User):
    root, reader = api.caller(staff), api.caller(ada)
    made = root.json("POST", "/v1/admin/announcements", json={"message": "The PACS moves."})
    assert [row["message"] for row in reader.json("GET", "/v1/announcements")] == ["The PACS moves."]
    denied = reader.problem("POST", "/v1/admin/announcements", json={"message": "Mine."})
    assert denied["status"] == 403

    assert root.send("DELETE", f"/v1/admin/announcements/{made['id']}").status_code == 204
    assert reader.json("GET", "/v1/announcements") == root.json("GET", "/v1/admin/announcements") == []


def test_staff_switch_maintenance_mode(api: Api, ada: User, staff: User):
    root, reader = api.caller(staff), api.caller(ada)
    assert reader.problem("PUT", "/v1/admin/maintenance", json={"message": "Mine."})["status"] == 403
    on = root.json("PUT", "/v1/admin/maintenance", json={"message": "Back at 20:00."})
    assert (on["is_on"], on["started_by"]) == (True, "root")
    assert reader.json("GET", "/v1/maintenance")["message"] == "Back at 20:00."

    assert root.json("DELETE", "/v1/admin/maintenance")["is_on"] is False
    assert maintenance_now(api.db) is None


def test_guessing_by_the_api_is_refused_with_the_time_to_wait(api: Api):
    create_user(api.db, username="ada", password=PASSWORD)

    def sign_in(password: str) -> tuple[int, str | None]:
        answer = api.stranger().send("POST", "/v1/sign-in", json={"username": "ada", "password": password})
        return answer.status_code, answer.headers.get("Retry-After")

    assert {sign_in("wrong") for _ in range(PER_PLACE)} == {(401, None)}
    status, seconds = sign_in(PASSWORD)
    assert status == 429
    assert 800 < int(seconds or 0) <= 900


def test_a_given_password_opens_neither_tokens_nor_the_api(api: Api):
    eve = create_user(api.db, username="eve", password=PASSWORD, must_change_password=True)
    login = {"username": "eve", "password": PASSWORD}

    assert api.stranger().problem("POST", "/v1/sign-in", json=login)["status"] == 403
    problem = api.session(eve, **{"Sec-Fetch-Site": "same-origin"}).problem("GET", "/v1/me")
    assert "a password of your own" in problem["detail"]
