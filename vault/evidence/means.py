"""What a verifier brings along: whom it trusts, and for when it asks. Nothing of it comes from the file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from signing.trust import TrustStore
from timestamping.verify import Rfc3161Verifier
from vault.evidence.ledger_source import LedgerSource
from vault.ledger.policy import Policy

# How far a timestamp may lie after the service's own statement of the entry's time: clocks differ.
TIME_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Means:
    """What a verifier brings along.

    Attributes:
        trust: anchors of seals.
        tsa_trust: anchors of timestamp authorities.
        policy: keys of the ledger and of witnesses; None leaves the ledger INDETERMINATE.
        ledger: a published ledger that brings the status up to date, or None.
        now: time at which signatures without timestamp are judged, UTC.
    """

    trust: TrustStore
    tsa_trust: TrustStore
    policy: Policy | None
    ledger: LedgerSource | None
    now: datetime

    @property
    def timestamps(self) -> Rfc3161Verifier:
        """The verifier of timestamp tokens."""
        return Rfc3161Verifier(self.tsa_trust)

    @property
    def own_timestamps(self) -> Rfc3161Verifier:
        """The verifier of tokens of safes' own authorities, which have one form."""
        return Rfc3161Verifier(self.tsa_trust, strict=True)
