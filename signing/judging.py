"""What judging one file holds in hand: whom to trust, the validation data, who reads timestamps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography import x509

from signing.algorithms import TABLE, AlgorithmTable
from signing.base import TimestampFinding
from signing.errors import SignatureRefused
from signing.hostile import refusing
from signing.judgement import JudgingPolicy, OutsideData, Step
from signing.pkix import CertificatePath
from signing.revocation_data import RevocationData
from signing.trust import TrustStore


class PathValidator(Protocol):
    """What a verifier of tokens asks about an authority's certificate."""

    def validate(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> CertificatePath:
        """Return the path; raise an error with a `code` attribute."""
        ...


class TokenVerifier(Protocol):
    """Verifies tokens, their algorithms at a given time."""

    def verify(
        self,
        token: bytes,
        imprint: bytes,
        *,
        others: Sequence[x509.Certificate] = (),
        crls: Sequence[bytes] = (),
        at: datetime | None = None,
        proven: bool = False,
    ) -> TimestampFinding:
        """Check a token over an imprint; raise an error with a `code` attribute."""
        ...


#: Makes a verifier of tokens whose authorities' paths a given validator judges.
TokenVerifiers = Callable[[PathValidator], TokenVerifier]


@dataclass(frozen=True, slots=True)
class Judging:
    """What judging one file holds in hand.

    Attributes:
        trust: anchors of signers.
        tsa_trust: anchors of timestamp authorities.
        tokens: makes verifiers of tokens.
        policy: how strictly, as of when.
        certificates: from the file and from outside.
        data: revocation data, the file's first.
        inside: DER of all certificates, CRLs and OCSP responses that the file brings by itself.
        table: judges algorithms.
    """

    trust: TrustStore
    tsa_trust: TrustStore
    tokens: TokenVerifiers
    policy: JudgingPolicy
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    data: RevocationData = field(repr=False)
    inside: frozenset[bytes] = field(repr=False, default=frozenset())
    table: AlgorithmTable = TABLE


def gather(
    trust: TrustStore,
    tsa_trust: TrustStore,
    tokens: TokenVerifiers,
    policy: JudgingPolicy,
    outside: OutsideData,
    *,
    certificates: Sequence[x509.Certificate] = (),
    inside: Sequence[bytes] = (),
    crls: Sequence[bytes] = (),
    ocsps: Sequence[bytes] = (),
) -> Judging:
    """Put together what is judged with.

    Args:
        trust: anchors of signers.
        tsa_trust: anchors of timestamp authorities.
        tokens: makes verifiers of tokens.
        policy: how strictly, as of when.
        outside: given by the caller.
        certificates: that the file brings.
        inside: DER of these.
        crls: that the file brings, DER.
        ocsps: that the file brings, DER.
    """
    return Judging(
        trust=trust,
        tsa_trust=tsa_trust,
        tokens=tokens,
        policy=policy,
        certificates=tuple(dict.fromkeys((*certificates, *outside.certificates))),
        data=RevocationData().with_more((*crls, *outside.crls), (*ocsps, *outside.ocsps)),
        inside=frozenset((*inside, *crls, *ocsps)),
    )


class Steps:
    """Findings of numbered checks, in the order in which the main reason is looked for."""

    def __init__(self) -> None:
        self.found: list[Step] = []

    def attempt(self, name: str, what: str, check: Callable[[], str]) -> bool:
        """Run a check and note how it went; it returns what was found. True when it passes."""
        try:
            with refusing(what):
                found = check()
        except SignatureRefused as error:
            self.refuse(name, error)
            return False
        self.found.append(Step(name, found=found))
        return True

    def refuse(self, name: str, error: SignatureRefused) -> None:
        """Note a check that does not pass."""
        self.found.append(Step(name, error, found=str(error)))

    def note(self, name: str, found: str, *, unchecked: bool = False) -> None:
        """Note a check that passes, or that could not be made and is not demanded."""
        self.found.append(Step(name, found=found, unchecked=unchecked))

    @property
    def sound(self) -> bool:
        """Whether every check passes so far."""
        return all(step.error is None for step in self.found)
