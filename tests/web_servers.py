"""An Orthanc whose DICOMweb is as guarded as in a hospital: behind HTTPS, certificates and a password."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx

from adit_core.dicom.credentials import BasicCredentials
from adit_core.dicom.node import ConnectionProfile, DicomWebNode
from adit_core.dicom.tls import server_context
from deployments.demo.archives import find_orthanc, start_orthanc
from deployments.demo.processes import HOST
from tests.certificates import Authority
from tests.fakes.web_peer import relay
from tests.servers import NO_DELAY, PEERS, UNCOMPRESSED, OrthancServer, require

_USER = BasicCredentials("adit", "secret")
_SETTINGS = {
    "AuthenticationEnabled": True,
    "RegisteredUsers": {_USER.username: _USER.password},
    "DicomWeb": {"Enable": True, "Root": "/pacs/rs/"},
}


@dataclass(frozen=True)
class GuardedOrthanc:
    """An Orthanc that wants a certificate and a password, and the node by which it is reached."""

    server: OrthancServer
    node: DicomWebNode
    https_port: int


@contextmanager
def guarded_orthanc(folder: Path, authority: Authority) -> Iterator[GuardedOrthanc]:
    """Run an Orthanc with a password and DICOMweb at another path, behind HTTPS with client certificates."""
    require(find_orthanc(), package="orthanc")
    archive = start_orthanc(folder, "GUARDED", PEERS, NO_DELAY, _SETTINGS)
    assert archive.http_port is not None
    url = f"http://{HOST}:{archive.http_port}"
    tls = server_context(authority.issue(HOST).settings(authority))
    auth = (_USER.username, _USER.password)
    try:
        with (
            httpx.Client(base_url=url, timeout=60, auth=auth, headers=UNCOMPRESSED) as rest,
            _https(archive.http_port, tls) as port,
        ):
            yield GuardedOrthanc(OrthancServer(archive, rest), _node(port, authority), port)
    finally:
        archive.server.kill()


def _node(port: int, authority: Authority) -> DicomWebNode:
    return DicomWebNode(
        name="GUARDED",
        base_url=f"https://{HOST}:{port}/pacs/",
        qido_prefix="rs",
        wado_prefix="rs",
        stow_prefix="rs",
        profile=ConnectionProfile(tls=authority.issue("adit").settings(authority), credentials=_USER),
    )


@contextmanager
def _https(http_port: int, tls: ssl.SSLContext) -> Iterator[int]:
    """Speak TLS in front of a server, as reverse proxies do; Debian's Orthanc 1.10 crashes in HTTPS."""
    listener = socket.create_server((HOST, 0))
    thread = Thread(target=_listen, args=(listener, tls, http_port))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for connections
        thread.join()
        listener.close()


def _listen(listener: socket.socket, tls: ssl.SSLContext, http_port: int) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        Thread(target=_serve, args=(plain, tls, http_port), daemon=True).start()


def _serve(plain: socket.socket, tls: ssl.SSLContext, http_port: int) -> None:
    # Users that show no certificate, or break off, are what tests are about.
    with plain, suppress(OSError), tls.wrap_socket(plain, server_side=True) as sock:
        relay(sock, http_port)
