"""Certification authorities and certificates, made for a test and worth nothing outside of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from adit_core.dicom.tls import TlsSettings

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, both as PEM."""

    certificate: str
    private_key: str

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write both to files and return the paths of the certificate and of the key."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificate.write_text(self.certificate)
        key.write_text(self.private_key)
        return certificate, key

    def settings(self, trusting: "Authority", *, verify_host_name: bool = True) -> TlsSettings:
        """Return the settings of a side that shows this and trusts an authority."""
        return TlsSettings(
            ca=trusting.certificate,
            certificate=self.certificate,
            private_key=self.private_key,
            verify_host_name=verify_host_name,
        )


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = _new_key()
        self._name = _named(name)
        self._certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = _pem(self._certificate)
        """Of the authority itself, as PEM."""

    def issue(
        self, *names: str, begins: datetime | None = None, ends: datetime | None = None, key_size: int = 2048
    ) -> Identity:
        """Return a certificate for host names or addresses; by default it is valid now."""
        key = _new_key(key_size)
        certificate = (
            _builder(_named(names[0]), self._name, key, begins, ends)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(_pem(certificate), _key_pem(key, serialization.NoEncryption()))

    def issue_expired(self, *names: str) -> Identity:
        """Return a certificate that ended yesterday."""
        now = datetime.now(UTC)
        return self.issue(*names, begins=now - 10 * _DAY, ends=now - _DAY)


def encrypted(private_key: str, password: str) -> str:
    """Return a key as PEM that a password is needed for."""
    key = serialization.load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return _key_pem(key, serialization.BestAvailableEncryption(password.encode()))


def _key_pem(key: rsa.RSAPrivateKey, encryption: serialization.KeySerializationEncryption) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


def _new_key(size: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=size)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: rsa.RSAPrivateKey,
    begins: datetime | None = None,
    ends: datetime | None = None,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins or now - _DAY)
        .not_valid_after(ends or now + _DAY)
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
