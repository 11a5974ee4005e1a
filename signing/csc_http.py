"""HTTPS exchanges of JSON with a remote signing service: one time limit for all of it, no redirect, no environment."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from signing.errors import KeyUnusable, SigningUnavailable

MOST_OCTETS = 256 * 1024
_CHUNK = 16 * 1024
_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answered.

    Attributes:
        status: HTTP status.
        content: of the JSON object in the body; empty when it is none.
    """

    status: int
    content: Mapping[str, Any] = field(repr=False)


class Wire:
    """Speaks to one service, a connection for each exchange. Safe for threads.

    A service that gave no answer is left alone for some seconds: callers are refused at once, then one of them tries.
    """

    def __init__(self, seconds: float, tls_ca: Path | None) -> None:
        """Take the limits.

        Args:
            seconds: for an exchange, from the connection to the last octet; only the resolver's own limits bound the
                look-up of the name.
            tls_ca: PEM file of TLS anchors; None for those of this computer.

        Raises:
            KeyUnusable: the file of anchors cannot be read.
        """
        self._seconds = seconds
        try:
            self._tls = ssl.create_default_context(cafile=None if tls_ca is None else str(tls_ca))
        except (OSError, ValueError) as error:
            raise KeyUnusable("the TLS anchors of the signing service cannot be read") from error
        self._guard = threading.Lock()
        self._rests_until = 0.0

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post and return the answer, whatever its status below 500.

        Raises:
            SigningUnavailable: no answer in time, an HTTP status from 500 on or 429, or one that is no JSON object.
        """
        self._require_awake()
        deadline = time.monotonic() + self._seconds
        try:
            with self._connection(url, deadline) as connection:
                connection.request("POST", urlsplit(url).path, body, dict(headers))
                response = connection.getresponse()
                octets = _read(response, deadline)
            if response.status >= 500 or response.status == 429:
                raise ConnectionError(f"HTTP {response.status}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            with self._guard:
                self._rests_until = time.monotonic() + _PAUSE_S
            # Not the library's words: they may quote what was sent.
            reason = str(error) if type(error) is ConnectionError else type(error).__name__
            raise SigningUnavailable(f"no answer from the signing service: {reason}") from None
        with self._guard:
            self._rests_until = 0.0
        return Answer(response.status, _object(octets, expected=response.status == 200))

    def _require_awake(self) -> None:
        with self._guard:
            now = time.monotonic()
            if now < self._rests_until:
                raise SigningUnavailable("the signing service gave no answer a moment ago")
            if self._rests_until:
                # This caller tries for all.
                self._rests_until = now + self._seconds

    @contextmanager
    def _connection(self, url: str, deadline: float) -> Iterator[http.client.HTTPSConnection]:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
        wire = socket.create_connection((host, port), timeout=max(0.001, deadline - time.monotonic()))
        # A second name of the same connection: TLS takes the first away from us while it shakes hands.
        guard = wire.dup()
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, (guard,))
        timer.daemon = True
        timer.start()
        try:
            connection = http.client.HTTPSConnection(host, port)
            try:
                connection.sock = self._tls.wrap_socket(wire, server_hostname=host)
                yield connection
            finally:
                connection.close()
                wire.close()
        finally:
            timer.cancel()
            timer.join()
            guard.close()


def _cut(guard: socket.socket) -> None:
    with suppress(OSError):
        guard.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    while chunk := response.read(_CHUNK):
        content += chunk
        if len(content) > MOST_OCTETS:
            raise ValueError("answer too long")
    # What the time limit cut looks like an end where no length was announced.
    if time.monotonic() >= deadline:
        raise TimeoutError("the time for this exchange is over")
    return bytes(content)


def _object(octets: bytes, *, expected: bool) -> Mapping[str, Any]:
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    if expected:
        raise SigningUnavailable("the signing service answered with something else than a JSON object")
    return {}
