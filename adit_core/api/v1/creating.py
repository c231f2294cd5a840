"""Creating something by POST, which a client may do again under the same key if the answer was lost."""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, BinaryIO, TypeVar, cast

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from adit_core.api.v1.callers import Anybody, Wired
from adit_core.services.repeatable import KeptAnswer, RequestHash, claim, give_up, keep, repeated

M = TypeVar("M", bound=BaseModel)

REPLAYED = "Idempotency-Replayed"
_AT_ONCE = 1 << 20

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern="^[!-~]+$",
        examples=["5f0c6a2e9d4b4b0f8a3f"],
        description="Made up by the client for this request. Who sends the same again, because the answer "
        "was lost, gets the answer to the first, and nothing is created twice.",
    ),
]


class Creation:
    """A creation by a caller, which is done once for each key."""

    def __init__(
        self,
        request: Request,
        response: Response,
        wiring: Wired,
        caller: Anybody,
        idempotency_key: IdempotencyKey = None,
    ) -> None:
        self._db = wiring.database
        self._owner_id = caller.user.id
        self._path = request.url.path
        self._response = response
        self._key = idempotency_key

    def once(self, wanted: BaseModel, kind: type[M], create: Callable[[], M]) -> M:
        """Create what is `wanted`, unless that was done under the same key; return the answer in either case.

        Raises:
            InvalidInput: The key was used for something else.
            StillBeingDone: It is being created just now.
            AditError: What `create` raises; the key can be used again then.
        """
        if self._key is None:
            return create()
        return self._once(kind, create, lambda: self._hash_of(wanted), _kept)

    def once_shown(
        self, wanted: BaseModel, kind: type[M], create: Callable[[], M], refusal: Callable[[M], str]
    ) -> M:
        """Create something whose answer is shown once; `refusal` says what is said if it is asked for again.

        Raises what `once` raises, and ActionNotPossible with that.
        """
        if self._key is None:
            return create()
        return self._once(
            kind,
            create,
            lambda: self._hash_of(wanted),
            lambda made: KeptAnswer(body="", refusal=refusal(made)),
        )

    def once_of_files(
        self,
        files: Iterable[tuple[str, BinaryIO]],
        kind: type[M],
        create: Callable[[Iterable[tuple[str, BinaryIO]]], M],
    ) -> M:
        """Create something of files, which are read once, by `create` or to see whether they are the same."""
        if self._key is None:
            return create(files)
        hashed = _HashedFiles(files, RequestHash(self._db, self._path))
        return self._once(kind, lambda: create(hashed), hashed.hexdigest, _kept)

    def _once(
        self,
        kind: type[M],
        create: Callable[[], M],
        request_hash: Callable[[], str],
        kept: Callable[[M], KeptAnswer],
    ) -> M:
        key = self._key or ""
        earlier = claim(self._db, self._owner_id, key)
        if earlier is not None:
            body = repeated(earlier, request_hash())
            self._response.headers[REPLAYED] = "true"
            return kind.model_validate_json(body)
        try:
            made = create()
        except BaseException:
            give_up(self._db, self._owner_id, key)
            raise
        keep(self._db, self._owner_id, key, request_hash(), kept(made))
        return made

    def _hash_of(self, wanted: BaseModel) -> str:
        digest = RequestHash(self._db, self._path)
        digest.update(wanted.model_dump_json().encode())
        return digest.hexdigest()


OneCreation = Annotated[Creation, Depends()]


class _HashedFiles:
    """Files that are hashed while they are read."""

    def __init__(self, files: Iterable[tuple[str, BinaryIO]], digest: RequestHash) -> None:
        self._files = iter(files)
        self._digest = digest

    def __iter__(self) -> Iterator[tuple[str, BinaryIO]]:
        for name, stream in self._files:
            self._digest.update(name.encode() + b"\0")
            file = _HashedFile(stream, self._digest)
            yield name, cast("BinaryIO", file)
            self._digest.update(f"\0{file.size}\0".encode())

    def hexdigest(self) -> str:
        """Read what was not read yet, and return the hash of all."""
        for _, file in self:
            while file.read(_AT_ONCE):
                pass
        return self._digest.hexdigest()


class _HashedFile:
    def __init__(self, stream: BinaryIO, digest: RequestHash) -> None:
        self._stream = stream
        self._digest = digest
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self._digest.update(piece)
        self.size += len(piece)
        return piece


def _kept(made: BaseModel) -> KeptAnswer:
    return KeptAnswer(body=made.model_dump_json())
