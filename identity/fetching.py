"""HTTP exchanges with providers: one time limit and one size limit for all of it, no redirect, no environment."""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlencode, urlsplit

from identity.errors import ProviderMisconfigured, ProviderUnavailable

MAX_ANSWER = 256 * 1024
_CHUNK = 16 * 1024
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered.

    Attributes:
        status: HTTP status.
        media_type: of the body, in lower case, without parameters.
        body: at most `MAX_ANSWER` octets; may hold tokens and personal data.
    """

    status: int
    media_type: str
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises ValueError if it is none."""
        try:
            value = json.loads(self.body.decode("utf-8"), parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(value, dict):
            raise ValueError("not an object")  # noqa: TRY004 (one kind for all that is malformed)
        return value


class Fetcher(Protocol):
    """Speaks to a provider. Raises ProviderUnavailable when there is no answer in time."""

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET."""
        ...

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a POST of a form."""
        ...


def check_address(url: str) -> SplitResult:
    """Return the parts of an absolute https address (http on loopback), without user, fragment or oddities.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(url)
    if not url.isascii() or any(character <= " " or character in '\\<>"' for character in url):
        raise ValueError("characters that no address has")
    host = parts.hostname
    if not host or parts.username is not None or parts.password is not None or "#" in url:
        raise ValueError("not an absolute address")
    if parts.port == 0 or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ValueError("neither https nor this machine")
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpFetcher:
    """Fetches over HTTP/1.1, a connection for each exchange. Safe for threads.

    Not `requests`: it follows redirects, takes proxies from the environment, and its time limits are for each wait
    alone, so that an octet now and then holds the caller for days.

    Args:
        timeout_s: seconds for a whole exchange, from the connection to the last octet. Only the resolver's own
            limits bound the look-up of the name.
        tls_ca: PEM file of TLS anchors; None for those of this computer.

    Raises:
        ProviderMisconfigured: IDENTITY_MISCONFIGURED, the file of anchors cannot be read.
    """

    def __init__(self, timeout_s: float, tls_ca: Path | None = None) -> None:
        self._timeout = timeout_s
        try:
            self._tls = ssl.create_default_context(cafile=None if tls_ca is None else str(tls_ca))
        except (OSError, ValueError) as error:
            raise ProviderMisconfigured(
                "IDENTITY_MISCONFIGURED", f"TLS anchors {tls_ca} cannot be read"
            ) from error

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET. Raises ProviderUnavailable."""
        return self._exchange("GET", url, None, dict(headers or {}))

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a POST of a form. Raises ProviderUnavailable."""
        return self._exchange(
            "POST", url, urlencode(form).encode(), {"Content-Type": _FORM, **(headers or {})}
        )

    def _exchange(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        deadline = time.monotonic() + self._timeout
        try:
            parts = check_address(url)
            with self._connection(parts, deadline) as connection:
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request(method, path, body, {"Accept": "application/json", **headers})
                response = connection.getresponse()
                content = _read(response, deadline)
                media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
                return Answer(response.status, media_type, content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Neither the address nor the library's words: both may hold tokens.
            raise ProviderUnavailable(f"no answer from the provider: {type(error).__name__}") from error

    @contextmanager
    def _connection(self, parts: SplitResult, deadline: float) -> Iterator[http.client.HTTPConnection]:
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        wire = _connect(host, port, deadline)
        # A second name of the same connection: TLS takes the first away from us while it shakes hands.
        guard = wire.dup()
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, (guard,))
        timer.daemon = True
        timer.start()
        try:
            connection = http.client.HTTPConnection(host, parts.port)
            try:
                connection.sock = (
                    self._tls.wrap_socket(wire, server_hostname=host) if parts.scheme == "https" else wire
                )
                yield connection
            finally:
                connection.close()
                wire.close()
        finally:
            timer.cancel()
            timer.join()
            guard.close()


def _connect(host: str, port: int, deadline: float) -> socket.socket:
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


def _cut(guard: socket.socket) -> None:
    with suppress(OSError):
        guard.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    while chunk := response.read(_CHUNK):
        content += chunk
        if len(content) > MAX_ANSWER:
            raise ValueError("answer too long")
    # What the time limit cut looks like an end where no length was announced.
    if time.monotonic() >= deadline:
        raise TimeoutError("the time for this exchange is over")
    return bytes(content)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def finite(value: object) -> float | None:
    """Return a JSON number as a float, or None for anything else (booleans, too large ones)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
