"""The certificates of our own servers, read before they listen so that a wrong one is told in words.

They are read again when they have been renewed.
"""

import logging
import os
import ssl
from contextlib import suppress
from pathlib import Path

from adit_core.errors import InputProblem, InvalidInput

_log = logging.getLogger(__name__)


def server_context(certificate: str, key: str, variables: tuple[str, str]) -> ssl.SSLContext | None:
    """Return how a server with this certificate speaks TLS; None if it has none.

    `certificate` and `key` are files, `variables` the settings that name them. The key may be in the file of
    the certificate. When the files have changed, connections that begin then use what they hold.

    Raises:
        InvalidInput: A file is missing, cannot be read, or holds something else, or the two do not belong
            together.
    """
    if not certificate and not key:
        return None
    if not certificate:
        raise InvalidInput(
            InputProblem("A key needs the certificate that it belongs to.", field=variables[0])
        )
    named = {variables[0]: certificate} | ({variables[1]: key} if key else {})
    renewal = _Renewal(named)
    context = renewal.latest()
    context.sni_callback = renewal.apply
    return context


class _Renewal:
    """Reads a certificate again when its files have changed; `named` are the files by their settings."""

    def __init__(self, named: dict[str, str]) -> None:
        self._named = named
        self._version = self._versions()
        self._context = _loaded(named)

    def latest(self) -> ssl.SSLContext:
        """Return what the files hold, or held before they held nothing of use."""
        version = self._versions()
        if version != self._version:
            self._version = version  # first, so that files that change meanwhile are read once more
            try:
                self._context = _loaded(self._named)
                _log.info("The certificate of %s was renewed.", _names(self._named))
            except InvalidInput as error:
                _log.error("The certificate in use stays, for the new one is of no use. %s", error)
        return self._context

    def apply(self, connection: ssl.SSLObject, *_: object) -> None:
        """Have a handshake that has begun use the latest certificate."""
        connection.context = self.latest()

    def _versions(self) -> list[tuple[int, int, int]]:
        found = []
        for file in self._named.values():
            with suppress(OSError):
                state = Path(file).stat()
                found.append((state.st_ino, state.st_mtime_ns, state.st_size))
        return found


def _loaded(named: dict[str, str]) -> ssl.SSLContext:
    for variable, file in named.items():
        _require_readable(variable, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(*named.values(), password=_refuse_passphrase)
    except (ssl.SSLError, _PassphraseNeeded) as error:
        reason = _reason(error, has_key=len(named) > 1)
        raise InvalidInput(InputProblem(reason, field=_names(named))) from None
    return context


def _names(named: dict[str, str]) -> str:
    return " and ".join(named)


class _PassphraseNeeded(Exception):
    """The key is encrypted."""


def _refuse_passphrase() -> str:
    """Do not let OpenSSL ask the terminal."""
    raise _PassphraseNeeded


def _require_readable(variable: str, file: str) -> None:
    if not os.path.exists(file):  # noqa: PTH110 - a folder above may not be ours to enter
        raise InvalidInput(InputProblem(f"There is no file {file}.", field=variable))
    if not os.access(file, os.R_OK) or os.path.isdir(file):  # noqa: PTH112
        raise InvalidInput(InputProblem(f"{file} cannot be read by this user.", field=variable))


def _reason(error: Exception, *, has_key: bool) -> str:
    if isinstance(error, _PassphraseNeeded):
        return "The key has a passphrase; write it without one, readable by ADIT only."
    match getattr(error, "reason", None):
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH":
            return "The key does not belong to the certificate."
        case _ if has_key:
            return "They are not a certificate and its private key in PEM format."
        case _:
            return "The file does not hold a certificate and its private key in PEM format."
