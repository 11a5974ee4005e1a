"""A server that answers with given octets, as slowly as a test wants."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Serve = Callable[..., str]


@contextmanager
def answering() -> Iterator[Serve]:
    """Give what starts a server: `serve(*pieces, pause=0.0, tls=None)` returns its address.

    It answers one connection after the other with the pieces, a pause after each.
    """
    servers: list[socket.socket] = []

    def serve(*pieces: bytes, pause: float = 0.0, tls: ssl.SSLContext | None = None) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def run() -> None:
            while True:
                try:
                    wire, _ = server.accept()
                except OSError:
                    return
                try:
                    if tls is not None:
                        wire = tls.wrap_socket(wire, server_side=True)
                    wire.recv(65536)
                    for piece in pieces:
                        wire.sendall(piece)
                        time.sleep(pause)
                except OSError:
                    pass
                finally:
                    wire.close()

        threading.Thread(target=run, daemon=True).start()
        return f"{'http' if tls is None else 'https'}://127.0.0.1:{server.getsockname()[1]}"

    yield serve
    for server in servers:
        server.close()
