"""What judging a signature of any maker is given, and what it answers.

Judging does not stop at the first fault: each numbered step of ETSI EN 319 102-1 leaves a finding, so that a
report can say all that is wrong, and one unreadable signature hides none of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cryptography import x509

from signing.errors import SignatureRefused


class ChangeKind(StrEnum):
    """What may follow a signed state without touching what was signed."""

    DSS = "long-term data"
    DOC_TIMESTAMP = "document timestamp"
    SIGNATURE = "further signature"
    FIELD_FILLED = "form field filled"
    ANNOTATION = "annotation"
    METADATA = "properties"
    STRUCTURE = "structure tree"
    REWRITTEN = "rewritten without change"


@dataclass(frozen=True, slots=True)
class Change:
    """A change after a signed state that the signature allows; a change it forbids is an error instead.

    Attributes:
        kind: what was changed.
        where: name of the field or object, printable, at most 200 characters.
        page: page number from 1, where it is known.
        since: offset in octets of the end of the signed state it follows.
    """

    kind: ChangeKind
    where: str
    page: int | None
    since: int


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered check.

    Attributes:
        name: of the check, as in `coverage` or `timestamp[0].path`.
        error: why it does not pass; None when it does.
        expected: what should have been there.
        found: what was there.
        unchecked: it could not be checked and nothing demands it; `found` says why.
    """

    name: str
    error: SignatureRefused | None = None
    expected: str = ""
    found: str = ""
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class JudgedTimestamp:
    """A timestamp token, counted as proof of time or not.

    Attributes:
        kind: "signature", "content", "document", "archive" or "record".
        der: the token.
        gen_time: UTC instant in it; None when it cannot be read.
        policy: dotted policy identifier.
        signer: the authority's certificate; None when it cannot be found.
        certificates: every certificate inside.
        covers_to: offset in octets up to which the file is covered, of a document timestamp.
        error: why it does not count.
    """

    kind: str
    der: bytes = field(repr=False)
    gen_time: datetime | None
    policy: str
    signer: x509.Certificate | None
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    covers_to: int | None
    error: SignatureRefused | None


@dataclass(frozen=True, slots=True)
class JudgedSignature:
    """One signature or document timestamp, with every check that was made.

    Attributes:
        form: "PAdES", "PKCS7", "CAdES" or "document timestamp".
        level: proven level: "B-B", "B-T", "B-LT", "B-LTA" ("B", "T", "LT", "LTA" of a PKCS7); "" when refused.
        signer: the signer's certificate; None when it cannot be found.
        path: from it to the trust anchor; empty when there is none.
        claimed_time: what the signer says, proven by nobody.
        best_time: the instant its certificate was judged at.
        time_source: "timestamp", "document timestamp", "record", "asked" or "now".
        timestamps: those of this signature, oldest first, counted or not.
        steps: every check.
        covers_whole_file: nothing of the file is outside the signature.
        changes: what was changed afterwards and is allowed.
        certification: DocMDP permission of a certification signature (1, 2 or 3), else None.
        cms: DER of the CMS.
        field_name: of the signature field; "" outside PDF.
    """

    form: str
    level: str
    signer: x509.Certificate | None
    path: tuple[x509.Certificate, ...] = field(repr=False)
    claimed_time: datetime | None
    best_time: datetime
    time_source: str
    timestamps: tuple[JudgedTimestamp, ...]
    steps: tuple[Step, ...]
    covers_whole_file: bool
    changes: tuple[Change, ...]
    certification: int | None
    cms: bytes = field(repr=False)
    field_name: str

    @property
    def error(self) -> SignatureRefused | None:
        """The main reason: the first failure, else the first reason for no conclusion, else None."""
        errors = [step.error for step in self.steps if step.error is not None]
        failed = [error for error in errors if not error.indeterminate]
        return next(iter(failed or errors), None)


@dataclass(frozen=True, slots=True)
class OutsideData:
    """Validation data from outside a signature: given by the caller, or beside it in the file or container.

    Attributes:
        certificates: that may complete paths.
        crls: DER.
        ocsps: DER of OCSP responses (RFC 6960 OCSPResponse or BasicOCSPResponse).
    """

    certificates: tuple[x509.Certificate, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()


class Fetcher(Protocol):
    """Gets revocation data and issuers' certificates from the network, where the caller allows it."""

    def fetch(self, url: str, body: bytes | None = None) -> bytes | None:
        """Return what an address answers, None when it cannot be had within the limits. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class JudgingPolicy:
    """How strictly, and as of when.

    Attributes:
        control: control time (EN 319 102-1, section 5.1.4): the asked one, else now.
        asked: the control time was asked for, so that a verdict names it.
        require_revocation: a certificate without any revocation data is INDETERMINATE, not "unchecked".
        fetch: None keeps off the network.
    """

    control: datetime
    asked: bool = False
    require_revocation: bool = False
    fetch: Fetcher | None = None
