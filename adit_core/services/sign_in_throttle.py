"""Slowing down those who guess passwords, without letting strangers keep users out.

Failures are counted over the last 15 minutes. An attempt is refused, even with the right password, if
any of what it counts towards is used up:

==================================== ================================================ ==========
an attempt comes from                counts towards                                   failures
==================================== ================================================ ==========
a browser in which the user has      this user in this browser                        10
signed in before
anywhere else                        this user from this network address              10
as before                            anybody from this network address                50
as before                            this user from anywhere                          200
==================================== ================================================ ==========

So who guesses from one place shuts out nobody but that place. Who guesses from many places can shut a
user out of new browsers only: those that the user has signed in with carry a cookie, and count by
themselves. Names that nobody has are counted like others, so that no answer tells which exist.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlmodel import col, delete, select

from adit_core.db import KnownBrowser, User
from adit_core.db.audit import AuditAction
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.errors import TooManyFailures
from adit_core.services import audit
from adit_core.services.sessions import UNKNOWN_USER, session_id_of
from adit_core.services.users import find_user

MINUTES = 15
PER_PLACE, PER_ADDRESS, PER_USER = 10, 50, 200
_KNOWN_BROWSERS = 20
"""Of a user, that are remembered; the one that was used longest ago is forgotten."""

T = TypeVar("T")
_Bucket = tuple[RateLimitItem, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody wants to sign in."""

    username: str
    address: str
    """The network address."""
    browser: str = ""
    """What the cookie says by which a browser is known; empty if there is none."""


class SignInThrottle:
    """Counts failures. There is one web process, so that its memory is the place."""

    def __init__(self) -> None:
        self._counter = MovingWindowRateLimiter(MemoryStorage())

    def require_open(self, buckets: list[_Bucket]) -> None:
        """Do nothing if none of `buckets` is used up; else raise TooManyFailures."""
        waits = [
            self._counter.get_window_stats(item, key).reset_time - time.time()
            for item, key in buckets
            if not self._counter.test(item, key)
        ]
        if waits:
            raise TooManyFailures(max(1, round(max(waits))))

    def count(self, buckets: list[_Bucket]) -> bool:
        """Count a failure; return whether this one has used something up."""
        for item, key in buckets:
            self._counter.hit(item, key)
        return any(not self._counter.test(item, key) for item, key in buckets)

    def is_worth_noting(self, address: str) -> bool:
        """Count a failure that nobody is kept out for, and tell whether to write it down.

        Without this, anybody could fill the audit trail by following a link again and again.
        """
        return self._counter.hit(_limit(PER_ADDRESS), f"noted {address}")

    def forgive(self, bucket: _Bucket) -> None:
        """Forget the failures of a place from which the user has now signed in."""
        self._counter.clear(*bucket)


def throttled(
    db: Database, throttle: SignInThrottle, attempt: Attempt, check: Callable[[], T | None]
) -> T | None:
    """Return what `check` returns, if the attempt is not refused; None is counted as a failure.

    Raises:
        TooManyFailures: There were too many before; `check` was not asked.
    """
    user = find_user(db, attempt.username)
    buckets = _buckets(attempt, is_known=user is not None and is_known_browser(db, user, attempt.browser))
    throttle.require_open(buckets)
    answer = check()
    if answer is not None:
        throttle.forgive(buckets[0])
    elif throttle.count(buckets):
        _record(db, user, attempt)
    return answer


def is_known_browser(db: Database, user: User, browser: str) -> bool:
    """Tell whether the user has signed in before in the browser that has this cookie."""
    if not browser:
        return False
    with db.reading() as session:
        return session.get(KnownBrowser, (session_id_of(browser), user.id)) is not None


def remember_browser(db: Database, username: str, browser: str) -> str:
    """Note that a user has signed in with a browser, and return what its cookie is to say from now on."""
    user = find_user(db, username)
    cookie = browser or secrets.token_urlsafe(32)
    if user is None:
        return cookie
    with db.session() as session:
        session.merge(KnownBrowser(token_hash=session_id_of(cookie), user_id=user.id, last_used_at=utc_now()))
        session.flush()
        kept = (
            select(KnownBrowser.token_hash)
            .where(KnownBrowser.user_id == user.id)
            .order_by(col(KnownBrowser.last_used_at).desc())
            .limit(_KNOWN_BROWSERS)
        )
        session.exec(
            delete(KnownBrowser).where(
                col(KnownBrowser.user_id) == user.id, col(KnownBrowser.token_hash).not_in(kept)
            )
        )
        session.commit()
    return cookie


def _buckets(attempt: Attempt, *, is_known: bool) -> list[_Bucket]:
    name = attempt.username.strip().lower()[:150]
    if is_known:
        return [(_limit(PER_PLACE), f"browser {session_id_of(attempt.browser)} {name}")]
    return [
        (_limit(PER_PLACE), f"place {attempt.address} {name}"),
        (_limit(PER_ADDRESS), f"address {attempt.address}"),
        (_limit(PER_USER), f"user {name}"),
    ]


def _limit(failures: int) -> RateLimitItem:
    return RateLimitItemPerMinute(failures, MINUTES)


def _record(db: Database, user: User | None, attempt: Attempt) -> None:
    with db.session() as session:
        audit.record(
            session,
            AuditAction.SIGN_IN_REFUSED,
            actor=user or UNKNOWN_USER,
            succeeded=False,
            address=attempt.address,
            minutes=MINUTES,
        )
        session.commit()
