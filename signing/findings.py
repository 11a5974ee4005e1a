"""What validation is given beside a signature, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from signing.base import KeyPurpose


@dataclass(frozen=True, slots=True)
class Evidence:
    """Certificates and CRLs from outside a signature.

    Attributes:
        certificates: that may complete paths.
        crls: DER.
        timestamp_anchors: roots of the timestamp authorities, where they are not among the seals' roots.
    """

    certificates: tuple[x509.Certificate, ...] = ()
    crls: tuple[bytes, ...] = ()
    timestamp_anchors: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class ValidTimestamp:
    """A timestamp token that verifies.

    Attributes:
        der: the token.
        gen_time: UTC instant in it.
        policy: dotted policy identifier.
        signer: the authority's certificate.
        certificates: every certificate inside.
    """

    der: bytes = field(repr=False)
    gen_time: datetime
    policy: str
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ValidatedSignature:
    """A signature that passed every step.

    Attributes:
        form: "PAdES" or "CAdES".
        level: "B-T" with a valid signature timestamp, else "B-B".
        signer: the signer's certificate.
        path: from it to the trust anchor.
        purposes: Probans purposes that the certificate states; empty for other people's.
        claimed_time: what the signer says, proven by nobody.
        timestamps: valid signature timestamps, oldest first.
        best_time: the time at which the path was validated: the oldest timestamp's, else the asked one.
        covers_whole_file: nothing of the file is outside the signature (PDF); always True for CAdES.
        changes_after: what was added after the signature; empty when it covers the whole file.
        certification: DocMDP permission of a PDF certification signature, else None.
        cms: DER of the CMS.
    """

    form: str
    level: str
    signer: x509.Certificate
    path: tuple[x509.Certificate, ...] = field(repr=False)
    purposes: frozenset[KeyPurpose]
    claimed_time: datetime | None
    timestamps: tuple[ValidTimestamp, ...]
    best_time: datetime
    covers_whole_file: bool
    changes_after: tuple[str, ...]
    certification: int | None
    cms: bytes = field(repr=False)
