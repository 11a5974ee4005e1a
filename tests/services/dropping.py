"""An HTTP server that can go away whole, as a dead service does."""

from __future__ import annotations

import socket
from contextlib import suppress
from http.server import ThreadingHTTPServer


class DroppingServer(ThreadingHTTPServer):
    """Forgets kept connections too when it stops, as a dead service does."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: object) -> None:
        self._kept: list[socket.socket] = []
        super().__init__(*arguments)  # type: ignore[arg-type]

    def get_request(self):  # type: ignore[no-untyped-def]
        connection, address = super().get_request()
        self._kept.append(connection)
        return connection, address

    def handle_error(self, *arguments: object) -> None:
        """A client that went away is no error."""

    def drop(self) -> None:
        """Close the listener and every connection."""
        self.server_close()
        for connection in self._kept:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
