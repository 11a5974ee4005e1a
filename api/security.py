"""Headers that keep answers where they belong, and the check of the name the caller used."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from plumbing import addresses

_PAGE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The vendored OpenAPI page fetches the description and draws its arrows from data: images in its style sheet.
DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
# A document somebody else made must never act as a page of this service.
DOWNLOAD_CSP = "sandbox; default-src 'none'; frame-ancestors 'none'"

DEFAULT_HEADERS = {
    "Content-Security-Policy": _PAGE_CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

# The longest host that is remembered: what callers send is as long as they like.
_SHORT = 64

# Whoever audits may do so from a page of his own: these answers are the same to everybody, and no login counts.
_PUBLIC_PATH = "/ledger/"
_PUBLIC_HEADERS = {
    **DEFAULT_HEADERS,
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Origin": "*",
}
_DEFAULT, _PUBLIC = (
    tuple((name.lower().encode(), value.encode()) for name, value in headers.items())
    for headers in (DEFAULT_HEADERS, _PUBLIC_HEADERS)
)


def with_defaults(headers: Iterable[tuple[bytes, bytes]], path: str = "") -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with the defaults added where the answer has not its own.

    Args:
        headers: what the answer has.
        path: what was asked for; files of the public ledger may be read by pages of any origin.
    """
    given = list(headers)
    names = {name.lower() for name, _ in given}
    defaults = _PUBLIC if path.startswith(_PUBLIC_PATH) else _DEFAULT
    return given + [header for header in defaults if header[0] not in names]


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address, without port, is this machine by a name nobody else can claim."""
    return _remembered(host) if len(host) <= _SHORT else addresses.is_loopback(host)


_remembered = lru_cache(maxsize=256)(addresses.is_loopback)


def host_of(header: str) -> str:
    """Return the host of a Host header, without its port ("" when malformed)."""
    if header.startswith("["):
        host, bracket, rest = header.partition("]")
        return host + bracket if bracket and (not rest or rest[1:].isdigit()) else ""
    host, _, port = header.partition(":")
    return host if not port or port.isdigit() else ""
