"""HTTP/1.1 with a connection for each exchange: one limit for its time, no redirect, nothing of the environment.

Not `requests`: it follows redirects, takes proxies from the environment, and its time limits are for each wait alone.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import SplitResult

from plumbing.deadlines import Wire, limited

PORTS = {"http": 80, "https": 443}
_CHUNK = 16 * 1024


def tls_trusting(anchors: Path | None) -> ssl.SSLContext:
    """Return how servers are checked.

    Args:
        anchors: PEM file; None for those of this computer.

    Raises:
        OSError: the file cannot be read, or holds none.
    """
    return ssl.create_default_context(cafile=None if anchors is None else str(anchors))


@contextmanager
def connected(
    parts: SplitResult, deadline: float, tls: ssl.SSLContext | None = None, address: str | None = None
) -> Iterator[http.client.HTTPConnection]:
    """Connect for one exchange, which is cut at the deadline, however slowly octets come.

    Args:
        parts: of the http or https address, which names a host.
        deadline: reading of `time.monotonic`. Only the resolver's own limits bound the look-up of the name.
        tls: how the server is checked; None for the anchors of this computer.
        address: numeric one to connect to, whatever the name says; None for those that the name has.

    Raises:
        OSError: no connection in time, or a server that is not the one named.
        ValueError: a host that cannot be looked up.
    """
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    with ExitStack() as opened:
        wire = opened.enter_context(_wire(address or host, port, deadline))
        if parts.scheme == "https":
            checks = tls or tls_trusting(None)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, context=checks)
            # Wrapping takes the descriptor from the plain socket: the handshake waits until the cut knows the new one.
            wire = opened.enter_context(
                checks.wrap_socket(wire, server_hostname=host, do_handshake_on_connect=False)
            )
        else:
            connection = http.client.HTTPConnection(host, port)
        connection.sock = wire
        opened.callback(connection.close)
        # The exchange ends first: nobody cuts a descriptor that is closed, and another's by then.
        opened.enter_context(limited(deadline)).use(Wire(wire))
        if isinstance(wire, ssl.SSLSocket):
            wire.do_handshake()
        yield connection


def target(parts: SplitResult) -> str:
    """Return what a request line asks for: path and query."""
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def read_whole(response: http.client.HTTPResponse, most: int, deadline: float) -> bytes:
    """Read the body of an answer to its end.

    Args:
        response: of a connection that `connected` gave.
        most: octets that it may have.
        deadline: the one given to `connected`.

    Raises:
        OSError: it did not come in time.
        ValueError: it is longer.
        http.client.HTTPException: it ended before its announced end.
    """
    content = bytearray()
    while chunk := response.read(_CHUNK):
        content += chunk
        if len(content) > most:
            raise ValueError("answer too long")
    # What the time limit cut looks like an end where no length was announced.
    if time.monotonic() >= deadline:
        raise TimeoutError("the time for this exchange is over")
    if response.length:
        raise http.client.IncompleteRead(bytes(content), response.length)
    return bytes(content)


def _wire(host: str, port: int, deadline: float) -> socket.socket:
    """Connect within one limit for all addresses of the name."""
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        wire = socket.socket(family, kind, protocol)
        try:
            wire.settimeout(left)
            wire.connect(address)
        except OSError as error:
            wire.close()
            last = error
        else:
            return wire
    raise last
