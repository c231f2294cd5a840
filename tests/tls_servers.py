"""Servers of others that speak TLS, set up to want a certificate of their users."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from adit_core.dicom.node import ConnectionProfile
from deployments.demo.processes import HOST
from tests import servers
from tests.certificates import Authority


@contextmanager
def orthanc(folder: Path, authority: Authority) -> Iterator[servers.OrthancServer]:
    """Run an Orthanc whose DICOM port speaks TLS; its node has a profile that it accepts."""
    certificate, key, trusted = _files(folder, authority)
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(certificate),
        "DicomTlsPrivateKey": str(key),
        "DicomTlsTrustedCertificates": str(trusted),
    }
    with servers.orthanc(folder, "TLSORTHANC", settings=settings) as server:
        yield replace(server, archive=replace(server.archive, profile=_profile(authority)))


@contextmanager
def storescp(folder: Path, authority: Authority) -> Iterator[servers.FileArchive]:
    """Run DCMTK's storescp with TLS; its node has a profile that it accepts."""
    certificate, key, trusted = _files(folder, authority)
    with servers.storescp(folder, "TLSSTORESCP", ["+tls", key, certificate, "+cf", trusted]) as server:
        yield replace(server, archive=replace(server.archive, profile=_profile(authority)))


def _files(folder: Path, authority: Authority) -> tuple[Path, Path, Path]:
    certificate, key = authority.issue(HOST).write(folder / "tls")
    trusted = folder / "tls" / "trusted.pem"
    trusted.write_text(authority.certificate)
    return certificate, key, trusted


def _profile(authority: Authority) -> ConnectionProfile:
    return ConnectionProfile(tls=authority.issue("adit").settings(authority))
