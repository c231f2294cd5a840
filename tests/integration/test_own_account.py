"""What users do with their own account, and with a password that somebody else chose."""

from datetime import timedelta

import pytest

from adit_core.db import Permission, User
from adit_core.db.engine import Database
from adit_core.errors import InvalidInput, NotAllowed, NotFound, TooManyFailures
from adit_core.services.own_account import (
    change_own_password,
    end_other_sessions,
    end_session,
    list_sessions,
)
from adit_core.services.sessions import Principal, SessionLimits, find_principal, open_session, session_id_of
from adit_core.services.sign_in_throttle import PER_PLACE, SignInThrottle
from adit_core.services.tokens import token_for_password
from adit_core.services.users import check_password, create_user, get_user, set_password
from tests.rows import make_group

PASSWORD, OTHER = "correct horse battery staple", "another good password"
LIMITS = SessionLimits(idle=timedelta(hours=1), length=timedelta(hours=12))


@pytest.fixture
def ada(database: Database) -> User:
    return create_user(database, username="ada", password=PASSWORD, must_change_password=True)


def signed_in(db: Database, user: User, address: str = "10.0.0.1") -> Principal:
    principal = find_principal(db, session_id_of(open_session(db, user, LIMITS, address=address)), LIMITS)
    assert principal is not None
    return principal


def change(db: Database, principal: Principal, current: str, new: str, repeated: str | None = None) -> None:
    again = new if repeated is None else repeated
    change_own_password(db, SignInThrottle(), principal, current=current, new=new, repeated=again)


def test_another_password_ends_all_sessions_but_this_one(database: Database, ada: User) -> None:
    here, there = signed_in(database, ada), signed_in(database, ada)

    change(database, here, PASSWORD, OTHER)

    assert check_password(database, "ada", OTHER) is not None
    assert check_password(database, "ada", PASSWORD) is None
    assert find_principal(database, here.session_id, LIMITS) is not None
    assert find_principal(database, there.session_id, LIMITS) is None
    assert not get_user(database, "ada").must_change_password


@pytest.mark.parametrize(
    ("current", "new", "repeated", "sentence"),
    [
        ("wrong", OTHER, OTHER, "current password: This is not your current password"),
        (PASSWORD, OTHER, OTHER + "x", "The two do not agree"),
        (PASSWORD, PASSWORD, PASSWORD, "do not have yet"),
        (PASSWORD, "short", "short", "too short"),
    ],
)
def test_a_password_that_will_not_do_is_refused(
    database: Database, ada: User, *, current: str, new: str, repeated: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        change(database, signed_in(database, ada), current, new, repeated)

    assert check_password(database, "ada", PASSWORD) is not None
    assert get_user(database, "ada").must_change_password


def test_an_open_session_does_not_let_anybody_guess_the_password(database: Database, ada: User) -> None:
    principal, throttle = signed_in(database, ada), SignInThrottle()

    def guess(word: str) -> None:
        change_own_password(database, throttle, principal, current=word, new=OTHER, repeated=OTHER)

    for _ in range(PER_PLACE):
        with pytest.raises(InvalidInput):
            guess("wrong")
    with pytest.raises(TooManyFailures):
        guess(PASSWORD)


def test_a_password_that_staff_chose_opens_no_api(database: Database, ada: User) -> None:
    make_group(database, ada, permissions=(Permission.USE_API,))
    lifetime = timedelta(hours=1)
    with pytest.raises(NotAllowed, match="a password of your own"):
        token_for_password(database, "ada", PASSWORD, lifetime=lifetime)

    change(database, signed_in(database, ada), PASSWORD, OTHER)
    assert token_for_password(database, "ada", OTHER, lifetime=lifetime) is not None

    set_password(database, "ada", PASSWORD, must_change=True, actor="root")
    assert get_user(database, "ada").must_change_password


def test_users_see_and_end_their_own_sessions_only(database: Database, ada: User) -> None:
    bob = create_user(database, username="bob", password=PASSWORD)
    here, there = signed_in(database, ada), signed_in(database, ada, "10.0.0.2")
    of_bob = signed_in(database, bob)

    listed = {view.address: view.is_this for view in list_sessions(database, here, LIMITS)}
    assert listed == {"10.0.0.1": True, "10.0.0.2": False}

    with pytest.raises(NotFound):
        end_session(database, ada, of_bob.session_id)
    end_session(database, ada, there.session_id)
    assert find_principal(database, there.session_id, LIMITS) is None

    signed_in(database, ada)
    assert end_other_sessions(database, here) == 1
    assert [view.is_this for view in list_sessions(database, here, LIMITS)] == [True]
    assert find_principal(database, of_bob.session_id, LIMITS) is not None
