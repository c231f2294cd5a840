"""Whose account it is that an OpenID provider vouches for, and links between the two."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlmodel import col, select

from adit_core.db import AuditEvent, ExternalIdentity, User, WebSession
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotAllowed, NotFound
from adit_core.services.active_group import active_group_of, choose_active_group, groups_of_user
from adit_core.services.audit_seal import seal_events, verify_events
from adit_core.services.external_sign_in import ExternalRules, sign_in_person
from adit_core.services.groups import add_group
from adit_core.services.identities import link_identity, list_identities, unlink_identity
from adit_core.services.oidc_claims import Person
from adit_core.services.secret_rotation import count_secrets, rotate_secrets
from adit_core.services.sessions import SessionLimits, close_session, find_principal, session_id_of
from adit_core.services.users import create_user, get_user, set_password

LIMITS = SessionLimits(idle=timedelta(hours=1), length=timedelta(hours=12))
ISSUER = "https://login.hospital.example/realms/staff"
ADA = Person(ISSUER, "a-1", "ada", "Ada Lovelace", "ada@hospital.example", frozenset({"radiology"}))
PASSWORD = "correct horse battery staple"


def _sign_in(db: Database, person: Person, **rules: object) -> str:
    token = sign_in_person(
        db,
        person,
        ExternalRules(**rules),  # pyright: ignore[reportArgumentType]
        LIMITS,
        id_token="what was said",
        address="192.0.2.8",
        reference="abcd",
    )
    return session_id_of(token)


def _actions(db: Database, **about: str) -> list[str]:
    with db.reading() as session:
        events = session.exec(select(AuditEvent).order_by(col(AuditEvent.id))).all()
    return [
        event.action.value
        for event in events
        if all(getattr(event, name) == value for name, value in about.items())
    ]


def test_a_new_person_gets_an_account_and_a_session_that_can_be_traced(database: Database):
    session_id = _sign_in(database, ADA)

    principal = find_principal(database, session_id, LIMITS)
    assert principal is not None
    assert (principal.user.username, principal.issuer) == ("ada", ISSUER)
    assert _actions(database) == ["user added", "identity linked", "user changed", "signed in"]
    (link,) = list_identities(database, principal.user)
    assert (link.issuer, link.subject, link.linked_by) == (ISSUER, "a-1", "ADIT")
    assert link.last_used_at is not None
    seal_events(database)
    assert not verify_events(database).problem


def test_who_loses_the_active_group_by_the_provider_works_for_all_that_are_left(database: Database):
    add_group(database, "Radiology")
    groups = {"pacs": frozenset({"Radiology"})}
    _sign_in(database, replace(ADA, groups=frozenset({"pacs"})), groups=groups)
    choose_active_group(database, get_user(database, "ada"), "Radiology")

    _sign_in(database, replace(ADA, groups=frozenset({"pacs"})), groups=groups)
    assert active_group_of(database, get_user(database, "ada")) == "Radiology"
    _sign_in(database, replace(ADA, groups=frozenset()), groups=groups)

    ada = get_user(database, "ada")
    assert (ada.active_group_id, groups_of_user(database, ada)) == (None, [])


def test_what_the_provider_said_is_sealed_and_given_back_at_the_end(database: Database):
    session_id = _sign_in(database, ADA)
    assert count_secrets(database).readable == 1
    rotate_secrets(database)
    principal = find_principal(database, session_id, LIMITS)
    assert principal is not None

    sealed = close_session(database, principal, address="")

    assert sealed is not None
    assert database.keyring.unseal(sealed) == "what was said"
    assert close_session(database, principal, address="") is None


@pytest.mark.parametrize(
    ("person", "rules"),
    [
        (ADA, {"allowed_groups": frozenset({"pacs"})}),
        (replace(ADA, groups=frozenset()), {"allowed_groups": frozenset({"pacs"})}),
        (ADA, {"create_users": False}),
        (replace(ADA, username=""), {}),
        (replace(ADA, username="bob"), {}),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"])
def test_who_is_refused_leaves_nothing_but_a_trace(database: Database, person: Person, rules: dict):
    create_user(database, username="bob", password=PASSWORD)

    with pytest.raises(NotAllowed):
        _sign_in(database, person, **rules)

    with database.reading() as session:
        assert session.exec(select(User.username)).all() == ["bob"]
        assert session.exec(select(ExternalIdentity)).all() == []
        assert session.exec(select(WebSession)).all() == []
        failed = select(AuditEvent).where(AuditEvent.action == AuditAction.SIGN_IN_FAILED)
        event = session.exec(failed).one()
    assert (event.actor, event.succeeded, event.address) == ("unknown user", False, "192.0.2.8")
    assert (event.details["provider"], event.details["subject"]) == (ISSUER, "a-1")
    assert event.details["reference"] == "abcd"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_same_subject_of_another_provider_is_somebody_else(database: Database):
    _sign_in(database, ADA)

    with pytest.raises(NotAllowed, match="whether it is yours is not known"):
        _sign_in(database, replace(ADA, issuer="https://evil.example"))


@pytest.mark.parametrize("backend", ["sqlite"])
def test_an_address_that_is_there_stays_and_one_that_is_missing_is_taken_over(database: Database):
    create_user(database, username="ada", password=PASSWORD, email="own@home.example")
    link_identity(database, "ada", issuer=ISSUER, subject="a-1")
    _sign_in(database, ADA)
    assert get_user(database, "ada").email == "own@home.example"

    eve = replace(ADA, subject="e-1", username="eve", email="eve@hospital.example")
    _sign_in(database, replace(eve, email=""))
    _sign_in(database, eve)
    assert get_user(database, "eve").email == "eve@hospital.example"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_staff_stay_what_they_are_if_the_provider_does_not_decide_on_it(database: Database):
    create_user(database, username="ada", password=PASSWORD, staff=True)
    link_identity(database, "ada", issuer=ISSUER, subject="a-1")

    _sign_in(database, ADA)
    assert get_user(database, "ada").is_staff
    _sign_in(database, ADA, staff_groups=frozenset({"pacs"}))
    assert not get_user(database, "ada").is_staff


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_password_that_has_to_be_changed_stops_nobody_who_did_not_need_it(database: Database):
    create_user(database, username="ada", password=PASSWORD)
    link_identity(database, "ada", issuer=ISSUER, subject="a-1")
    set_password(database, "ada", PASSWORD, must_change=True)

    principal = find_principal(database, _sign_in(database, ADA), LIMITS)

    assert principal is not None
    assert principal.user.must_change_password
    assert not principal.must_choose_password


def test_somebody_is_linked_to_one_account_only(database: Database):
    for name in ("ada", "bob"):
        create_user(database, username=name, password=PASSWORD)
    link_identity(database, "ada", issuer=ISSUER, subject=" a-1 ")

    for name in ("ada", "bob"):
        with pytest.raises(InvalidInput, match="linked to an account already"):
            link_identity(database, name, issuer=ISSUER, subject="a-1")
    with pytest.raises(InvalidInput, match="1 to 255"):
        link_identity(database, "bob", issuer=ISSUER, subject=" ")
    assert list_identities(database, get_user(database, "bob")) == []


def test_taking_a_link_away_ends_the_sessions_that_came_by_it(database: Database):
    session_id = _sign_in(database, ADA)
    unlink_identity(database, "ada", issuer=ISSUER, subject="a-1")

    assert find_principal(database, session_id, LIMITS) is None
    with pytest.raises(NotAllowed):
        _sign_in(database, ADA)
    with pytest.raises(NotFound):
        unlink_identity(database, "ada", issuer=ISSUER, subject="a-1")
    assert _actions(database, object_id="ada")[-1] == "identity unlinked"
