"""What dates documents and the ledger, opened; `vault.backends.tsa` chooses it."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from signing.revocation import RevocationSource
from timestamping.authority import EmbeddedAuthority
from timestamping.base import TimestampAuthority, TimestampVerifier


@dataclass(frozen=True, slots=True)
class Dating:
    """Timestamp authorities, and what is believed of them.

    Attributes:
        authority: dates documents.
        revocation: of the seals' certificates and of this authority's.
        anchor_authority: dates the ledger.
        anchor_revocation: of this authority's certificates.
        anchor_verifier: judges its tokens, and those before.
        roots: of both authorities.
        embedded: the service's own authority, where it dates documents: others may ask it too.
    """

    authority: TimestampAuthority
    revocation: RevocationSource
    anchor_authority: TimestampAuthority
    anchor_revocation: RevocationSource
    anchor_verifier: TimestampVerifier
    roots: tuple[x509.Certificate, ...]
    embedded: EmbeddedAuthority | None
