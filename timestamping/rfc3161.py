"""The client of outside RFC 3161 authorities: asks over HTTP, believes nothing it has not verified."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import requests
import rfc3161ng
import urllib3
from cryptography import x509

from plumbing.kept import cut_after, timed_session
from timestamping import der
from timestamping.base import Clock, TimestampVerifier, Token, TokenReport
from timestamping.errors import (
    AuthorityMisconfigured,
    AuthorityUnavailable,
    ClockDisagrees,
    TokenRefused,
)
from timestamping.messages import WAITING, Failure, parse_response
from timestamping.structure import parse_token
from timestamping.verify import unwrap_response

MAX_BODY = 64 * 1024
SIZE_MARGIN = 8
_QUERY_TYPE = "application/timestamp-query"
_REPLY_TYPE = "application/timestamp-reply"
_TEMPORARY = frozenset({Failure.TIME_NOT_AVAILABLE, Failure.SYSTEM_FAILURE})
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONNECTIONS = 16
# RFC 6750, 2.1: what may stand in the header.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


@dataclass(frozen=True, slots=True)
class HttpAuthorityConfig:
    """An outside authority.

    Attributes:
        url: http or https address that takes timestamp queries.
        timeout: seconds for one token as a whole, connecting included.
        policy: dotted policy to ask for and insist on, None to take the authority's default.
        username: for HTTP basic authentication, refused over plain http except to this machine.
        password: the same.
        bearer: secret for bearer authentication instead (RFC 6750), refused in the same way.
        own: True when the operator runs this authority; its tokens are labelled so.
        clock_tolerance: how far genTime may be from the local clock.
        tls_ca_file: PEM file of the TLS anchors, None for the usual public ones.
    """

    url: str
    timeout: float = 10.0
    policy: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    own: bool = False
    clock_tolerance: timedelta = timedelta(minutes=5)
    tls_ca_file: Path | None = None


def new_session() -> requests.Session:
    """A session that keeps connections open, takes no cookie and does not read the environment."""
    return timed_session(_CONNECTIONS)


class HttpAuthority:
    """An RFC 3161 authority reached over HTTP. Safe for threads.

    Args:
        config: the authority.
        verifier: verifies every token against the timestamp anchors.
        clock: local time that genTime is compared with.
        session: connections to use, of `timed_session`; by default `new_session()`.

    Raises:
        AuthorityMisconfigured: the address is not http or https, credentials would travel in clear or cannot be
            sent, or the policy is no object identifier.
    """

    def __init__(
        self,
        config: HttpAuthorityConfig,
        verifier: TimestampVerifier,
        clock: Clock,
        session: requests.Session | None = None,
    ) -> None:
        try:
            parts = urlsplit(config.url)
            if config.policy is not None:
                der.object_id(config.policy)
        except ValueError as error:
            raise AuthorityMisconfigured(f"timestamp authority settings: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AuthorityMisconfigured("the timestamp authority's address must be http or https")
        if parts.username is not None:
            raise AuthorityMisconfigured(
                "the timestamp authority's address must hold no credentials: it is logged"
            )
        known = config.username is not None or config.bearer is not None
        if known and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise AuthorityMisconfigured("credentials for the timestamp authority need https")
        if config.bearer is not None and (
            config.username is not None or not _BEARER.fullmatch(config.bearer)
        ):
            raise AuthorityMisconfigured("the timestamp authority's bearer secret cannot be sent")
        self._config = config
        self._verifier = verifier
        self._clock = clock
        self._session = session if session is not None else new_session()
        self._auth = None if config.username is None else (config.username, config.password or "")
        # Compressed bodies would get round the size limit.
        self._headers = {"Content-Type": _QUERY_TYPE, "Accept": _REPLY_TYPE, "Accept-Encoding": "identity"}
        if config.bearer is not None:
            self._headers["Authorization"] = f"Bearer {config.bearer}"
        self._sizes: tuple[int, ...] = ()
        self._chain: tuple[x509.Certificate, ...] = ()

    @property
    def own(self) -> bool:
        """True when the operator runs this authority."""
        return self._config.own

    @property
    def expected_size(self) -> int:
        """Octets of the longest of the last 16 tokens, and 8 more; asks for one token when none came yet.

        Raises:
            AuthorityUnavailable: none came yet and the authority does not answer.
            TokenRefused: the same, its token does not verify.
        """
        if not self._sizes:
            self.token(os.urandom(32))
        return max(self._sizes) + SIZE_MARGIN

    def chain(self) -> Sequence[x509.Certificate]:
        """The authority's certificate, then the issuers in its last token, without self-signed ones.

        Asks for one token when none came yet. Raises AuthorityUnavailable, TokenRefused.
        """
        if not self._chain:
            self.token(os.urandom(32))
        return self._chain

    def token(self, imprint: bytes, within: float | None = None) -> Token:
        """Timestamp a 32-byte SHA-256 imprint.

        1. Ask with a fresh nonce, certReq and, when configured, a policy.
        2. HTTP: status 200, media type of a timestamp reply, body of at most 64 KiB within the time limit.
        3. Status granted or grantedWithMods.
        4. The token: imprint, signer, ESSCertID, signature, role, path at genTime (the verifier's steps).
        5. The nonce is the one sent.
        6. The policy is the one configured.
        7. genTime is near the local clock.

        Args:
            imprint: the digest.
            within: seconds in which it must be done, where that is less than the configured time limit.

        Returns:
            The token, verified.

        Raises:
            AuthorityUnavailable: no answer in time, an HTTP error status, or a temporary failure.
            TokenRefused: TSA_STATUS (3), FORMAT_FAILURE (2, 3), TSA_NONCE (5), TSA_POLICY (6),
                HASH_FAILURE (imprint not 32 octets, or 4), and the verifier's codes (4).
            ClockDisagrees: TSA_CLOCK (7).
        """
        if len(imprint) != 32:
            raise TokenRefused("HASH_FAILURE", "the imprint is not a SHA-256 digest")
        # 1
        nonce = int.from_bytes(os.urandom(8), "big")
        request = rfc3161ng.encode_timestamp_request(
            rfc3161ng.make_timestamp_request(
                digest=imprint,
                hashname="sha256",
                include_tsa_certificate=True,
                nonce=nonce,
                tsa_policy_id=self._config.policy,
            )
        )
        # 2
        limit = self._config.timeout if within is None else min(within, self._config.timeout)
        body = self._exchange(request, limit)
        # 3
        _refuse_temporary(body)
        encoded = unwrap_response(body)
        # 4
        report = self._verifier.verify(encoded, imprint)
        # 5
        if parse_token(encoded).tst_info.nonce != nonce:
            raise TokenRefused("TSA_NONCE", "the token does not echo the nonce of this request")
        # 6
        if self._config.policy is not None and report.policy != self._config.policy:
            raise TokenRefused("TSA_POLICY", f"the token is under policy {report.policy}")
        # 7
        if abs(report.gen_time - self._clock.now()) > self._config.clock_tolerance:
            raise ClockDisagrees(
                report.gen_time, f"genTime {report.gen_time} is too far from the local clock"
            )
        self._sizes = (*self._sizes[-15:], len(encoded))
        self._chain = chain = _ordered_chain(report)
        return Token(der=encoded, gen_time=report.gen_time, own_authority=self._config.own, chain=chain)

    def _exchange(self, request: bytes, limit: float) -> bytes:
        """Post, once more when a kept connection turns out to have been closed by the server meanwhile."""
        if limit <= 0:
            raise AuthorityUnavailable("no time is left to ask the timestamp authority")
        deadline = time.monotonic() + limit
        try:
            with cut_after(limit):
                try:
                    return self._post(request, deadline)
                except requests.Timeout:
                    raise
                except requests.ConnectionError:
                    return self._post(request, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise AuthorityUnavailable(f"no answer from the timestamp authority: {error}") from error

    def _post(self, request: bytes, deadline: float) -> bytes:
        with self._session.post(
            self._config.url,
            data=request,
            headers=self._headers,
            auth=self._auth,
            timeout=max(0.001, deadline - time.monotonic()),
            verify=True if self._config.tls_ca_file is None else str(self._config.tls_ca_file),
            allow_redirects=False,
            stream=True,
        ) as response:
            # Headers that are cut at the end of the time may look whole, and so may a body without length.
            _demand_time(deadline)
            if response.status_code != 200:
                raise AuthorityUnavailable(f"the timestamp authority answered HTTP {response.status_code}")
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if media_type != _REPLY_TYPE or "Content-Encoding" in response.headers:
                raise TokenRefused("FORMAT_FAILURE", "the answer is not of the type of a timestamp reply")
            body = b""
            while chunk := response.raw.read1(MAX_BODY + 1 - len(body), decode_content=False):
                body += chunk
                if len(body) > MAX_BODY:
                    raise TokenRefused("FORMAT_FAILURE", f"the answer is longer than {MAX_BODY} octets")
            _demand_time(deadline)
            return body


def _demand_time(deadline: float) -> None:
    """Raise AuthorityUnavailable once the time is over."""
    if time.monotonic() > deadline:
        raise AuthorityUnavailable("the timestamp authority took too long to answer")


def _refuse_temporary(body: bytes) -> None:
    """Raise AuthorityUnavailable for a response that says: not now."""
    try:
        response = parse_response(body)
    except der.DerError as error:
        raise TokenRefused("FORMAT_FAILURE", f"not a timestamp response: {error}") from error
    if response.status == WAITING or (response.failures and response.failures <= _TEMPORARY):
        raise AuthorityUnavailable(f"the timestamp authority cannot answer now: {response.text}")


def _ordered_chain(report: TokenReport) -> tuple[x509.Certificate, ...]:
    """Signer, its issuer, and so on, as far as the token's certificates lead, without a self-signed root."""
    chain = [report.signer]
    while len(chain) <= len(report.certificates):
        issuer = next(
            (
                c
                for c in report.certificates
                if c.subject == chain[-1].issuer and c.subject != c.issuer and c not in chain
            ),
            None,
        )
        if issuer is None:
            break
        chain.append(issuer)
    return tuple(chain)
