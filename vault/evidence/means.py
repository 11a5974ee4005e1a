"""What a verifier brings along: whom it trusts, and for when it asks. Nothing of it comes from the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from signing.algorithms import TABLE
from signing.judgement import JudgingPolicy, OutsideData
from signing.revocation_data import RevocationData
from signing.trust import TrustStore
from timestamping.base import PathValidator
from timestamping.verify import Rfc3161Verifier
from vault.evidence.ledger_source import LedgerSource
from vault.evidence.originals import Original
from vault.ledger.policy import Policy

# How far a timestamp may lie after the service's own statement of the entry's time: clocks differ.
TIME_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Means:
    """What a verifier brings along.

    Attributes:
        trust: anchors of seals and signatures.
        tsa_trust: anchors of timestamp authorities.
        policy: keys of the ledger and of witnesses; None leaves the ledger INDETERMINATE.
        ledger: a published ledger that brings the status up to date, or None.
        judging: how strictly signatures of others are judged, and as of when.
        data: certificates and revocation data from outside the file.
        originals: documents that the file must be, or be about.
        proofs: times at which something outside proves that the file existed, UTC.
    """

    trust: TrustStore
    tsa_trust: TrustStore
    policy: Policy | None
    ledger: LedgerSource | None
    judging: JudgingPolicy
    data: OutsideData = field(default_factory=OutsideData)
    originals: tuple[Original, ...] = ()
    proofs: tuple[datetime, ...] = ()

    @property
    def now(self) -> datetime:
        """Time at which signatures without timestamp are judged, UTC."""
        return self.judging.control

    @property
    def timestamps(self) -> Rfc3161Verifier:
        """The verifier of timestamp tokens."""
        return Rfc3161Verifier(self.tsa_trust)

    @property
    def latest(self) -> datetime:
        """Time after which nothing can have been made yet, UTC."""
        return self.judging.control + TIME_TOLERANCE

    @property
    def foreign_timestamps(self) -> Rfc3161Verifier:
        """The verifier of tokens of other authorities, whose algorithms have dates."""
        known = RevocationData().with_more(self.data.crls, self.data.ocsps)
        return self.token_verifier(self.tsa_trust.judging(known, self.judging))

    @staticmethod
    def token_verifier(paths: PathValidator) -> Rfc3161Verifier:
        """Make the verifier of other authorities' tokens whose paths `paths` judges."""
        return Rfc3161Verifier(paths, rule=TABLE)

    @property
    def own_timestamps(self) -> Rfc3161Verifier:
        """The verifier of tokens of safes' own authorities, which have one form."""
        return Rfc3161Verifier(self.tsa_trust, strict=True)
