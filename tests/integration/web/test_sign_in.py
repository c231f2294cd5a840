"""Signing in and out."""

from contextlib import asynccontextmanager
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie

import anyio
import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from adit_core.api.app import Dashboard, create_app
from adit_core.api.sign_in import local_path
from adit_core.api.wiring import Wiring
from adit_core.db import AuditEvent, WebSession
from adit_core.db.engine import Database
from adit_core.services.users import create_user
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.web_process import COOKIE, PASSWORD, WebProcess, fields_of

FORM = "/auth/sign-in"


def _sign_in(browser: httpx.Client, username: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    form = fields_of(browser.get(FORM))
    return browser.post(FORM, data={**form, "username": username, "password": password, **fields})


def _cookie(answer: httpx.Response, name: str = COOKIE) -> Morsel[str] | None:
    for header in answer.headers.get_list("set-cookie"):
        cookie = SimpleCookie(header)
        if name in cookie:
            return cookie[name]
    return None


def test_the_right_password_opens_the_page_that_was_asked_for(web: WebProcess):
    user = web.add_user()
    with web.browser() as browser:
        form = browser.get(browser.get("/job?id=7&task=2").headers["location"])
        answer = browser.post(FORM, data={**fields_of(form), "username": user.username, "password": PASSWORD})

        assert (answer.status_code, answer.headers["location"]) == (303, "/job?id=7&task=2")
        assert browser.get("/").status_code == 200


def test_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_other_sites(web: WebProcess):
    with web.browser() as browser:
        cookie = _cookie(_sign_in(browser, web.add_user().username))

    assert cookie is not None
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("lax", "/", "")
    assert int(cookie["max-age"]) == timedelta(hours=12).total_seconds()
    assert not cookie["secure"]


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " "])
def test_a_wrong_password_is_answered_with_a_sentence(web: WebProcess, password: str):
    user = web.add_user()
    with web.browser() as browser:
        answer = _sign_in(browser, user.username, password)

        assert answer.status_code == 401
        assert 'role="alert">The user name or the password is wrong.' in answer.text
        assert fields_of(answer)["username"] == user.username
        assert browser.get("/").status_code == 303


def test_an_unknown_user_gets_the_same_answer_as_a_wrong_password(web: WebProcess):
    user = web.add_user()
    with web.browser() as browser:
        known, unknown = _sign_in(browser, user.username, "wrong"), _sign_in(browser, "nobody", "wrong")

    assert known.status_code == unknown.status_code
    texts = [
        answer.text.replace(fields_of(answer)["csrf_token"], "").replace(name, "")
        for answer, name in ((known, user.username), (unknown, "nobody"))
    ]
    assert texts[0] == texts[1]


def test_every_sign_in_has_a_session_of_its_own(web: WebProcess):
    user = web.add_user()
    with web.browser() as browser:
        tokens = set()
        for _ in range(2):
            cookie = _cookie(_sign_in(browser, user.username))
            assert cookie is not None
            tokens.add(cookie.value)

    assert len(tokens) == 2


@pytest.mark.parametrize("token", [None, "", "made up"])
def test_a_form_without_the_right_token_is_refused(web: WebProcess, token: str | None):
    user = web.add_user()
    with web.browser() as browser:
        browser.get(FORM)
        fields = {
            "username": user.username,
            "password": PASSWORD,
            **({} if token is None else {"csrf_token": token}),
        }
        answer = browser.post(FORM, data=fields)

    assert answer.status_code == 403
    assert _cookie(answer) is None


def test_a_form_without_its_cookie_is_refused(web: WebProcess):
    user = web.add_user()
    with web.browser() as browser:
        form = fields_of(browser.get(FORM))
        browser.cookies.clear()
        answer = browser.post(FORM, data={**form, "username": user.username, "password": PASSWORD})

    assert answer.status_code == 403
    assert _cookie(answer) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
def test_a_form_that_another_site_sends_is_refused(web: WebProcess, headers: dict[str, str]):
    user = web.add_user()
    with web.browser() as browser:
        form = fields_of(browser.get(FORM))
        answer = browser.post(
            FORM, data={**form, "username": user.username, "password": PASSWORD}, headers=headers
        )

    assert answer.status_code == 403
    assert _cookie(answer) is None


FOREIGN = [
    "//evil.example",
    "///evil.example",
    "https://evil.example/",
    "https:evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "javascript:alert(1)",
    "evil.example",
    "//[",
    "",
]


@pytest.mark.parametrize("wanted", FOREIGN)
def test_the_form_leads_to_no_other_server(web: WebProcess, wanted: str):
    user = web.add_user()
    with web.browser() as browser:
        form = browser.get(FORM, params={"next": wanted})
        answer = _sign_in(browser, user.username, next=wanted)

    assert fields_of(form)["next"] == "/"
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    "path", ["/", "/job?id=1&task=2", "/jobs?status=Failure&status=Success", "/a%2Fb?c=%C3%A9", "/["]
)
def test_the_form_leads_back_to_paths_of_this_server(path: str):
    assert local_path(path) == path


