"""The outside date of the ledger: the anchor of a bundle, its token, and what both say of the entries' dates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.base import KeyPurpose
from signing.crl import issued, read_crls
from signing.roles import stated_purposes
from timestamping.base import TokenReport
from timestamping.errors import TimestampingError
from vault.clock import parse_rfc3339, rfc3339
from vault.evidence import layout
from vault.evidence.bundle import Bundle
from vault.evidence.errors import EvidenceRefused
from vault.evidence.findings import Dated
from vault.evidence.judged import common_name
from vault.evidence.means import TIME_TOLERANCE, Means
from vault.evidence.report import Judgement, Outcome
from vault.evidence.seals import Material, token_material
from vault.evidence.verify_ledger import Line
from vault.ledger.anchor import Anchor, verify_log_signatures
from vault.ledger.checkpoint import Checkpoint, CheckpointReport
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.receipt import parse_receipt

_CHECKS = ("anchor", "anchor.checkpoint", "anchor.token", "anchor.time")


@dataclass(frozen=True, slots=True)
class Anchored:
    """An anchor whose token was accepted.

    Attributes:
        gen_time: the authority's time.
        authority: name of the authority.
        own: True when the operator's own authority made the token.
        inside: certificates and CRLs inside the token, DER.
        line: the authority's certificate and its issuers, the verifier's own anchors included.
    """

    gen_time: datetime
    authority: str
    own: bool
    inside: Material
    line: tuple[x509.Certificate, ...]

    @property
    def time(self) -> str:
        """The authority's time, RFC 3339 UTC."""
        return rfc3339(self.gen_time)

    def material(self, further: Iterable[bytes]) -> Material:
        """Return what the folders of the bundle hold because of the anchor.

        Args:
            further: CRLs that no seal accounts for: one of each issuer in the line, fresh at `gen_time`, is the
                anchor's.
        """
        chosen: dict[bytes, bytes] = {}
        for crl in read_crls(sorted(set(further) - self.inside.crls)):
            for issuer in self.line:
                if crl.covers(self.gen_time) and crl.issued_by(issuer):
                    chosen.setdefault(issuer.public_bytes(Encoding.DER), crl.der)
        return self.inside | Material(crls=frozenset(chosen.values()))


def judge_anchor(
    bundle: Bundle, lines: Sequence[Line], sealed_at: datetime | None, means: Means, judgement: Judgement
) -> Anchored | None:
    """Check the anchor of a bundle.

    1. It is in its one form (`anchor`). 2. Its checkpoint is the one of every receipt, and the policy's keys of
    the log signed it (`anchor.checkpoint`). 3. The token covers the anchor, its authority is trusted, and
    nothing in it serves nothing (`anchor.token`). 4. Neither the seal's timestamp nor an entry is younger
    than the anchor's date, by more than clocks may differ (`anchor.time`).

    Without an anchor that is said (`anchor`: pending).

    Returns:
        The anchor, or None when there is none or its token was refused.
    """
    if layout.ANCHOR not in bundle.small:
        judgement.note("anchor", Outcome.PENDING, "no outside date of the ledger yet")
        return None
    # 1
    anchor = judgement.attempt("anchor", Anchor.parse, bundle.small[layout.ANCHOR])
    if anchor is None:
        return None
    judgement.passed("anchor", f"{anchor.checkpoint.origin}, size {anchor.checkpoint.size}")
    # 2
    checkpoint = judgement.attempt("anchor.checkpoint", _same_checkpoint, bundle, lines, anchor, means)
    if checkpoint is not None:
        judgement.passed(
            "anchor.checkpoint",
            f"size {checkpoint.size}, {' '.join(checkpoint.algorithms)}, as in the receipts",
        )
    # 3
    crls = tuple(bundle.of_role("revocation").values())
    token = bundle.small[layout.ANCHOR_TOKEN]
    anchored = judgement.attempt("anchor.token", accept_token, token, crls, anchor, means)
    if anchored is None:
        return None
    # 4
    check_anchor_time(anchored, [line.entry.time for line in lines], sealed_at, judgement)
    return anchored


