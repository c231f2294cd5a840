"""Secrets at rest: encrypted before they become part of a row, decrypted by whoever needs them.

Rows hold a :class:`Sealed` value, which is ciphertext; the keys are in the keyring of the database
object, which the entry point of a process installs. So a row can be loaded, listed and handed on
without its secrets being read, and clear text cannot be stored by mistake.
"""

import base64
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator

from adit_core.errors import SecretUnreadable

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

_VARIABLE = "ADIT_SECRET_KEYS"


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted secret: a Fernet token (AES-128-CBC and HMAC-SHA256)."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that secrets are sealed with: the first one seals, each of them opens.

    After `keys` comes the one in `key_file`, if that is there; it is made if there is no other one to
    seal with. So what a command sealed by the file of its machine is read by processes that were given
    keys. A keyring can be handed to a child process.
    """

    keys: tuple[str, ...] = field(default=(), repr=False)
    key_file: Path | None = None

    def seal(self, secret: str) -> Sealed:
        """Encrypt `secret`.

        Raises:
            SecretUnreadable: There is no key, or one that is none.
        """
        if not self.keys and self.key_file is not None:
            _make_key_file(self.key_file)
        return Sealed(self._fernet().encrypt(secret.encode()).decode())

    def unseal(self, sealed: Sealed) -> str:
        """Decrypt what was sealed.

        Raises:
            SecretUnreadable: No key fits, or what was stored has been changed.
        """
        secret = self._decrypted(sealed)
        if secret is None:
            raise SecretUnreadable(
                f"A stored secret was sealed with a key that is not at hand ({self._source()})."
            )
        return secret

    def derived(self, purpose: bytes) -> bytes:
        """Return 32 bytes for `purpose`, the same as long as the oldest key stays; nobody can guess the key.

        Raises:
            SecretUnreadable: There is no key.
        """
        if not self.keys and self.key_file is not None:
            _make_key_file(self.key_file)
        keys = (*self.keys, *self._keys_of_file())
        if not keys:
            raise SecretUnreadable(f"There is no key for secrets: set {_VARIABLE}.")
        return hmac.digest(keys[-1].encode(), purpose, "sha256")

    def opens(self, sealed: Sealed) -> bool:
        """Tell whether one of the keys fits.

        Raises:
            SecretUnreadable: There is no key, or one that is none.
        """
        return self._decrypted(sealed) is not None

    def _decrypted(self, sealed: Sealed) -> str | None:
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - slow to import

        try:
            return self._fernet().decrypt(sealed.token.encode()).decode()
        except InvalidToken:
            return None

    def _fernet(self) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - slow to import

        keys = (*self.keys, *self._keys_of_file())
        if not keys:
            raise SecretUnreadable(f"There is no key for secrets: set {_VARIABLE}.")
        try:
            return MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise SecretUnreadable(
                f"A key for secrets is none ({self._source()}): `adit secrets new-key` makes one."
            ) from error

    def _keys_of_file(self) -> tuple[str, ...]:
        if self.key_file is None:
            return ()
        with suppress(FileNotFoundError):
            return tuple(self.key_file.read_text().split())
        return ()

    def _source(self) -> str:
        return f"{_VARIABLE}, {self.key_file}" if self.key_file else _VARIABLE


def new_key() -> str:
    """Return a new key for a keyring: 32 random bytes, as URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


class SealedSecret(TypeDecorator[Sealed]):
    """A column of secrets. It takes nothing that is not sealed."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the ciphertext; refuse clear text."""
        if value is None:
            return None
        if not isinstance(value, Sealed):
            raise TypeError("A secret must be sealed before it is stored.")
        return value.token

    def process_result_value(self, value: str | None, dialect: Dialect) -> Sealed | None:  # noqa: ARG002
        """Return the sealed secret."""
        return None if value is None else Sealed(value)


def _make_key_file(path: Path) -> None:
    """Make the file unless it is there; of processes that do so at once, one wins and none reads half."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{new_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
