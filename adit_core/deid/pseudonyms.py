"""Pseudonyms that a project generates: keyed, the same for a patient every time, or random."""

import hmac
import secrets

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Digits and capital letters that are not mistaken for one another: no 0, 1, I and O."""
_LENGTH = 12
_BITS = 5


def keyed_pseudonym(secret: bytes, patient_id: str, issuer: str = "") -> str:
    """Return the pseudonym of a patient in a project: 12 characters, always the same.

    It cannot be traced back without the secret. Of a million patients, two share one with a
    probability of 1 in 2 million; the caller keeps them unique.
    """
    key = hmac.digest(secret, b"pseudonyms", "sha256")
    digest = hmac.digest(key, f"{issuer}\0{patient_id}".encode(), "sha256")
    number = int.from_bytes(digest)
    return "".join(_ALPHABET[number >> (_BITS * place) & 31] for place in range(_LENGTH))


def random_pseudonym() -> str:
    """Return a pseudonym of 12 characters that says nothing of the patient; the caller keeps it."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
