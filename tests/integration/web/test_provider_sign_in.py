"""Signing in by an OpenID provider over HTTP, and everything that can be wrong with it."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr
from sqlmodel import col, select

from adit_core.api.app import Dashboard, create_app
from adit_core.api.wiring import Wiring
from adit_core.db import AuditEvent, ExternalIdentity, User, WebSession
from adit_core.db.engine import Database
from adit_core.services.groups import add_group, add_member, list_groups
from adit_core.services.identities import link_identity
from adit_core.services.oidc_provider import configured_provider
from adit_core.services.users import (
    UserChanges,
    change_user,
    create_user,
    find_user,
    get_user,
    set_password,
)
from adit_core.settings import Settings
from tests.fakes.launcher import FakeLauncher
from tests.fakes.openid_provider import CLIENT_ID, CLIENT_SECRET, Claims, HostileProvider, openid_provider
from tests.integration.web.test_sign_in import FOREIGN
from tests.web_process import COOKIE, PASSWORD, WebProcess, fields_of, web_process

BEGIN, CALLBACK = "/auth/provider", "/auth/provider/callback"

_numbers = count(1)


@pytest.fixture(scope="module")
def running_provider() -> Iterator[HostileProvider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def web(running_provider: HostileProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    folder = tmp_path_factory.mktemp("web")
    secret = folder / "secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    settings = {
        "oidc_issuer": running_provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret_file": str(secret),
        "oidc_name": "St. Elsewhere & <Sons>",
        "oidc_groups": json.dumps({"radiology": ["Readers", "Senders"], "physics": "Senders"}),
        "oidc_staff_groups": json.dumps(["pacs"]),
    }
    with web_process(folder, **settings) as process:
        for name in ("Readers", "Senders", "By hand"):
            add_group(process.db, name)
        yield process


@pytest.fixture
def provider(running_provider: HostileProvider) -> HostileProvider:
    """The provider, which is honest until it is told otherwise."""
    running_provider.behave()
    return running_provider


def _person(**claims: Any) -> Claims:
    """Return the claims of somebody whom nobody knows yet."""
    number = next(_numbers)
    return {"sub": f"subject {number}", "preferred_username": f"Person{number}", **claims}


def _callback(browser: httpx.Client, wanted: str = "/") -> str:
    """Go to the provider, and return where it leads back to."""
    begun = browser.get(BEGIN, params={"next": wanted})
    assert begun.status_code == 303, begun.text
    return httpx.get(begun.headers["location"]).headers["location"]


def _sign_in(browser: httpx.Client, wanted: str = "/") -> httpx.Response:
    return browser.get(_callback(browser, wanted))


def _user_of(web: WebProcess, claims: Claims) -> User:
    return get_user(web.db, claims["preferred_username"])


def _groups_of(web: WebProcess, user: User) -> list[str]:
    return [group.name for group in list_groups(web.db) if user.username in group.members]


def _last_event(db: Database) -> AuditEvent:
    with db.reading() as session:
        event = session.exec(select(AuditEvent).order_by(col(AuditEvent.id).desc()).limit(1)).first()
    assert event is not None
    return event


def _assert_refused(web: WebProcess, browser: httpx.Client, answer: httpx.Response, status_code: int) -> str:
    """Assert that nobody was signed in, and that it is told and written down; return the reason noted."""
    assert browser.get("/").status_code == 303
    event = _refusal(web.db, answer, status_code)
    assert f"Sign-in {event.details['reference']} by OpenID Connect" in web.log
    return str(event.details["reason"])


def _refusal(db: Database, answer: httpx.Response, status_code: int) -> AuditEvent:
    assert answer.status_code == status_code
    assert COOKIE not in answer.cookies
    event = _last_event(db)
    assert (event.action.value, event.succeeded) == ("sign-in failed", False)
    assert f"Reference: {event.details['reference']}" in answer.text
    return event


def test_whom_the_provider_vouches_for_gets_an_account_and_the_page_that_was_asked_for(
    web: WebProcess, provider: HostileProvider
):
    claims = _person(name="Ada Lovelace", email="ada@hospital.example", groups=["radiology", "choir"])
    provider.behave(claims=claims)
    with web.browser() as browser:
        page = browser.get(browser.get("/jobs?status=Failure").headers["location"])
        assert "Sign in with St. Elsewhere &amp; &lt;Sons&gt;" in page.text

        answer = _sign_in(browser, "/jobs?status=Failure")

        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?status=Failure")
        assert browser.get("/").status_code == 200
    user = _user_of(web, claims)
    assert (user.full_name, user.email, user.is_staff) == ("Ada Lovelace", "ada@hospital.example", False)
    assert user.password_hash is None
    assert _groups_of(web, user) == ["Readers", "Senders"]


def test_the_question_is_asked_as_the_standard_wants_it(web: WebProcess, provider: HostileProvider):
    with web.browser() as browser:
        _callback(browser)
        _callback(browser)

    first, second = provider.questions[-2:]
    assert first["response_type"] == "code"
    assert first["scope"] == "openid profile email"
    assert first["redirect_uri"] == web.url + CALLBACK
    assert first["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_the_session_is_like_one_that_a_password_opens(web: WebProcess, provider: HostileProvider):
    provider.behave(claims=_person())
    with web.browser() as browser:
        begun = browser.get(BEGIN)
        answer = browser.get(httpx.get(begun.headers["location"]).headers["location"])

    (kept,) = begun.headers.get_list("set-cookie")
    assert "HttpOnly" in kept
    assert "SameSite=lax" in kept
    assert "Max-Age=600" in kept
    session, forgotten = answer.headers.get_list("set-cookie")
    assert session.startswith(f"{COOKIE}=")
    for attribute in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"):
        assert attribute in session
    assert forgotten.startswith('adit_provider=""')


def test_no_code_token_or_claim_gets_into_the_log(web: WebProcess, provider: HostileProvider):
    claims = _person(name="Grace Hopper", groups=["radiology"])
    provider.behave(claims=claims)
    with web.browser() as browser:
        address = _callback(browser)
        browser.get(address)
        browser.get(address)
        provider.behave(claims=claims, spoil=lambda claims: {**claims, "nonce": "another"})
        _sign_in(browser)

    query = dict(parse_qsl(urlsplit(address).query))
    for secret in (
        query["code"],
        query["state"],
        "Grace",
        claims["sub"],
        claims["preferred_username"],
        "eyJ",
    ):
        assert secret not in web.log


@pytest.mark.parametrize("state", ["", "made up"])
def test_a_wrong_state_is_refused(web: WebProcess, provider: HostileProvider, state: str):
    provider.behave(claims=_person())
    with web.browser() as browser:
        query = dict(parse_qsl(urlsplit(_callback(browser)).query))
        answer = browser.get(CALLBACK, params={**query, "state": state})

        assert "state" in _assert_refused(web, browser, answer, 400)


def test_an_answer_is_good_in_the_browser_that_asked_only(web: WebProcess, provider: HostileProvider):
    provider.behave(claims=_person())
    with web.browser() as attacker, web.browser() as victim:
        address = _callback(attacker)
        _callback(victim)

        assert "state" in _assert_refused(web, victim, victim.get(address), 400)


def test_an_answer_is_good_once_even_if_the_provider_takes_the_code_again(
    web: WebProcess, provider: HostileProvider
):
    provider.behave(claims=_person(), takes_codes_again=True)
    with web.browser() as browser:
        begun = browser.get(BEGIN)
        cookie = begun.cookies["adit_provider"]
        address = httpx.get(begun.headers["location"]).headers["location"]
        assert browser.get(address).status_code == 303
        with web.browser() as again:
            again.cookies.set("adit_provider", cookie, domain="127.0.0.1")

            assert "ended already" in _assert_refused(web, again, again.get(address), 400)


def test_a_code_that_was_used_is_refused(web: WebProcess, provider: HostileProvider):
    provider.behave(claims=_person())
    with web.browser() as browser, web.browser() as other:
        code = dict(parse_qsl(urlsplit(_callback(browser)).query))["code"]
        provider.codes[code].is_used = True
        own = dict(parse_qsl(urlsplit(_callback(other)).query))
        answer = other.get(CALLBACK, params={**own, "code": code})

        assert "invalid_grant" in _assert_refused(web, other, answer, 400)


def test_a_code_that_was_given_to_another_browser_is_refused(web: WebProcess, provider: HostileProvider):
    """By PKCE, and by the nonce if the provider does not look at that."""
    for requires_pkce, reason in ((True, "invalid_grant"), (False, "nonce")):
        provider.behave(claims=_person(), requires_pkce=requires_pkce)
        with web.browser() as victim, web.browser() as thief:
            stolen = dict(parse_qsl(urlsplit(_callback(victim)).query))["code"]
            own = dict(parse_qsl(urlsplit(_callback(thief)).query))
            answer = thief.get(CALLBACK, params={**own, "code": stolen})

            assert reason in _assert_refused(web, thief, answer, 400)


def _without(name: str) -> Any:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


def _with(**changes: Any) -> Any:
    return lambda claims: {**claims, **changes}


@pytest.mark.parametrize(
    ("spoil", "claim"),
    [
        (_without("nonce"), "nonce"),
        (_with(nonce="another"), "nonce"),
        (_with(aud="another client"), "aud"),
        (_with(aud="another client", azp=CLIENT_ID), "aud"),
        (_with(aud=[CLIENT_ID, "another client"], azp="another client"), "azp"),
        (_without("aud"), "aud"),
        (_with(iss="https://evil.example"), "iss"),
        (_without("iss"), "iss"),
        (lambda claims: {**claims, "exp": claims["iat"] - 3600, "iat": claims["iat"] - 7200}, "exp"),
        (_without("exp"), "exp"),
        (_with(exp="tomorrow"), "exp"),
        (_with(sub=""), "sub"),
        (_with(sub=["a", "b"]), "sub"),
        (_without("sub"), "sub"),
        (_with(sub="x" * 256), "sub"),
        (_with(at_hash="AAAA"), "at_hash"),
    ],
)
def test_an_id_token_that_is_no_answer_to_us_is_refused(
    web: WebProcess, provider: HostileProvider, spoil: Any, claim: str
):
    provider.behave(claims=_person(), spoil=spoil)
    with web.browser() as browser:
        assert claim in _assert_refused(web, browser, _sign_in(browser), 400)


def _tampered(provider: HostileProvider, claims: Claims) -> str:
    header, _, signature = provider.signed(claims).split(".")
    _, payload, _ = provider.signed({**claims, "sub": "somebody else"}).split(".")
    return f"{header}.{payload}.{signature}"


def _by_another_key(provider: HostileProvider, claims: Claims) -> str:
    return provider.signed(claims, RSAKey.generate_key(2048))


def _by_nobody(provider: HostileProvider, claims: Claims) -> str:
    """Written by hand: libraries warn of it."""
    _, payload, _ = provider.signed(claims).split(".")
    header = base64.urlsafe_b64encode(b'{"alg": "none"}').decode().rstrip("=")
    return f"{header}.{payload}."


def _by_the_client_secret(provider: HostileProvider, claims: Claims) -> str:
    key = OctKey.import_key(CLIENT_SECRET.ljust(32, "."))
    return jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, key)


def _by_the_public_key(provider: HostileProvider, claims: Claims) -> str:
    """The confusion of algorithms: HMAC, keyed with what everybody knows."""
    key = OctKey.import_key(_base64_of(provider.key.as_pem(private=False)))
    return jwt.encode({"alg": "HS256", "kid": provider.key.kid}, claims, key)


def _base64_of(pem: bytes) -> bytes:
    """Return the key without its frame, which libraries refuse to use for HMAC."""
    return b"".join(pem.splitlines()[1:-1])


def _garbage(provider: HostileProvider, claims: Claims) -> str:
    return "no token at all"


@pytest.mark.parametrize(
    "sign",
    [_tampered, _by_another_key, _by_nobody, _by_the_client_secret, _by_the_public_key, _garbage],
)
def test_an_id_token_that_the_provider_has_not_signed_is_refused(
    web: WebProcess, provider: HostileProvider, sign: Any
):
    provider.behave(claims=_person(), sign=sign)
    with web.browser() as browser:
        _assert_refused(web, browser, _sign_in(browser), 400)


def test_an_answer_of_another_provider_is_refused(web: WebProcess, provider: HostileProvider):
    provider.behave(claims=_person())
    with web.browser() as browser:
        address = _callback(browser) + "&iss=https://evil.example"

        assert "iss" in _assert_refused(web, browser, browser.get(address), 400)


def test_who_is_denied_at_the_provider_reads_a_sentence_of_ours(web: WebProcess, provider: HostileProvider):
    provider.behave(error="access_denied")
    with web.browser() as browser:
        answer = _sign_in(browser)

        _assert_refused(web, browser, answer, 400)
        assert "because" not in answer.text


def test_a_key_that_the_provider_has_changed_is_looked_up(web: WebProcess, provider: HostileProvider):
    claims = _person()
    provider.behave(claims=claims)
    with web.browser() as browser:
        assert _sign_in(browser).status_code == 303
        provider.change_key()
        asked = provider.requests.count("/keys")
        assert _sign_in(browser).status_code == 303
        assert _sign_in(browser).status_code == 303

    assert provider.requests.count("/keys") == asked + 1
    assert provider.requests.count("/.well-known/openid-configuration") == 1


def test_a_provider_that_is_down_leaves_passwords(web: WebProcess, provider: HostileProvider):
    provider.behave(claims=_person())
    local = web.add_user()
    with web.browser() as browser:
        address = _callback(browser)
        provider.behave(is_down=True)
        answer = browser.get(address)

        assert "HTTPError" in _assert_refused(web, browser, answer, 503)
        assert "sign in with a password" in answer.text
        form = fields_of(answer)
        signed_in = browser.post(
            "/auth/sign-in", data={**form, "username": local.username, "password": PASSWORD}
        )
        assert signed_in.status_code == 303
        assert browser.get("/").status_code == 200


def test_an_account_that_is_closed_stays_closed(web: WebProcess, provider: HostileProvider):
    claims = _person()
    provider.behave(claims=claims)
    with web.browser() as browser:
        _sign_in(browser)
        change_user(web.db, _user_of(web, claims).username, UserChanges(is_active=False))
        answer = _sign_in(browser)

        assert "closed" in _assert_refused(web, browser, answer, 403)
        assert "Your account is closed." in answer.text
    assert _last_event(web.db).actor == _user_of(web, claims).username


def test_an_account_of_the_same_name_is_not_taken_over_until_staff_link_it(
    web: WebProcess, provider: HostileProvider
):
    local = web.add_user(email="the@same.example")
    set_password(web.db, local.username, PASSWORD, must_change=True)
    claims = _person(preferred_username=local.username, email="the@same.example")
    provider.behave(claims=claims)
    with web.browser() as browser:
        answer = _sign_in(browser)
        assert "not known" in _assert_refused(web, browser, answer, 403)
        assert f"There is an account called {local.username} here" in answer.text
        told = _last_event(web.db).details

        link_identity(web.db, local.username, issuer=str(told["provider"]), subject=str(told["subject"]))

        assert _sign_in(browser).status_code == 303
        assert browser.get("/api/v1/me").json()["username"] == local.username


def test_groups_and_staff_follow_the_provider_and_those_given_by_hand_stay(
    web: WebProcess, provider: HostileProvider
):
    claims = _person()
    username = claims["preferred_username"].lower()
    hand = next(group.id for group in list_groups(web.db) if group.name == "By hand")
    expected = [
        (["radiology", "pacs"], ["Readers", "Senders"], True),
        (["physics"], ["By hand", "Senders"], False),
        ("pacs", ["By hand"], True),
        (None, ["By hand"], False),
        ([{"no": "name"}, 7], ["By hand"], False),
    ]
    with web.browser() as browser:
        for told, groups, is_staff in expected:
            provider.behave(claims={**claims, **({} if told is None else {"groups": told})})
            assert _sign_in(browser).status_code == 303
            user = _user_of(web, claims)
            assert (_groups_of(web, user), user.is_staff) == (groups, is_staff)
            add_member(web.db, hand, user.username)

    with web.db.reading() as session:
        chosen = select(AuditEvent).where(AuditEvent.object_kind == "group").order_by(col(AuditEvent.id))
        told = [
            (event.details["changed"], event.object_id)
            for event in session.exec(chosen)
            if event.details.get("about") == username and "provider" in event.details
        ]
    assert told == [
        ("member added", "Readers"),
        ("member added", "Senders"),
        ("member removed", "Readers"),
        ("member removed", "Senders"),
    ]


def test_too_many_groups_to_be_told_are_not_taken_for_none(web: WebProcess, provider: HostileProvider):
    provider.behave(claims=_person(_claim_names={"groups": "src1"}))
    with web.browser() as browser:
        assert "too many" in _assert_refused(web, browser, _sign_in(browser), 400)


@pytest.mark.parametrize("wanted", FOREIGN)
def test_it_leads_to_no_other_server(web: WebProcess, provider: HostileProvider, wanted: str):
    provider.behave(claims=_person())
    with web.browser() as browser:
        assert _sign_in(browser, wanted).headers["location"] == "/"


@pytest.mark.parametrize(
    ("claims", "username"),
    [
        ({"preferred_username": "WARD\\Ada", "email": "Ada@hospital.example"}, "ada@hospital.example"),
        ({"preferred_username": None, "email": "eve@hospital.example"}, "eve@hospital.example"),
        ({"preferred_username": "WARD\\Eve", "email": "e@h.example", "email_verified": False}, None),
        ({"preferred_username": "", "email": "no address"}, None),
        ({"preferred_username": "../../etc/passwd"}, None),
    ],
)
def test_the_user_name_is_one_that_can_be_one(
    web: WebProcess, provider: HostileProvider, claims: Claims, username: str | None
):
    provider.behave(claims=_person(**claims))
    with web.browser() as browser:
        answer = _sign_in(browser)

        if username is None:
            assert "user name" in _assert_refused(web, browser, answer, 403)
        else:
            assert browser.get("/api/v1/me").json()["username"] == username


class _InProcess(httpx.BaseTransport):
    """Hands requests to an application in this process, without its dashboard."""

    def __init__(self, database: Database, settings: Settings) -> None:
        provider = configured_provider(settings, CALLBACK)
        wiring = Wiring(settings, database, FakeLauncher(), provider=provider)
        self._app = httpx.ASGITransport(create_app(wiring, Dashboard(_nowhere, _running)))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answer() -> httpx.Response:
            asked = httpx.Request(
                request.method, request.url, headers=request.headers, content=request.read()
            )
            answer = await self._app.handle_async_request(asked)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return anyio.run(answer)


Strict = Callable[[], httpx.Client]


@pytest.fixture
def strict(database: Database, provider: HostileProvider) -> Strict:
    """Opens browsers in front of an ADIT that lets in known members of one group only, and no passwords."""
    settings = Settings(
        web_url="http://adit",
        oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=SecretStr(CLIENT_SECRET),
        oidc_allowed_groups=("radiology",),
        oidc_create_users=False,
        local_sign_in="staff",
    )
    transport = _InProcess(database, settings)
    return lambda: httpx.Client(transport=transport, base_url="http://adit")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_is_not_in_the_id_token_is_asked_for(
    database: Database, provider: HostileProvider, strict: Strict
):
    ada = create_user(database, username="ada", password=PASSWORD)
    provider.behave(claims={"sub": "7"}, userinfo={"sub": "7", "groups": ["radiology"], "name": "Ada"})
    with strict() as browser:
        assert "no account here" in str(_refusal(database, _sign_in(browser), 403).details["reason"])
        link_identity(database, "ada", issuer=provider.issuer, subject="7")
        assert _sign_in(browser).status_code == 303
        assert get_user(database, "ada").full_name == "Ada"

        provider.conduct.userinfo = {"sub": "7", "groups": ["choir"]}
        refusal = _refusal(database, _sign_in(browser), 403)
        assert refusal.actor_id == ada.id
        assert "none of the groups" in str(refusal.details["reason"])

        provider.conduct.userinfo = {"sub": "another", "groups": ["radiology"]}
        assert "another user" in str(_refusal(database, _sign_in(browser), 400).details["reason"])


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(("is_staff", "page", "api"), [(False, 403, 403), (True, 303, 201)])
def test_passwords_can_be_kept_for_staff(
    database: Database, strict: Strict, is_staff: bool, page: int, api: int
):
    create_user(database, username="ada", password=PASSWORD, staff=is_staff)
    with strict() as browser:
        form = browser.get("/auth/sign-in")
        assert "<details>" in form.text
        given = {"username": "ada", "password": PASSWORD}
        assert browser.post("/auth/sign-in", data={**fields_of(form), **given}).status_code == page
        assert browser.post("/api/v1/sign-in", json=given).status_code == api


async def _nowhere(*_: object) -> None:
    raise AssertionError("nothing here is behind the gate")


@asynccontextmanager
async def _running(app: FastAPI):
    yield


def test_signing_out_ends_the_session_at_the_provider_without_a_token_in_a_url(
    web: WebProcess, provider: HostileProvider
):
    claims = _person()
    provider.behave(claims=claims)
    with web.browser() as browser:
        _sign_in(browser)
        with web.db.reading() as session:
            user_id = _user_of(web, claims).id
            row = session.exec(select(WebSession).where(WebSession.user_id == user_id)).one()
        assert row.issuer == provider.issuer
        assert row.id_token is not None
        assert "eyJ" not in row.id_token.token
        answer = browser.post("/auth/sign-out", data={"csrf_token": row.csrf_token})

        assert answer.status_code == 200
        assert f'method="post" action="{provider.issuer}/logout"' in answer.text
        fields = fields_of(answer)
        assert jwt.decode(fields["id_token_hint"], provider.key).claims["sub"] == claims["sub"]
        assert fields["post_logout_redirect_uri"] == f"{web.url}/auth/sign-in"
        assert COOKIE not in browser.cookies
        assert browser.get("/").status_code == 303


def test_unlinked_accounts_of_the_provider_are_known_by_what_it_calls_them(
    web: WebProcess, provider: HostileProvider
):
    claims = _person()
    provider.behave(claims=claims)
    with web.browser() as browser:
        _sign_in(browser)
        provider.behave(claims={**claims, "preferred_username": "married", "email": "new@h.example"})
        assert _sign_in(browser).status_code == 303

    assert find_user(web.db, "married") is None
    with web.db.reading() as session:
        (identity,) = session.exec(
            select(ExternalIdentity).where(ExternalIdentity.subject == claims["sub"])
        ).all()
    assert identity.user_id == _user_of(web, claims).id
