"""Fetches revocation data and issuers' certificates from addresses that strangers chose: with a guard.

The addresses stand in certificates, so whoever signs a file could make this program call anything that it can
reach: machines of the operator's own network, services of the cloud it runs in, itself (server-side request
forgery). So only public addresses are called, the address that was checked is the one that is connected to, and
nothing of the operator's goes along: no proxy, no cookie, no credentials.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from plumbing.once import PORTS, connected, read_whole, target

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_URL = 2048
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OCSP = "application/ocsp-request"
# Ranges in which an address stands for another one, which may be a private one.
_TRANSLATED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::ffff:0:0/96",
        "::/96",
        "192.88.99.0/24",
    )
)


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What fetching may cost for one file.

    Attributes:
        seconds: of one request, from the name to the last octet.
        all_seconds: of all requests together.
        octets: of one answer.
        requests: in all, redirections included.
        redirects: that one request may follow.
    """

    seconds: float = 5.0
    all_seconds: float = 15.0
    octets: int = 4 << 20
    requests: int = 24
    redirects: int = 3


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public Internet, and stands for no other."""
    if any(address in network for network in _TRANSLATED if network.version == address.version):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not special and not address.is_private and not address.is_link_local


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises OSError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class WebFetcher:
    """A `signing.judgement.Fetcher` for the process that judges one file; what it got once it does not get twice."""

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        permitted: Callable[[Address], bool] = is_public,
        resolver: Callable[[str, int], Sequence[str]] = resolve,
        ports: frozenset[int] = frozenset(PORTS.values()),
    ) -> None:
        """Prepare; the time for all requests begins with the first one.

        Args:
            limits: of this file.
            permitted: says which addresses may be called.
            resolver: looks a host up.
            ports: that may be called.
        """
        self._limits = limits or FetchLimits()
        self._permitted = permitted
        self._resolve = resolver
        self._ports = ports
        self._end: float | None = None
        self._asked = 0
        self._known: dict[tuple[str, bytes | None], bytes | None] = {}

    def fetch(self, url: str, body: bytes | None = None) -> bytes | None:
        """Return what an address answers.

        1. Only http and https, on their ports, without user information. 2. The host is resolved once, and every
        address of it is public. 3. That address is connected to, whatever the name says by then. 4. A
        redirection is a new address, from 1. 5. All within the limits.

        Args:
            url: from a certificate: hostile.
            body: an OCSP request to post; None gets.

        Returns:
            The answer's octets; None when it cannot be had. Never raises.
        """
        key = (url, body)
        if key not in self._known:
            self._known[key] = self._follow(url, body)
        return self._known[key]

    def _follow(self, url: str, body: bytes | None) -> bytes | None:
        now = time.monotonic()
        self._end = self._end or now + self._limits.all_seconds
        deadline = min(now + self._limits.seconds, self._end)
        for _ in range(self._limits.redirects + 1):
            self._asked += 1
            if self._asked > self._limits.requests:
                return None
            try:
                answer = self._ask(url, body, deadline)
            except (OSError, http.client.HTTPException, ValueError, LookupError):
                return None
            if not isinstance(answer, str):
                return answer
            # 4
            url, body = urljoin(url, answer), None
        return None

    def _ask(self, url: str, body: bytes | None, deadline: float) -> bytes | str | None:
        """Ask one address; returns the answer, or where it redirects to."""
        # 1
        parts = _parts(url, self._ports)
        if parts is None:
            return None
        # 2
        address = self._address(parts.hostname or "", parts.port or PORTS[parts.scheme], deadline)
        if address is None:
            return None
        # 3
        with connected(parts, deadline, address=address) as connection:
            headers = {"Accept-Encoding": "identity", "User-Agent": "probans-verify", "Connection": "close"}
            if body is not None:
                headers["Content-Type"] = _OCSP
            connection.request("GET" if body is None else "POST", target(parts), body, headers)
            answer = connection.getresponse()
            if answer.status in _REDIRECTS:
                return answer.headers.get("Location", "")
            # 5
            found = answer.status == http.client.OK
            return (read_whole(answer, self._limits.octets, deadline) if found else b"") or None

    def _address(self, host: str, port: int, deadline: float) -> str | None:
        found: list[Sequence[str]] = []

        def look() -> None:
            with contextlib.suppress(OSError, ValueError):
                found.append(self._resolve(host, port))

        # The system's resolver knows no time limit.
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))
        addresses = found[0] if found else ()
        permitted = [self._permitted(ipaddress.ip_address(each)) for each in addresses]
        return addresses[0] if addresses and all(permitted) else None


def _parts(url: str, ports: frozenset[int]) -> SplitResult | None:
    if len(url) > _MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None or "@" in parts.netloc:
        return None
    return parts if (parts.port or PORTS[parts.scheme]) in ports else None
