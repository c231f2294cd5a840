"""The network that fails on demand does fail, and in the way that was asked for."""

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest

from tests.fault_proxy import FaultProxy

HOST = "127.0.0.1"


@pytest.fixture
def network() -> Iterator[FaultProxy]:
    """A network that leads to a server which sends back what it is sent."""
    with socket.create_server((HOST, 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        with FaultProxy(listener.getsockname()[1]) as network:
            yield network
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def serve(listener: socket.socket) -> None:
    connections = []
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            break
        connections.append(Thread(target=echo, args=(sock,)))
        connections[-1].start()
    for thread in connections:
        thread.join()


def echo(sock: socket.socket) -> None:
    with sock:
        try:
            while data := sock.recv(1 << 16):
                sock.sendall(data)
        except OSError:
            return


def connected(network: FaultProxy, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection((HOST, network.port), timeout)


def answer(sock: socket.socket, data: bytes = b"hello") -> bytes:
    sock.sendall(data)
    return sock.recv(1 << 16)


def test_everything_passes_at_first(network: FaultProxy) -> None:
    with connected(network) as sock:
        assert answer(sock) == b"hello"


def test_a_connection_is_reset_after_so_many_bytes_and_the_next_one_is_fine(network: FaultProxy) -> None:
    network.cut_after(8)
    with connected(network) as sock:
        assert answer(sock) == b"hel"  # five bytes went there, and three came back
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with connected(network) as sock:
        assert answer(sock) == b"hello"


def test_what_is_cut_several_times_is_cut_again(network: FaultProxy) -> None:
    network.cut_after(8, times=2)
    for _ in range(2):
        with connected(network) as sock:
            assert answer(sock) == b"hel"
    with connected(network) as sock:
        assert answer(sock) == b"hello"


def test_a_stalled_connection_stays_open_while_others_pass(network: FaultProxy) -> None:
    network.stall_after(8)
    with connected(network, 0.5) as stalled, connected(network) as other:
        assert answer(stalled) == b"hel"
        with pytest.raises(TimeoutError):
            stalled.recv(1)
        with connected(network) as later:
            assert answer(later) == b"hello"
        network.heal()
        assert answer(other) == b"hello"


def test_nobody_can_connect_to_what_refuses_until_it_is_healed(network: FaultProxy) -> None:
    with connected(network) as sock:
        assert answer(sock) == b"hello"
        network.refuse()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises((ConnectionRefusedError, ConnectionResetError)), connected(network) as sock:
        sock.recv(1)
    network.heal()
    with connected(network) as sock:
        assert answer(sock) == b"hello"


def test_the_port_of_what_refuses_is_kept_until_it_is_healed(network: FaultProxy) -> None:
    network.refuse()
    while True:
        with suppress(ConnectionResetError), socket.socket() as client:
            if client.connect_ex((HOST, network.port)) == errno.ECONNREFUSED:
                break
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, network.port))


def test_nobody_is_answered_by_what_swallows_connections_until_it_is_healed(network: FaultProxy) -> None:
    network.swallow()
    with pytest.raises(TimeoutError):
        connected(network, 0.3)
    network.heal()
    with connected(network) as sock:
        assert answer(sock) == b"hello"