def test_what_was_typed_cannot_become_part_of_the_page(web: WebProcess):
    attack = '"><script>alert(1)</script>'
    with web.browser() as browser:
        form = browser.get(FORM, params={"next": "/" + attack})
        answer = _sign_in(browser, attack, "wrong", next="/" + attack)

    for page in (form, answer):
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
    assert fields_of(answer)["username"] == attack


def test_the_form_asks_no_other_server_for_anything(web: WebProcess):
    with web.browser() as browser:
        page = browser.get(FORM)

    assert page.headers["cache-control"] == "no-store"
    addresses = page.text.replace("http://www.w3.org/2000/svg", "").replace(
        "http%3A//www.w3.org/2000/svg", ""
    )
    assert "//" not in addresses
    assert "Automated DICOM Transfer" in page.text
    for name in ("username", "password"):
        assert f'<label for="{name}">' in page.text
        assert f'id="{name}"' in page.text


def test_a_form_that_is_far_too_long_is_refused(web: WebProcess):
    with web.browser() as browser:
        answer = _sign_in(browser, "a" * 100_000)

    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b"\xff\xfe", b"username=%00&password=%ff", b"&&&===", b"username"])
def test_a_form_that_makes_no_sense_is_refused(web: WebProcess, body: bytes):
    with web.browser() as browser:
        assert browser.post(FORM, content=body).status_code == 403


def test_a_user_name_with_a_nul_is_nobodys(web: WebProcess):
    with web.browser() as browser:
        assert _sign_in(browser, "user\x00name").status_code == 401


def test_signing_out_ends_the_session_on_the_server(web: WebProcess):
    user = web.add_user()
    with web.browser(user) as browser, web.browser() as copy:
        copy.cookies.set(COOKIE, browser.cookies[COOKIE], domain="127.0.0.1")
        assert copy.get("/").status_code == 200

        answer = browser.post("/auth/sign-out", data={"csrf_token": _csrf_token(web, user.id)})

        assert (answer.status_code, answer.headers["location"]) == (303, FORM)
        assert COOKIE not in browser.cookies
        assert copy.get("/").status_code == 303


@pytest.mark.parametrize(
    ("token", "headers"), [("", {}), ("made up", {}), (None, {"Sec-Fetch-Site": "cross-site"})]
)
def test_another_site_cannot_sign_anybody_out(web: WebProcess, token: str | None, headers: dict[str, str]):
    user = web.add_user()
    with web.browser(user) as browser:
        fields = {"csrf_token": _csrf_token(web, user.id) if token is None else token}
        assert browser.post("/auth/sign-out", data=fields, headers=headers).status_code == 403
        assert browser.get("/").status_code == 200


def test_signing_out_without_a_session_leads_to_the_form(web: WebProcess):
    with web.browser() as browser:
        answer = browser.post("/auth/sign-out")

    assert (answer.status_code, answer.headers["location"]) == (303, FORM)


def test_the_audit_trail_tells_who_signed_in_from_where(web: WebProcess):
    user = web.add_user()
    with web.browser() as browser:
        _sign_in(browser, user.username, "wrong")
        _sign_in(browser, user.username)
        browser.post("/auth/sign-out", data={"csrf_token": _csrf_token(web, user.id)})

    with web.db.reading() as session:
        events = session.exec(
            select(AuditEvent).where(AuditEvent.actor == user.username).order_by(col(AuditEvent.id))
        )
        told = [(event.action.value, event.address) for event in events]
    assert told == [(word, "127.0.0.1") for word in ("sign-in failed", "signed in", "signed out")]


def _csrf_token(web: WebProcess, user_id: int) -> str:
    with web.db.reading() as session:
        return session.exec(select(WebSession.csrf_token).where(WebSession.user_id == user_id)).one()


def test_behind_tls_cookies_are_bound_to_it_and_to_this_host(database: Database):
    create_user(database, username="ada", password=PASSWORD)
    settings = Settings(secure_cookies=True)
    app = create_app(Wiring(settings, database, FakeLauncher()), Dashboard(_nowhere, _running))

    async def sign_in() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://adit.example") as browser:
            form = await browser.get(FORM)
            fields = {**fields_of(form), "username": "ada", "password": PASSWORD}
            return form, await browser.post(FORM, data=fields)

    form, answer = anyio.run(sign_in)

    assert answer.status_code == 303
    for page, name in ((form, "__Host-adit_sign_in"), (answer, "__Host-adit_session")):
        cookie = _cookie(page, name)
        assert cookie is not None
        assert cookie["secure"]
        assert (cookie["path"], cookie["domain"]) == ("/", "")


async def _nowhere(*_: object) -> None:
    raise AssertionError("nothing here is behind the gate")


@asynccontextmanager
async def _running(app: FastAPI):
    yield
