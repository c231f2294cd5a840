"""TLS as DICOM wants it: the BCP 195 RFC 8996, 9325 profile (PS3.15 B.12), for users and providers.

Certificates and keys are PEM text, because they come out of a database; nothing is left on a disk.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from adit_core.errors import AditError, ConnectionFailed, TlsFailed

_CIPHERS = ":".join(
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "@SECLEVEL=2",  # RSA keys of 2048 bits at least (RFC 9325 4.5)
    ]
)
"""For TLS 1.2 (RFC 9325 4.2). Of TLS 1.3, all cipher suites fulfil the profile."""

_ALERT_RECORD = b"\x15\x03"
"""How a TLS server begins its answer to what is no TLS (RFC 8446 5.1)."""

_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _NO_SIGNER = 18, 19, 20, 21
_EXPIRED, _NOT_YET_VALID = 10, 9
_OTHER_HOST_NAME, _OTHER_ADDRESS = 62, 64
_UNTRUSTED = "it is not from a certification authority that this connection trusts"
_OTHER_NAME = "it was made out to another host name or address"
_UNACCEPTABLE = {
    _EXPIRED: "it has expired",
    _NOT_YET_VALID: "it is not valid yet (or the clock of this machine is wrong)",
    _SELF_SIGNED: _UNTRUSTED,
    _SELF_SIGNED_IN_CHAIN: _UNTRUSTED,
    _NO_ISSUER: _UNTRUSTED,
    _NO_SIGNER: _UNTRUSTED,
    _OTHER_HOST_NAME: _OTHER_NAME,
    _OTHER_ADDRESS: _OTHER_NAME,
}
"""Why a certificate is refused, by OpenSSL's code (X509_V_ERR)."""

_NO_TLS = "it does not answer in TLS"
_NO_CERTIFICATE = "it wants a certificate of ours"
_OUR_CERTIFICATE = "it does not accept our certificate"
_NOTHING_IN_COMMON = "there is no TLS version and cipher suite that both sides accept"
_DISAGREEMENTS = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "UNEXPECTED_MESSAGE": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "UNSUPPORTED_PROTOCOL": _NOTHING_IN_COMMON,
    "NO_SHARED_CIPHER": _NOTHING_IN_COMMON,
    "NO_PROTOCOLS_AVAILABLE": _NOTHING_IN_COMMON,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NOTHING_IN_COMMON,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NOTHING_IN_COMMON,
    # This is also what DCMTK says when it misses our certificate.
    "SSLV3_ALERT_HANDSHAKE_FAILURE": f"{_NOTHING_IN_COMMON}, or {_NO_CERTIFICATE}",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _NO_CERTIFICATE,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": _OUR_CERTIFICATE,
    "TLSV1_ALERT_DECRYPT_ERROR": _OUR_CERTIFICATE,
    "TLSV1_ALERT_ACCESS_DENIED": _OUR_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OUR_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OUR_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{_OUR_CERTIFICATE}, which was revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_OUR_CERTIFICATE}, which has expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OUR_CERTIFICATE,
    "TLSV1_UNRECOGNIZED_NAME": "it does not know itself by the host name of the node",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted",
    "DH_KEY_TOO_SMALL": "its key exchange is too weak",
    "EE_KEY_TOO_SMALL": "its key is too short",
}
"""What keeps two sides from speaking TLS, by OpenSSL's reason; retrying does not help."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How one side of a connection proves who it is, and whom it believes. All certificates are PEM."""

    ca: str = ""
    """The certificates that are trusted: of certification authorities, or of single peers. Without
    any, a user trusts those of the operating system, and a provider asks for no certificate."""
    certificate: str = ""
    """Our own certificate, followed by those that lead to its certification authority."""
    private_key: str = field(default="", repr=False)
    """The key of our certificate, not encrypted."""
    verify_host_name: bool = True
    """Whether the peer's certificate must name the host that was connected to. Devices in hospitals
    often have certificates for other names; those must then come from `ca` nevertheless."""


@lru_cache(maxsize=32)
def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of a user, the side that connects. The peer's certificate is always verified.

    Raises:
        TlsFailed: A certificate or the key cannot be used.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    context.check_hostname = settings.verify_host_name
    if not settings.ca:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


@lru_cache(maxsize=32)
def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of a provider, the side that is connected to.

    If `settings` has a CA, users must show a certificate that leads to it.

    Raises:
        TlsFailed: A certificate or the key cannot be used, or is missing.
    """
    if not settings.certificate:
        raise TlsFailed("A provider needs a certificate for TLS.")
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    context.verify_mode = ssl.CERT_REQUIRED if settings.ca else ssl.CERT_NONE
    context.num_tickets = 0  # associations are not resumed
    return context


def tls_error(peer: str, error: ssl.SSLError) -> AditError:
    """Return what `error` is: TlsFailed if the two sides do not fit, else ConnectionFailed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _UNACCEPTABLE.get(error.verify_code, error.verify_message)
        return TlsFailed(f"The certificate of {peer} is not accepted: {why}")
    why = _DISAGREEMENTS.get(error.reason or "")
    if why is not None:
        return TlsFailed(f"No TLS connection with {peer}: {why}")
    words = (error.reason or "unexpected end").replace("_", " ").lower()
    return ConnectionFailed(f"The TLS connection to {peer} broke: {words}")


def is_tls_alert(answer: bytes) -> bool:
    """Tell whether a peer that was not spoken to in TLS answered like a TLS server."""
    return answer.startswith(_ALERT_RECORD)


def _context(protocol: int, settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # Lets a single certificate be trusted as well as its authority; many devices make their own.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        if settings.ca:
            context.load_verify_locations(cadata=settings.ca)
        if settings.certificate:
            with _file_of(f"{settings.private_key}\n{settings.certificate}") as path:
                context.load_cert_chain(path, password="")  # without one, OpenSSL asks at the terminal
    except (ssl.SSLError, ValueError) as error:
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        words = (reason or "not PEM").replace("_", " ").lower()
        raise TlsFailed(f"A certificate or key for TLS cannot be used: {words}") from error
    return context


if hasattr(os, "memfd_create"):

    @contextmanager
    def _file_of(text: str) -> Iterator[str]:
        """Yield the path of a file of `text`, as OpenSSL wants it; on Linux it never sees a disk."""
        descriptor = os.memfd_create("tls")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"

else:

    @contextmanager
    def _file_of(text: str) -> Iterator[str]:
        """Yield the path of a file of `text`, as OpenSSL wants it; only we may read it."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tls.pem")  # noqa: PTH118
            with open(path, "w") as file:  # noqa: PTH123
                file.write(text)
            yield path
