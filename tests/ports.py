"""Ports that are kept for who is to listen on them, or for nobody."""

import socket

_HOST = "127.0.0.1"


def kept_port(port: int = 0) -> socket.socket:
    """Take a port, any free one by default, without listening on it, until what is returned is closed.

    Nobody who asks for any free port gets it meanwhile. Who is to have it can listen on it, if addresses may
    be reused, as servers have it.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind((_HOST, port))
    return keeper
