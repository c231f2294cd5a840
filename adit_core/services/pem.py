"""Certificates and keys that users hand in as PEM: what is wrong with them, before a connection fails."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from adit_core.errors import InputProblem


def certificates_problems(field: str, pem: str) -> list[InputProblem]:
    """Return what is wrong with one or more certificates; an expired one is of no use."""
    try:
        certificates = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return [
            InputProblem("This is no certificate as PEM (-----BEGIN CERTIFICATE-----).", field=field),
        ]
    now = datetime.now(UTC)
    return [
        InputProblem(
            f"The certificate of {certificate.subject.rfc4514_string()} expired on "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}.",
            field=field,
        )
        for certificate in certificates
        if certificate.not_valid_after_utc < now
    ]


def expiry(pem: str) -> datetime | None:
    """Return when the first of the certificates in `pem` expires; None if there are none."""
    if not pem.strip():
        return None
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(pem.encode()))


def identity_problems(
    certificate: str, private_key: str, *, certificate_field: str, key_field: str
) -> list[InputProblem]:
    """Return what is wrong with our own certificate and its key, which have to fit each other."""
    if not certificate and not private_key:
        return []
    if not certificate:
        return [InputProblem("The key is of no use without its certificate.", field=certificate_field)]
    if not private_key:
        return [InputProblem("The certificate is of no use without its key.", field=key_field)]
    problems = certificates_problems(certificate_field, certificate)
    key, key_problems = _private_key(key_field, private_key)
    if key is None or problems:
        return [*problems, *key_problems]
    if not _belong_together(certificate, key):
        return [InputProblem("This is the key of another certificate.", field=key_field)]
    return []


def _private_key(field: str, pem: str) -> tuple[PrivateKeyTypes | None, list[InputProblem]]:
    try:
        return load_pem_private_key(pem.encode(), None), []
    except TypeError:  # so the library says that a password is needed
        message = "Give the key without a password; it is encrypted before it is stored."
    except ValueError:
        message = "This is no private key as PEM (-----BEGIN PRIVATE KEY-----)."
    return None, [InputProblem(message, field=field)]


def _belong_together(certificate: str, key: PrivateKeyTypes) -> bool:
    first, *_ = x509.load_pem_x509_certificates(certificate.encode())
    public = (first.public_key(), key.public_key())
    ours, its = (each.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for each in public)
    return ours == its
