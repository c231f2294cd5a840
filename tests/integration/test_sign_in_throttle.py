"""Guessing passwords is slowed down, and does not keep users out."""

import pytest
from sqlmodel import select

from adit_core.db import AuditEvent, KnownBrowser, User
from adit_core.db.audit import AuditAction
from adit_core.db.engine import Database
from adit_core.errors import TooManyFailures
from adit_core.services.sign_in_throttle import (
    PER_ADDRESS,
    PER_PLACE,
    PER_USER,
    Attempt,
    SignInThrottle,
    remember_browser,
    throttled,
)
from tests.rows import make_user

HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"


class Door:
    """Lets those in who know the word, as long as they are not refused."""

    def __init__(self, db: Database) -> None:
        self.db, self.throttle = db, SignInThrottle()

    def knock(self, name: str, address: str, *, browser: str = "", right: bool = False) -> str:
        try:
            answer = throttled(
                self.db, self.throttle, Attempt(name, address, browser), lambda: "in" if right else None
            )
        except TooManyFailures:
            return "refused"
        return answer or "wrong"

    def guess(self, name: str, address: str, times: int, *, browser: str = "") -> None:
        answers = {self.knock(name, address, browser=browser) for _ in range(times)}
        assert answers == {"wrong"}


@pytest.fixture
def ada(database: Database) -> User:
    return make_user(database)


@pytest.fixture
def door(database: Database) -> Door:
    return Door(database)


def test_who_guesses_is_refused_even_with_the_right_password(door: Door, ada: User) -> None:
    door.guess("ada", HERE, PER_PLACE)

    assert door.knock("Ada ", HERE, right=True) == "refused"
    assert door.knock("ada", ELSEWHERE, right=True) == "in", "strangers shut out nobody but themselves"
    with door.db.reading() as session:
        (event,) = session.exec(select(AuditEvent))
    assert (event.action, event.actor, event.address) == (AuditAction.SIGN_IN_REFUSED, "ada", HERE)


def test_names_that_nobody_has_are_refused_in_the_same_way(door: Door) -> None:
    door.guess("nobody", HERE, PER_PLACE)

    assert door.knock("nobody", HERE) == "refused"


def test_an_address_cannot_try_one_password_on_everybody(door: Door) -> None:
    for number in range(PER_ADDRESS):
        door.guess(f"user{number}", HERE, 1)

    assert door.knock("ada", HERE) == "refused"


def test_many_addresses_together_cannot_guess_without_end_nor_keep_a_known_browser_out(
    door: Door, ada: User
) -> None:
    known = remember_browser(door.db, "ada", "")
    for number in range(PER_USER):
        door.guess("ada", f"10.1.{number // 250}.{number % 250}", 1)

    assert door.knock("ada", ELSEWHERE, right=True) == "refused"
    assert door.knock("ada", ELSEWHERE, browser="another one", right=True) == "refused"
    assert door.knock("ada", ELSEWHERE, browser=known, right=True) == "in"
    assert door.knock("bob", HERE, browser=known, right=True) == "in"


def test_a_known_browser_cannot_guess_without_end_either(door: Door, ada: User) -> None:
    known = remember_browser(door.db, "ada", "")
    door.guess("ada", HERE, PER_PLACE, browser=known)

    assert door.knock("ada", HERE, browser=known, right=True) == "refused"


def test_signing_in_forgives_what_went_wrong_before(door: Door, ada: User) -> None:
    for _ in range(3):
        door.guess("ada", HERE, PER_PLACE - 1)
        assert door.knock("ada", HERE, right=True) == "in"


def test_only_the_browsers_that_were_used_last_are_remembered(door: Door, ada: User) -> None:
    browsers = [remember_browser(door.db, "ada", "") for _ in range(22)]
    assert remember_browser(door.db, "ada", browsers[-1]) == browsers[-1]
    assert remember_browser(door.db, "nobody", "") != ""

    with door.db.reading() as session:
        assert len(session.exec(select(KnownBrowser)).all()) == 20
    door.guess("ada", HERE, PER_PLACE)
    assert door.knock("ada", HERE, browser=browsers[0], right=True) == "refused"
    assert door.knock("ada", HERE, browser=browsers[-1], right=True) == "in"


def test_the_sentence_says_how_long_to_wait() -> None:
    assert str(TooManyFailures(61)) == "There were too many wrong passwords. Wait 2 minutes, then try again."
    assert "Wait 1 minute," in str(TooManyFailures(3))
