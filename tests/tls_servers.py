"""Servers and users of others that speak TLS; the servers want a certificate of their users."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from adit_core.dicom.node import ConnectionProfile
from deployments.demo.processes import HOST
from tests import servers
from tests.certificates import Authority, Identity


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


def dcmtk_user(
    program: str,
    port: int,
    folder: Path,
    *,
    identity: Identity,
    trusting: Authority,
    options: Sequence[str | Path] = (),
    files: Sequence[Path] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a user of DCMTK over TLS, which shows a certificate and trusts an authority."""
    certificate, key = identity.write(folder / "user")
    trusted = folder / "user" / "ca.pem"
    trusted.write_text(trusting.certificate)
    tls = ["+tls", key, certificate, "+cf", trusted]
    return plain_dcmtk_user(program, port, options=[*tls, *options], files=files)


def plain_dcmtk_user(
    program: str, port: int, *, options: Sequence[str | Path] = (), files: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a user of DCMTK without TLS, unless `options` say it."""
    path = servers.require(shutil.which(program), package="dcmtk")
    return subprocess.run(
        [path, "-v", "-to", "20", *options, HOST, str(port), *files],
        env=servers.NO_DELAY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _files(folder: Path, authority: Authority) -> tuple[Path, Path, Path]:
    certificate, key = authority.issue(HOST).write(folder / "tls")
    trusted = folder / "tls" / "trusted.pem"
    trusted.write_text(authority.certificate)
    return certificate, key, trusted


def _profile(authority: Authority) -> ConnectionProfile:
    return ConnectionProfile(tls=authority.issue("adit").settings(authority))
