"""UIDs of de-identified objects: derived from the original with a key, so that references still agree."""

import hmac
from functools import lru_cache

from pydicom._uid_dict import UID_dictionary

_DICOM_ROOT = "1.2.840.10008."
"""All UIDs below it are registered by the standard and identify no object (PS3.6 Annex A)."""
_REMEMBERED = 65536


class UidMap:
    """Replaces UIDs, the same one always by the same one (PS3.15 E.3.9 needs that within a set of objects).

    The replacement is `2.25.` and 128 bits of an HMAC (PS3.5 B.2): it cannot be traced back without
    the secret, and is the same in every job and process.
    """

    def __init__(self, secret: bytes) -> None:
        self.replaced = lru_cache(maxsize=_REMEMBERED)(self._replaced)
        self._key = hmac.digest(secret, b"UIDs", "sha256")

    def _replaced(self, uid: str) -> str:
        if is_registered(uid):
            return uid
        return f"2.25.{int.from_bytes(hmac.digest(self._key, uid.encode('utf-8'), 'sha256')[:16])}"


def is_registered(uid: str) -> bool:
    """Tell whether a UID names something of the standard, such as a SOP class, and no object."""
    return uid in UID_dictionary or uid.startswith(_DICOM_ROOT)
