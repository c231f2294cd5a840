"""Creating something once, however often a program asks for it under the same key (idempotency keys).

Jobs have a mechanism of their own, which needs no second step (`adit_core.services.once`). Everything else is
claimed by its key before it is created, and the answer is kept with the claim afterwards:

===================================== =================================================
the key is                            whoever asks
===================================== =================================================
new, or older than a day              creates it
claimed, less than an hour ago        is told that it is under way
claimed, longer ago                   creates it: whoever did so before has died
answered, for the same request        is given the same answer
answered, for another request         is refused
===================================== =================================================

Answers are sealed, and of requests only a keyed hash is kept, since both may hold what nobody is to read.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel
from sqlalchemy import ColumnElement, and_, or_
from sqlmodel import Session, col, delete, update

from adit_core.db import RepeatableCreation
from adit_core.db.columns import utc_now
from adit_core.db.engine import Database
from adit_core.db.upsert import add_if_missing
from adit_core.errors import ActionNotPossible, InputProblem, InvalidInput, StillBeingDone

KEPT = timedelta(days=1)
"""How long the answer to a creation is kept."""
_LONGEST_CREATION = timedelta(hours=1)
_PURPOSE = b"requests under idempotency keys"


class KeptAnswer(BaseModel):
    """What is answered if something is asked for again."""

    body: str
    """JSON; empty for what is shown once."""
    refusal: str = ""
    """What is said instead of an answer that was shown once."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was created under a key before."""

    request_hash: str
    answer: KeptAnswer


class RequestHash:
    """Says whether two requests are the same, to nobody who lacks the key of secrets."""

    def __init__(self, db: Database, path: str) -> None:
        self._digest = hmac.new(db.keyring.derived(_PURPOSE), path.encode() + b"\0", hashlib.sha256)

    def update(self, piece: bytes | memoryview) -> None:
        """Add a piece of the body."""
        self._digest.update(piece)

    def hexdigest(self) -> str:
        """Return it in hexadecimal digits."""
        return self._digest.hexdigest()


def claim(db: Database, owner_id: int, key: str) -> Earlier | None:
    """Claim a key, or return what was created under it before.

    Raises:
        StillBeingDone: It is being created just now.
        SecretUnreadable: The answer was sealed with a key that is not at hand.
    """
    now = utc_now()
    with db.session() as session:
        session.exec(delete(RepeatableCreation).where(*_of(owner_id, key), _is_over(now)))
        is_mine = add_if_missing(
            session, RepeatableCreation(owner_id=owner_id, key=key), key=("owner_id", "key")
        )
        session.commit()
        row = None if is_mine else session.get(RepeatableCreation, (owner_id, key))
    if is_mine:
        return None
    if row is None or row.answer is None:
        raise StillBeingDone(
            "The first request under this Idempotency-Key is still being done, or was cut off: try again in "
            "a moment, or look whether it is there already and use a new key."
        )
    return Earlier(row.request_hash, KeptAnswer.model_validate_json(db.keyring.unseal(row.answer)))


def keep(db: Database, owner_id: int, key: str, request_hash: str, answer: KeptAnswer) -> None:
    """Keep the answer to what was created under a key that was claimed."""
    sealed = db.keyring.seal(answer.model_dump_json())
    with db.session() as session:
        session.exec(
            update(RepeatableCreation)
            .where(*_of(owner_id, key))
            .values(request_hash=request_hash, answer=sealed)
        )
        session.commit()


def give_up(db: Database, owner_id: int, key: str) -> None:
    """Take back the claim on a key, as nothing was created under it."""
    with db.session() as session:
        session.exec(
            delete(RepeatableCreation).where(*_of(owner_id, key), col(RepeatableCreation.answer).is_(None))
        )
        session.commit()


def repeated(earlier: Earlier, request_hash: str) -> str:
    """Return the answer to a request that was made before.

    Raises:
        InvalidInput: It was another one.
        ActionNotPossible: The answer was shown once, and not kept.
    """
    if not hmac.compare_digest(earlier.request_hash, request_hash):
        problem = "This key was used for something else within the last day; use a new key."
        raise InvalidInput(InputProblem(problem, field="Idempotency-Key"))
    if earlier.answer.refusal:
        raise ActionNotPossible(earlier.answer.refusal)
    return earlier.answer.body


def remove_outdated_answers(session: Session, *, now: datetime) -> int:
    """Delete what need not be kept any more, in a transaction, and return how much that was."""
    return session.exec(delete(RepeatableCreation).where(_is_over(now))).rowcount


def _of(owner_id: int, key: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(RepeatableCreation.owner_id) == owner_id, col(RepeatableCreation.key) == key


def _is_over(now: datetime) -> ColumnElement[bool]:
    since = col(RepeatableCreation.created_at)
    abandoned = and_(col(RepeatableCreation.answer).is_(None), since < now - _LONGEST_CREATION)
    return or_(since < now - KEPT, abandoned)
