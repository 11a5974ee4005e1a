"""Who is at the other end of a connection: the address to count for, and the client certificate that was shown.

Both are the socket's, or what a trusted proxy says. What anybody else says in these headers counts as not said.
"""

from __future__ import annotations

import base64
import ipaddress
import urllib.parse
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import Request

from api.deps import get_vault, single_header
from vault.authorization.rates import network_of
from vault.errors import Refused
from vault.settings import Settings

_FORWARDED = "X-Forwarded-For"
_MOST_HOPS = 32
_MAX_CERTIFICATE = 16_384
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Peers:
    """Tells peers apart by the settings; one for an application."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings. Raises SettingsRefused."""
        self._networks = settings.proxy_networks
        self._header = settings.client_certificate_header

    def address(self, request: Request) -> str:
        """Return the address of who asks; "" when there is none (a local socket).

        Of X-Forwarded-For the last entry that is no trusted proxy counts: those before it are the caller's own words.
        """
        peer = request.client.host if request.client else ""
        if not self._trusts(_parsed(peer)):
            return peer
        found = peer
        hops = ",".join(request.headers.getlist(_FORWARDED)).split(",")
        for hop in reversed(hops[-_MOST_HOPS:]):
            address = _parsed(hop.strip())
            if address is None:
                break
            found = str(address)
            if not self._trusts(address):
                break
        return found

    def trusts(self, host: str) -> bool:
        """Tell whether a connection comes from a trusted proxy."""
        return self._trusts(_parsed(host))

    def certificate(self, request: Request) -> bytes | None:
        """Return the SHA-256 of the client certificate that a trusted proxy names, or None.

        Raises:
            Refused: FIELD_INVALID, a trusted proxy names something else or an outdated certificate.
        """
        if not self._header:
            return None
        peer = request.client.host if request.client else ""
        if not self._trusts(_parsed(peer)):
            return None
        value = single_header(request, self._header)
        if not value:
            return None
        try:
            certificate = _certificate(value)
            begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        except ValueError as error:  # that of base64 is one too
            raise Refused("FIELD_INVALID", "a certificate is expected", field=self._header) from error
        if not begins <= get_vault(request).parts.clock.now() <= ends:
            raise Refused("FIELD_INVALID", "the certificate is outdated", field=self._header)
        return certificate.fingerprint(SHA256())

    def _trusts(self, address: _Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def get_peers(request: Request) -> Peers:
    """Return what tells peers apart."""
    return cast("Peers", request.app.state.peers)


def demand_rate(request: Request, kind: str) -> None:
    """Count a request for the network it comes from.

    Args:
        request: what came.
        kind: of `Settings.rates_per_minute`.

    Raises:
        Refused: RATE_LIMITED.
    """
    who = network_of(get_peers(request).address(request))
    get_vault(request).people.limits.demand(kind, who)


def _parsed(text: str) -> _Address | None:
    """Read an address, with or without a port; an IPv4 address in IPv6 clothes is an IPv4 address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def _certificate(value: str) -> x509.Certificate:
    if len(value) > _MAX_CERTIFICATE:
        raise ValueError("too long")
    if value.startswith(":") and value.endswith(":"):  # RFC 9440 section 2.1: a byte sequence of DER
        return x509.load_der_x509_certificate(base64.b64decode(value.strip(":"), validate=True))
    return x509.load_pem_x509_certificate(urllib.parse.unquote(value).encode("ascii"))
