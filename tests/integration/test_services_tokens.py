from datetime import timedelta

import pytest
from sqlmodel import select

from adit_core.db import ApiToken, AuditEvent, TokenScope, User
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotAllowed, NotFound
from adit_core.services.tokens import (
    TokenBearer,
    TokenState,
    create_token,
    find_bearer,
    list_tokens,
    revoke_token,
)
from tests.rows import let_use_api, make_user

READ = frozenset({TokenScope.READ})


def _make(db: Database, user: User, **fields):
    let_use_api(db, user)
    return create_token(db, user, **{"name": "notebook", "scopes": READ, **fields})


def _row(db: Database) -> ApiToken:
    with db.reading() as session:
        return session.exec(select(ApiToken)).one()


def _age(db: Database, **ages: timedelta) -> None:
    with db.session() as session:
        row = session.exec(select(ApiToken)).one()
        for field, age in ages.items():
            setattr(row, field, getattr(row, field) - age)
        session.commit()


def test_a_token_tells_whose_it_is_and_what_for(database: Database):
    ada = make_user(database)
    made = _make(database, ada, scopes={TokenScope.READ, TokenScope.JOBS})

    bearer = find_bearer(database, made.token, address="10.0.0.1")

    assert isinstance(bearer, TokenBearer)
    assert (bearer.user.username, bearer.token_id) == ("ada", made.view.id)
    assert bearer.scopes == {TokenScope.READ, TokenScope.JOBS}
    assert _row(database).last_used_from == "10.0.0.1"


def test_the_database_holds_the_digest_of_the_token_only(database: Database):
    made = _make(database, make_user(database))

    row = _row(database)

    assert made.token not in row.model_dump_json()
    assert made.token.startswith(row.prefix)
    assert len(made.token) - len(row.prefix) > 32, "what is shown does not help to guess the rest"
    assert find_bearer(database, row.token_hash) is None
    assert find_bearer(database, row.prefix) is None


@pytest.mark.parametrize("token", ["", "x", "adit_", "\x00", "ü", "\udcff"])
def test_what_nobody_was_given_belongs_to_nobody(database: Database, token: str):
    _make(database, make_user(database))

    assert find_bearer(database, token) is None


def test_a_token_expires(database: Database):
    made = _make(database, make_user(database), lifetime=timedelta(days=30))
    assert isinstance(find_bearer(database, made.token), TokenBearer)

    _age(database, expires_at=timedelta(days=30, seconds=1))

    assert find_bearer(database, made.token) is TokenState.EXPIRED
    assert (
        list_tokens(database, make_user(database, "root", staff=True), all_users=True)[0].state == "expired"
    )


def test_a_revoked_token_opens_nothing_and_stays_revoked(database: Database):
    ada = make_user(database)
    made = _make(database, ada)

    first = revoke_token(database, ada, made.view.id)
    second = revoke_token(database, ada, made.view.id)

    assert find_bearer(database, made.token) is TokenState.REVOKED
    assert first.revoked_at == second.revoked_at
    with database.reading() as session:
        actions = [event.action.value for event in session.exec(select(AuditEvent))]
    assert actions == ["token created", "token revoked"]


def test_the_token_of_a_closed_account_opens_nothing(database: Database):
    ada = make_user(database)
    made = _make(database, ada)
    with database.session() as session:
        session.get_one(User, ada.id).is_active = False
        session.commit()

    assert find_bearer(database, made.token) is TokenState.REVOKED


def test_a_use_is_noted_once_a_minute(database: Database):
    made = _make(database, make_user(database))
    find_bearer(database, made.token, address="10.0.0.1")
    noted = _row(database).last_used_at

    find_bearer(database, made.token, address="10.0.0.2")
    assert (_row(database).last_used_at, _row(database).last_used_from) == (noted, "10.0.0.1")

    _age(database, last_used_at=timedelta(minutes=2))
    find_bearer(database, made.token, address="10.0.0.2")
    assert _row(database).last_used_from == "10.0.0.2"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 151}, "name"),
        ({"scopes": ()}, "scopes"),
        ({"scopes": {TokenScope.ADMIN}}, "scopes"),
        ({"lifetime": timedelta(0)}, "lifetime"),
        ({"lifetime": timedelta(days=40_000)}, "lifetime"),
    ],
)
def test_what_is_wrong_is_named(database: Database, fields: dict, field: str):
    with pytest.raises(InvalidInput) as error:
        _make(database, make_user(database), **fields)

    assert [problem.field for problem in error.value.problems] == [field]


def test_tokens_of_others_are_for_staff(database: Database):
    ada, bob = make_user(database), make_user(database, "bob")
    root = make_user(database, "root", staff=True)
    made = _make(database, ada)

    with pytest.raises(NotAllowed):
        _make(database, ada, actor=bob)
    with pytest.raises(NotAllowed):
        list_tokens(database, bob, all_users=True)
    with pytest.raises(NotFound):
        revoke_token(database, bob, made.view.id)
    with pytest.raises(NotFound):
        revoke_token(database, root, 4711)
    assert list_tokens(database, bob) == []
    assert _make(database, ada, actor=root).view.owner == "ada"
    assert revoke_token(database, root, made.view.id).state is TokenState.REVOKED


def test_a_closed_account_gets_no_token(database: Database):
    with pytest.raises(NotAllowed):
        _make(database, make_user(database, active=False), actor=make_user(database, "root", staff=True))