def check_anchor_time(
    anchored: Anchored, recorded: Iterable[str], sealed_at: datetime | None, judgement: Judgement
) -> None:
    """Check that no entry, and no seal, is younger than the anchor (`anchor.token`, `anchor.time`).

    Args:
        anchored: an anchor whose token was accepted, which is recorded first.
        recorded: times of the entries that it covers, RFC 3339 UTC.
        sealed_at: time of the seal's timestamp, UTC.
        judgement: told of both checks.
    """
    judgement.passed("anchor.token", f"{anchored.authority}, {anchored.time}")
    latest = anchored.gen_time + TIME_TOLERANCE
    times = [parse_rfc3339(time) for time in recorded]
    newest = max([*times, *([sealed_at] if sealed_at is not None else [])], default=anchored.gen_time)
    if newest <= latest:
        judgement.passed("anchor.time", f"entries before anchor {rfc3339(anchored.gen_time)}")
    else:
        judgement.refuse(
            "anchor.time",
            "ANCHOR_TIME",
            "an entry or its seal is younger than the anchor that covers it",
            f"at most {rfc3339(anchored.gen_time)}",
            rfc3339(newest),
        )


def anchor_outcome(judgement: Judgement) -> Outcome:
    """Say how the checks of the anchor ended."""
    outcomes = [check.outcome for check in judgement.checks if check.name in _CHECKS]
    for outcome in (Outcome.FAILED, Outcome.INDETERMINATE, Outcome.PENDING):
        if outcome in outcomes:
            return outcome
    return Outcome.PASSED


def dated(anchored: Anchored | None, sealing: Line | None, sealed_at: datetime | None) -> Dated | None:
    """Say between which dates the entry of the seal was made: it holds the seal's token, the anchor covers it."""
    if anchored is None or sealing is None:
        return None
    return Dated(
        after=rfc3339(sealed_at) if sealed_at is not None else None,
        before=rfc3339(anchored.gen_time),
        authority=anchored.authority,
        own_authority=anchored.own,
    )


def _same_checkpoint(bundle: Bundle, lines: Sequence[Line], anchor: Anchor, means: Means) -> CheckpointReport:
    text = anchor.checkpoint.note.text
    for line in lines:
        receipt = parse_receipt(bundle.small[layout.entry_member(line.seq, "tlog-proof")])
        if Checkpoint.parse(receipt.note).note.text != text:
            raise EvidenceRefused(
                "ANCHOR_MISMATCH", f"the receipt of entry {line.seq} is for another checkpoint"
            )
    if means.policy is None:
        raise LedgerProofRefused("LOG_UNKNOWN", "no key of the ledger was given", indeterminate=True)
    return verify_log_signatures(anchor, means.policy)


def accept_token(token: bytes, crls: Sequence[bytes], anchor: Anchor, means: Means) -> Anchored:
    """Verify the token of an anchor.

    Args:
        token: DER.
        crls: revocation lists that come with it, DER.
        anchor: what it must be over.
        means: whom the verifier trusts.

    Raises:
        EvidenceRefused: ANCHOR_TOKEN_MISMATCH; FORMAT_FAILURE, something in it serves nothing.
        TimestampingError: it does not verify, or its authority is not trusted.
    """
    report = _token(token, anchor.imprint, crls, means)
    own = KeyPurpose.TIMESTAMP in stated_purposes(report.signer)
    if own:
        means.own_timestamps.verify(token, anchor.imprint, crls=crls)
    line = _line(report.signer, (*report.certificates, *means.tsa_trust.anchors))
    inside = token_material(token)
    for crl in inside.crls:
        if not any(found.issued_by(issuer) for found in read_crls((crl,)) for issuer in line):
            raise EvidenceRefused("FORMAT_FAILURE", "a CRL in the token is signed by no known authority")
    if not set(report.certificates) <= set(line):
        raise EvidenceRefused("FORMAT_FAILURE", "a certificate in the token serves nothing")
    return Anchored(report.gen_time, common_name(report.signer), own, inside, line)


def _token(token: bytes, imprint: bytes, crls: Sequence[bytes], means: Means) -> TokenReport:
    try:
        return means.timestamps.verify(token, imprint, crls=crls)
    except TimestampingError as error:
        if error.code == "HASH_FAILURE":
            raise EvidenceRefused(
                "ANCHOR_TOKEN_MISMATCH", "the token was made over something else"
            ) from error
        raise


def _line(certificate: x509.Certificate, known: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return a certificate and all its issuers among the known ones."""
    found = [certificate]
    for subject in found:
        found += [item for item in dict.fromkeys(known) if item not in found and issued(item, subject)]
    return tuple(found)
