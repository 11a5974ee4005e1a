"""A relay before a server, which lets octets through late when it is told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK = 1 << 16


class Relay:
    """Takes connections at one address and passes them on to another; whoever is refused there is cut off.

    Attributes:
        delay_s: seconds that each piece waits, in either direction.
    """

    def __init__(self, listener: socket.socket, reach: Callable[[], socket.socket]) -> None:
        """Begin.

        Args:
            listener: bound already.
            reach: connects to the server.
        """
        self.delay_s = 0.0
        self._listener, self._reach = listener, reach
        listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def tcp(cls, port: int) -> Relay:
        """Relay to a port of this machine."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        return cls(listener, lambda: socket.create_connection(("127.0.0.1", port), 5))

    @classmethod
    def postgresql(cls, folder: Path, server: Path) -> Relay:
        """Relay to the socket in a server's folder, from one of the same name in another folder."""
        listener = socket.socket(socket.AF_UNIX)
        name = ".s.PGSQL.5432"
        listener.bind(str(folder / name))

        def reach() -> socket.socket:
            found = socket.socket(socket.AF_UNIX)
            try:
                found.connect(str(server / name))
            except OSError:
                found.close()
                raise
            return found

        return cls(listener, reach)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @contextmanager
    def slowed(self, seconds: float) -> Iterator[None]:
        """Let each piece wait while the block runs."""
        self.delay_s = seconds
        try:
            yield
        finally:
            self.delay_s = 0.0

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            server = self._reach()
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            if each.family == socket.AF_INET:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
        back.start()
        self._pass(client, server)
        back.join()
        client.close()
        server.close()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(_CHUNK):
                if self.delay_s:
                    time.sleep(self.delay_s)
                target.sendall(piece)
        for each, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with suppress(OSError):
                each.shutdown(how)
