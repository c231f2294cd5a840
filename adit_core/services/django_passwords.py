"""Passwords as Django keeps them, so that accounts from ADIT's first edition go on with theirs.

=================================== =====================================================
Django's                            is
=================================== =====================================================
``pbkdf2_sha256$ROUNDS$SALT$HASH``  checked here, and kept as argon2id after the next sign-in
``argon2$argon2id$v=19$…``          argon2id already, behind a word of Django's
``!…``                              no password: the account signs in elsewhere
anything else                       not known here; the user needs a new password
=================================== =====================================================
"""

import base64
import binascii
import hashlib
import hmac
import os
import re

_MOST_ROUNDS = 10_000_000
"""More would only keep a processor busy for seconds at each sign-in."""
_ROUNDS = 1_000_000
_PBKDF2 = re.compile(r"pbkdf2_sha256\$(\d{1,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{43}=)")
_ARGON2 = re.compile(r"argon2(\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+)")


class DjangoPbkdf2Hasher:
    """Checks passwords that Django hashed by PBKDF2 with SHA-256 (RFC 8018 5.2), its default."""

    @classmethod
    def identify(cls, hash: str | bytes) -> bool:  # noqa: A002 - named by pwdlib
        """Tell whether a hash is one of these."""
        return _parts(hash) is not None

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """Return a hash as Django makes it."""
        given = (salt or base64.b64encode(os.urandom(16), altchars=b"ab").rstrip(b"=")).decode()
        return f"pbkdf2_sha256${_ROUNDS}${given}${_derived(_bytes(password), given, _ROUNDS)}"

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002 - as above
        """Tell whether a hash was made of a password."""
        parts = _parts(hash)
        if parts is None:
            return False
        rounds, salt, expected = parts
        return hmac.compare_digest(_derived(_bytes(password), salt, rounds), expected)

    def check_needs_rehash(self, hash: str | bytes) -> bool:  # noqa: A002, ARG002 - as above
        """Return True: they are all to become argon2id."""
        return True


def imported_hash(encoded: str) -> str | None:
    """Return a hash of Django's as we keep it; None if it cannot be checked here."""
    argon2 = _ARGON2.fullmatch(encoded)
    if argon2:
        return argon2[1]
    return encoded if _parts(encoded) else None


def is_unusable(encoded: str) -> bool:
    """Tell whether Django's user has no password on purpose."""
    return encoded == "" or encoded.startswith("!")


def _parts(encoded: str | bytes) -> tuple[int, str, str] | None:
    found = _PBKDF2.fullmatch(encoded if isinstance(encoded, str) else encoded.decode(errors="replace"))
    if found is None or not 1 <= int(found[1]) <= _MOST_ROUNDS:
        return None
    try:
        base64.b64decode(found[3], validate=True)
    except binascii.Error:
        return None
    return int(found[1]), found[2], found[3]


def _derived(password: bytes, salt: str, rounds: int) -> str:
    return base64.b64encode(hashlib.pbkdf2_hmac("sha256", password, salt.encode(), rounds)).decode()


def _bytes(password: str | bytes) -> bytes:
    return password.encode() if isinstance(password, str) else password
