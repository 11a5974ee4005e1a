"""HTTPS exchanges of JSON with a remote signing service: one time limit for all of it, no redirect, no environment."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plumbing.once import connected, read_whole, target, tls_trusting
from signing.errors import KeyUnusable, SigningUnavailable

MOST_OCTETS = 256 * 1024
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
            self._tls = tls_trusting(tls_ca)
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
            parts = urlsplit(url)
            with connected(parts, deadline, self._tls) as connection:
                connection.request("POST", target(parts), body, dict(headers))
                response = connection.getresponse()
                octets = read_whole(response, MOST_OCTETS, deadline)
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
