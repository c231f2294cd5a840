"""Sign-ins by an OpenID provider that have begun and not come back yet.

Each is kept in a cookie of the browser that began it, encrypted and signed, so that nobody else can end
it and strangers cannot fill a memory. It is good for one answer, within ten minutes. There is one web
process, so that its own key is enough; who is under way while it restarts has to begin again.
"""

from cryptography.fernet import Fernet, InvalidToken
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from adit_core.services.oidc_provider import Question

LIFETIME = 10 * 60
"""Seconds for which somebody may be at the provider."""
_ONCE = RateLimitItemPerMinute(1, 2 * LIFETIME // 60)
_LONGEST_PATH = 1500
"""Characters; with more, the cookie might be too long for a browser."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What was asked of the provider, and where the user wanted to go."""

    question: Question
    wanted: str
    """A path of this server."""


_content = TypeAdapter(PendingSignIn)


class PendingSignIns:
    """Makes cookies, and takes each of them back once."""

    def __init__(self) -> None:
        self._key = Fernet(Fernet.generate_key())
        self._ended = FixedWindowRateLimiter(MemoryStorage())

    def begin(self, question: Question, wanted: str) -> str:
        """Return the content of a cookie."""
        pending = PendingSignIn(question, wanted if len(wanted) <= _LONGEST_PATH else "/")
        return self._key.encrypt(_content.dump_json(pending)).decode()

    def end(self, cookie: str, state: str) -> PendingSignIn | None:
        """Return what a cookie holds, if the answer with this `state` is the first one to it; else None."""
        try:
            pending = _content.validate_json(self._key.decrypt(cookie.encode(), ttl=LIFETIME))
        except InvalidToken:
            return None
        is_first = pending.question.state == state and self._ended.hit(_ONCE, state)
        return pending if is_first else None
