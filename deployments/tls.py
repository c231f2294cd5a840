"""The certificates of our own servers, read before they listen so that a wrong one is told in words."""

import os
import ssl

from adit_core.errors import InputProblem, InvalidInput


def server_context(certificate: str, key: str, variables: tuple[str, str]) -> ssl.SSLContext | None:
    """Return how a server with this certificate speaks TLS; None if it has none.

    `certificate` and `key` are files, `variables` the settings that name them. The key may be in the file of
    the certificate.

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
    named = {variables[0]: certificate, variables[1]: key}
    for variable, file in named.items():
        if file:
            _require_readable(variable, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None, password=_refuse_passphrase)
    except (ssl.SSLError, _PassphraseNeeded) as error:
        both = " and ".join(variable for variable, file in named.items() if file)
        raise InvalidInput(InputProblem(_reason(error, has_key=bool(key)), field=both)) from None
    return context


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
