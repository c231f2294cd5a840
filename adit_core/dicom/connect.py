"""Opening connections, plain or encrypted: to a node as a user, or from a peer as a provider.

TLS begins with the first byte (PS3.15 B.12 knows no upgrade of a plain connection).
"""

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress

from adit_core.dicom.connection import MOST_AT_ONCE, Connection, reason
from adit_core.dicom.node import ConnectionProfile, ServerNode
from adit_core.dicom.tls import client_context, is_alert, server_context, tls_error, trusting_context
from adit_core.errors import AditError, ConnectionFailed, PeerTimeout

_LAST_ALERT_TIME = 0.5
"""How long a broken connection is searched for the peer's reason, in seconds."""
_PERHAPS = "perhaps it does not speak TLS"


def connect(node: ServerNode) -> Connection:
    """Connect to `node`, in TLS if its profile says so.

    Raises:
        ConnectionFailed: The host is unknown or not reachable, or nobody listens there.
        TlsFailed: The node is not whom it should be, does not accept us, or does not speak TLS.
    """
    peer, profile = _peer(node), node.profile
    context = client_context(profile.tls) if profile.tls else None
    sock = _open_socket(node)
    if context is None:
        return Connection(sock, peer=peer, silence_timeout=profile.silence_timeout)
    encrypted = context.wrap_socket(sock, server_hostname=node.host, do_handshake_on_connect=False)
    _shake_hands(encrypted, peer)
    return TlsConnection(encrypted, peer=peer, silence_timeout=profile.silence_timeout)


def tls_version(node: ServerNode) -> str | None:
    """Return the version of TLS that `node` speaks, None if it does not, whatever its profile says.

    It says so before it says whom it trusts, so this takes no certificate; nothing is sent to it. The
    version is empty if it speaks TLS, but not with us.

    Raises:
        ConnectionFailed: The host is unknown or not reachable, or nobody listens there.
    """
    encrypted = trusting_context().wrap_socket(_open_socket(node), do_handshake_on_connect=False)
    with encrypted:
        try:
            encrypted.do_handshake()
        except OSError as error:
            return "" if isinstance(error, ssl.SSLError) and is_alert(error) else None
        return encrypted.version()


def accept(sock: socket.socket, *, peer: str, profile: ConnectionProfile) -> Connection:
    """Take over a connection that `peer` has made, in TLS if `profile` says so.

    The handshake happens here and ends within the connect timeout, so do this in the thread of the
    association. The caller keeps `sock`: to shut it down breaks the connection off, and it has to be
    closed at the end whatever becomes of the connection.

    A provider calls :func:`~adit_core.dicom.tls.server_context` when it starts as well, to be told at
    once what is wrong with its certificate.

    Raises:
        ConnectionFailed: The connection broke, or the peer was silent.
        TlsFailed: The peer shows no certificate that is accepted, or does not speak TLS.
    """
    if profile.tls is None:
        return Connection(sock, peer=peer, silence_timeout=profile.silence_timeout)
    sock.settimeout(profile.connect_timeout)
    # A socket that is wrapped is of no use afterwards, and so it is a duplicate that is.
    encrypted = server_context(profile.tls).wrap_socket(
        sock.dup(), server_side=True, do_handshake_on_connect=False
    )
    _shake_hands(encrypted, peer)
    return TlsConnection(encrypted, peer=peer, silence_timeout=profile.silence_timeout)


def _peer(node: ServerNode) -> str:
    return f"{node.name} ({node.ae_title} at {node.host}:{node.port})"


def _open_socket(node: ServerNode) -> socket.socket:
    patience = node.profile.connect_timeout
    try:
        return socket.create_connection((node.host, node.port), patience)
    except TimeoutError as error:
        raise ConnectionFailed(f"{_peer(node)} did not take the connection within {patience:g} s") from error
    except (OSError, UnicodeError) as error:  # a host name that IDNA cannot encode is a UnicodeError
        raise ConnectionFailed(f"No connection to {_peer(node)}: {reason(error)}") from error


def _shake_hands(encrypted: ssl.SSLSocket, peer: str) -> None:
    # Not by wrap_socket, which quietly leaves it out if the connection has been reset.
    try:
        encrypted.do_handshake()
    except OSError as error:
        encrypted.close()
        raise _handshake_error(peer, error) from error


def _handshake_error(peer: str, error: OSError) -> AditError:
    if isinstance(error, TimeoutError):
        return ConnectionFailed(f"{peer} did not finish the TLS handshake in time; {_PERHAPS}")
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return tls_error(peer, error)
    return ConnectionFailed(f"{peer} ended the connection in the TLS handshake; {_PERHAPS}")


class TlsConnection(Connection):
    """A connection whose bytes travel encrypted."""

    _socket: ssl.SSLSocket

    def has_input(self) -> bool:
        """Tell whether the peer sent something that was not read yet, or closed the connection.

        What has arrived may be for TLS alone (a ticket or a new key), so it is looked at.
        """
        if self._held or self._socket.pending():
            return True
        return bool(self._poll.poll(0)) and self._reads_something()

    def close(self) -> None:
        """Close the connection, telling the peer that nothing was cut off; may be called again."""
        with suppress(OSError, ValueError):  # the connection may be broken, or closed already
            self._socket.settimeout(0)
            self._socket.unwrap()
        super().close()

    def _reads_something(self) -> bool:
        self._socket.settimeout(0)
        try:
            self._held = memoryview(self._socket.recv(MOST_AT_ONCE))
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True  # whoever reads next is told what is wrong
        finally:
            self._socket.settimeout(self._silence_timeout)
        return True

    def _send_all(self, buffers: Sequence[bytes | memoryview]) -> None:
        # A record for each buffer would be many small ones, and sockets of TLS gather nothing.
        try:
            super()._send_all([b"".join(buffers)])
        except ConnectionFailed:
            self._raise_last_alert()
            raise

    def _send_some(self, buffers: Sequence[bytes | memoryview]) -> int:
        return self._socket.send(buffers[0])

    def _raise_last_alert(self) -> None:
        """Raise TlsFailed if the peer said so before the connection broke.

        In TLS 1.3 a user believes that the handshake is over before the provider has seen its
        certificate, and so it may be sending already when that is refused.
        """
        self._socket.settimeout(_LAST_ALERT_TIME)
        with suppress(ConnectionFailed, PeerTimeout):
            self._fill(1)

    def _end_sending(self) -> None:
        with suppress(OSError, ValueError):  # it says that it waits for the peer to end as well
            self._socket.unwrap()
        super()._end_sending()

    def _failure(self, error: OSError, verb: str) -> AditError:
        if isinstance(error, ssl.SSLError):
            return tls_error(self.peer, error)
        return super()._failure(error, verb)
