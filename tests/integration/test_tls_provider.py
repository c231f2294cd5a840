"""A provider over TLS, as DCMTK's echoscu and storescu see it.

The listener here answers with pydicom and pynetdicom; of ours, it has the connection and the reader of
presentation data values, so that bytes take the same way as in a provider.
"""

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest
from pydicom import dcmread

from adit_core.dicom.connect import accept
from adit_core.dicom.connection import Connection
from adit_core.dicom.node import ConnectionProfile
from adit_core.dicom.pdata import DataValueReader, PeerReleased
from adit_core.dicom.tls import TlsSettings
from adit_core.errors import AditError, TlsFailed
from deployments.demo.processes import HOST
from deployments.demo.specs import StudySpec
from deployments.demo.studies import write_study
from tests.certificates import Authority, Identity
from tests.factories import ct_study, large_study
from tests.fakes.peer import C_STORE_RQ, Conversation, FakePeer, Received, decode
from tests.tls_servers import dcmtk_user

pytestmark = pytest.mark.system

RELEASE_RESPONSE = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"


class Decrypted:
    """What a conversation takes for a socket."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def recv(self, length: int) -> bytes:
        return bytes(self.connection.take(length))

    def sendall(self, data: bytes) -> None:
        self.connection.send([data])

    def close(self) -> None:
        self.connection.close()


class Provider:
    """Answers C-ECHO and C-STORE, and keeps the hash of each data set that it is sent."""

    def __init__(self, tls: TlsSettings) -> None:
        self._profile = ConnectionProfile(tls=tls)
        self.received: list[str] = []
        self.failures: SimpleQueue[AditError] = SimpleQueue()
        self.peer = FakePeer(self._serve)

    @property
    def port(self) -> int:
        return self.peer.node().port

    def _serve(self, conversation: Conversation) -> None:
        sock = conversation.sock
        try:
            connection = accept(sock, peer="USER", profile=self._profile)
        except AditError as error:
            self.failures.put(error)
            return
        conversation.sock = Decrypted(connection)  # pyright: ignore[reportAttributeAccessIssue]
        conversation.accept(max_length=1 << 17)
        try:
            self._answer(conversation, DataValueReader(connection, 1 << 17))
        except PeerReleased:
            conversation.send_raw(RELEASE_RESPONSE)
        finally:
            sock.close()

    def _answer(self, conversation: Conversation, values: DataValueReader) -> None:
        while True:
            encoded = bytearray()
            context_id = _read_set(values, encoded.extend)
            command = decode(bytes(encoded))
            if command.CommandField == C_STORE_RQ:
                digest = hashlib.blake2b()
                _read_set(values, digest.update)
                self.received.append(digest.hexdigest())
            conversation.respond(Received(context_id, command), 0)


def _read_set(values: DataValueReader, take: Callable[[memoryview], object]) -> int:
    """Hand a command or data set to `take` piece by piece, and return its presentation context."""
    while True:
        value = values.next_value()
        while (fragment := values.take()) is not None:
            take(fragment)
        if value.is_last:
            return value.context_id


@pytest.fixture
def provider(authority: Authority) -> Iterator[Provider]:
    """A provider that wants a certificate of the authority."""
    provider = Provider(authority.issue(HOST).settings(authority))
    with provider.peer:
        yield provider


@pytest.fixture(scope="module")
def user(authority: Authority) -> Identity:
    return authority.issue("storescu")


def dcmtk(
    program: str,
    provider: Provider,
    user: Identity,
    trusting: Authority,
    folder: Path,
    *,
    options: Sequence[str] = (),
    files: Sequence[Path] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a user of DCMTK that shows a certificate and trusts an authority."""
    return dcmtk_user(
        program, provider.port, folder, identity=user, trusting=trusting, options=options, files=files
    )


def data_set_hash(path: Path) -> str:
    """Return the hash of the encoded data set, which begins behind the file meta information."""
    content = path.read_bytes()
    length = dcmread(path, stop_before_pixels=True).file_meta.FileMetaInformationGroupLength
    return hashlib.blake2b(memoryview(content)[132 + 12 + length :]).hexdigest()


def test_echoscu_is_answered(provider: Provider, tmp_path: Path, user: Identity, authority: Authority):
    done = dcmtk("echoscu", provider, user, authority, tmp_path)

    assert done.returncode == 0, done.stderr
    assert provider.failures.empty()


@pytest.mark.parametrize("spec", [ct_study(20, rows=256), large_study(100)], ids=["20 images", "100 MB"])
def test_what_storescu_sends_arrives_as_it_is(
    provider: Provider, tmp_path: Path, user: Identity, authority: Authority, spec: StudySpec
):
    files = write_study(spec, tmp_path / "study")

    done = dcmtk("storescu", provider, user, authority, tmp_path, options=["-xe"], files=files)

    assert done.returncode == 0, done.stderr
    assert provider.failures.empty()
    assert sorted(provider.received) == sorted(map(data_set_hash, files))


def test_users_of_another_authority_are_refused(provider: Provider, tmp_path: Path, authority: Authority):
    stranger = Authority("Other CA").issue("echoscu")

    done = dcmtk("echoscu", provider, stranger, authority, tmp_path)

    assert done.returncode != 0
    assert isinstance(provider.failures.get(timeout=10), TlsFailed)


def test_echoscu_refuses_a_provider_of_another_authority(provider: Provider, tmp_path: Path, user: Identity):
    done = dcmtk("echoscu", provider, user, Authority("Other CA"), tmp_path)

    assert done.returncode != 0
    failure = provider.failures.get(timeout=10)
    assert "does not accept our certificate" in str(failure)
