"""HTTP exchanges with providers: one time limit and one size limit for all of it, no redirect, no environment."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlencode, urlsplit

from identity.errors import ProviderMisconfigured, ProviderUnavailable
from plumbing.addresses import is_loopback
from plumbing.once import connected, read_whole, target, tls_trusting

MAX_ANSWER = 256 * 1024
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


class HttpFetcher:
    """Fetches over HTTP/1.1, a connection for each exchange. Safe for threads.

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
            self._tls = tls_trusting(tls_ca)
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
            with connected(parts, deadline, self._tls) as connection:
                connection.request(method, target(parts), body, {"Accept": "application/json", **headers})
                response = connection.getresponse()
                content = read_whole(response, MAX_ANSWER, deadline)
                media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
                return Answer(response.status, media_type, content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Neither the address nor the library's words: both may hold tokens.
            raise ProviderUnavailable(f"no answer from the provider: {type(error).__name__}") from error


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
