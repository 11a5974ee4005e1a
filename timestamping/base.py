"""Ports of the timestamping package (RFC 3161)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509


@dataclass(frozen=True, slots=True)
class Token:
    """An RFC 3161 TimeStampToken obtained from an authority and already checked by the client.

    Attributes:
        der: the token (ContentInfo), as the authority sent it.
        gen_time: the UTC instant the authority states.
        own_authority: True when the operator's own authority made it; labelled so everywhere.
        chain: the certificate that signed it, then its issuers as far as the token carries them.
    """

    der: bytes
    gen_time: datetime
    own_authority: bool
    chain: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class TokenReport:
    """What verification found in a valid token.

    Attributes:
        gen_time: UTC instant in TSTInfo.
        policy: dotted policy identifier.
        serial: serial number of the token.
        imprint_algorithm: name such as "sha256".
        imprint: the hashed message.
        signer: certificate of the authority, bound by ESSCertID(v2).
        certificates: every certificate inside the token.
    """

    gen_time: datetime
    policy: str
    serial: int
    imprint_algorithm: str
    imprint: bytes
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]


class Clock(Protocol):
    """Source of the current time."""

    def now(self) -> datetime:
        """Return the current time, UTC."""
        ...


class SigningKey(Protocol):
    """A private key, wherever it is held, that signs in the one way its kind has here."""

    def sign(self, data: bytes) -> bytes:
        """Sign with SHA-256: P-256 gives DER ECDSA, RSA gives RSASSA-PSS (MGF1-SHA-256, salt of 32).

        Raises AuthorityUnavailable: the key does not answer now.
        """
        ...


class PathValidator(Protocol):
    """Certificate path validation (RFC 5280), given to this package by its user."""

    def validate(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> Sequence[x509.Certificate]:
        """Return the path, certificate first, anchor last; raise an error with a `code` attribute."""
        ...


class AlgorithmRule(Protocol):
    """Says until when algorithms were good, given to this package by its user."""

    def check(
        self,
        *,
        digest: str | None = None,
        scheme: str | None = None,
        bits: int | None = None,
        curve: str | None = None,
        at: datetime,
        proven: bool,
    ) -> None:
        """Refuse what was not accepted at a time; raise an error with a `code` attribute.

        Args:
            digest: name such as "sha1".
            scheme: "rsa-pkcs1", "rsa-pss", "ecdsa" or "ed25519".
            bits: key size.
            curve: name of the curve of an elliptic key.
            at: the time, UTC.
            proven: that what is judged existed at this time is proven.
        """
        ...


class TimestampAuthority(Protocol):
    """An authority that timestamps SHA-256 imprints."""

    @property
    def own(self) -> bool:
        """True for the operator's own authority."""
        ...

    @property
    def expected_size(self) -> int:
        """The largest size in octets that a usual token of this authority has; used to reserve space."""
        ...

    def chain(self) -> Sequence[x509.Certificate]:
        """The authority's certificate, then its issuers (without the root when it is known)."""
        ...

    def token(self, imprint: bytes) -> Token:
        """Timestamp a 32-byte SHA-256 imprint. Raises AuthorityUnavailable, TokenRefused."""
        ...


class TimestampVerifier(Protocol):
    """Verifies tokens against timestamp trust anchors."""

    def verify(
        self,
        token: bytes,
        imprint: bytes,
        *,
        others: Sequence[x509.Certificate] = (),
        crls: Sequence[bytes] = (),
        at: datetime | None = None,
        proven: bool = False,
    ) -> TokenReport:
        """Check a token over an imprint (SHA-256 unless the token's algorithm has that digest size).

        Args:
            token: DER TimeStampToken.
            imprint: the digest that it must cover.
            others: further certificates.
            crls: further DER certificate lists.
            at: time at which a dated rule judges the algorithms; None for the token's own.
            proven: that the token existed at `at` is proven by something newer.

        Raises:
            TokenRefused: with the code of the first step that failed.
        """
        ...
