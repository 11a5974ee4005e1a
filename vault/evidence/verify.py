"""Judges a file, whatever it is: an evidence bundle, a sealed PDF, somebody else's signature, or none.

    verdict = verify_file(Path("act.asice"), trust=trust, tsa_trust=None, policy=policy)

No network unless a ledger's address or a fetcher is given, no database, no service.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from signing.base import KeyPurpose
from signing.judgement import Fetcher, JudgingPolicy, OutsideData
from signing.trust import TrustStore
from vault.evidence.bundle import looks_like_bundle
from vault.evidence.journal_line import MAX_LINE
from vault.evidence.kinds import Kind, der_octets, kind_of
from vault.evidence.ledger_source import LedgerSource
from vault.evidence.means import Means
from vault.evidence.originals import FileOriginal, originals_of
from vault.evidence.report import Judgement, Outcome, StatusFinding, Verdict, filed
from vault.evidence.seals import pdf_seals
from vault.evidence.verify_alone import Judged, judge_token, judge_token_answer
from vault.evidence.verify_bundle import verify_bundle
from vault.evidence.verify_cms import judge_cms_file
from vault.evidence.verify_container import judge_container
from vault.evidence.verify_line import judge_line
from vault.evidence.verify_record import judge_record
from vault.ledger.policy import Policy

# Names longer than X.520 allows are common in genuine certificates, and nobody's business on standard error.
warnings.filterwarnings("ignore", message="Attribute's length must be", category=UserWarning)

_CHUNK = 1 << 20


_SMALL = {
    Kind.CMS: judge_cms_file,
    Kind.TOKEN: judge_token,
    Kind.RESPONSE: judge_token_answer,
    Kind.RECORD: judge_record,
}
_NOTHING = {
    Kind.EMPTY: ("FORMAT_FAILURE", "the file is empty"),
    Kind.XML_PROOF: ("SIGNATURE_FORMAT_UNSUPPORTED", "signatures and evidence records in XML are not read"),
    Kind.TOO_LARGE: ("SIGNATURE_FORMAT_UNSUPPORTED", "a signature file of this size is not read"),
    Kind.OTHER: ("NO_SIGNATURE_FOUND", "the file carries no seal, signature or proof"),
}


def verify_file(
    path: Path,
    *,
    trust: TrustStore,
    tsa_trust: TrustStore | None = None,
    policy: Policy | None = None,
    ledger: LedgerSource | None = None,
    original: Path | Sequence[Path] | None = None,
    digests: Sequence[tuple[str, bytes]] = (),
    evidence: Path | None = None,
    data: OutsideData | None = None,
    require_revocation: bool = False,
    fetch: Fetcher | None = None,
    at: datetime | None = None,
) -> Verdict:
    """Judge a file.

    1. Its kind is decided from its content (`kind_of`). 2. A bundle is verified by `verify_bundle`. 3. In a PDF
    every signature is judged; the ledger part of a sealed act alone stays unchecked, and that is said. 4. Zip
    containers of others, signatures, tokens and evidence records are judged over what is inside them, or over
    the originals. 5. A file without any signature proves nothing. 6. Evidence beside the file is judged with
    the file as its original; the time that it proves counts for the signatures inside the file. 7. The proof
    of a line of an access journal is verified by `judge_line`.

    Args:
        path: the file.
        trust: anchors of seals.
        tsa_trust: anchors of timestamp authorities; None means those of `trust`.
        policy: keys of the ledger and its witnesses; without them a bundle's ledger part is INDETERMINATE.
        ledger: a published ledger to bring the status up to date.
        original: files that the proof must be about, each: the document of a bundle, the very PDF, a file in a
            container, what a signature, token or record beside it covers.
        digests: (hashlib name, value) of further such files, where these are not at hand.
        evidence: a signature, token or evidence record about the file.
        data: certificates and revocation data from outside the file.
        require_revocation: a certificate without any revocation data is INDETERMINATE.
        fetch: gets revocation data from the network; None keeps off it.
        at: time at which signatures without proof of time are judged, UTC; None means now.

    Returns:
        The verdict; always one, whatever the file holds.
    """
    given = (original,) if isinstance(original, Path) else tuple(original or ())
    means = Means(
        trust,
        tsa_trust or trust,
        policy,
        ledger,
        JudgingPolicy(
            at or datetime.now(UTC), asked=at is not None, require_revocation=require_revocation, fetch=fetch
        ),
        data or OutsideData(),
        originals_of(given, digests),
    )
    try:
        if evidence is not None:
            return _with_evidence(path, evidence, means)
        with path.open("rb") as file:
            return _judge(file, path, means)
    except Exception as error:
        code, message, unsure = filed(error)
        return _refused(code, message, indeterminate=unsure)


def _judge(file: BinaryIO, path: Path, means: Means) -> Verdict:
    # 1
    kind = kind_of(file)
    if kind is Kind.ZIP:
        # 2
        if looks_like_bundle(file):
            return verify_bundle(file, means)
        # 4
        judgement = Judgement()
        return _verdict(judgement, judge_container(file, means, judgement))
    # 3
    if kind is Kind.PDF:
        return _pdf(file, path, means)
    # 4
    if kind in _SMALL:
        judgement = Judgement()
        return _verdict(judgement, _SMALL[kind](der_octets(file), means, judgement))
    # 7
    if kind is Kind.LINE:
        file.seek(0)
        return judge_line(file.read(MAX_LINE + 1), means, Judgement())
    # 5
    return _refused(*_NOTHING[kind])


def _with_evidence(path: Path, evidence: Path, means: Means) -> Verdict:
    # 6
    judgement = Judgement()
    with path.open("rb") as file:
        detached = kind_of(file) in _SMALL
    # Documents given beside are what a detached signature is about, else they share the record with the file.
    shared = () if detached else means.originals
    about = dataclasses.replace(means, originals=(FileOriginal("the file", path), *shared))
    with evidence.open("rb") as file:
        kind = kind_of(file)
        if kind not in _SMALL:
            code, message = _NOTHING.get(kind, ("NO_SIGNATURE_FOUND", "it is no evidence about another file"))
            return _refused(code, f"the evidence: {message}")
        beside = _SMALL[kind](der_octets(file), about, judgement, "evidence")
    alone = dataclasses.replace(means, originals=means.originals if detached else (), proofs=beside.proofs)
    with path.open("rb") as file:
        inside = _judge(file, path, alone)
    if not inside.signatures and inside.ledger is None:
        # A file without signatures may be anything, and malformed too: the evidence is about its octets.
        return _verdict(judgement, beside)
    worst = next(
        outcome
        for outcome in (Outcome.FAILED, Outcome.INDETERMINATE, Outcome.PASSED)
        if outcome in {judgement.worst, inside.verdict}
    )
    return dataclasses.replace(
        inside,
        verdict=worst,
        reasons=(*inside.reasons, *judgement.reasons),
        signatures=(*inside.signatures, *beside.findings),
        checks=(*inside.checks, *judgement.checks),
    )


def _pdf(file: BinaryIO, path: Path, means: Means) -> Verdict:
    # 3
    judgement = Judgement()
    seals = pdf_seals(path, means, judgement)
    if not seals and judgement.worst is Outcome.PASSED:
        judgement.refuse("file", "NO_SIGNATURE_FOUND", "the PDF carries no signature")
    for original in means.originals:
        _check_same(file, original.digest("sha256"), judgement)
    own = any(seal.valid is not None and KeyPurpose.ACT_SEAL in seal.valid.purposes for seal in seals)
    if own:
        judgement.note("ledger", Outcome.UNCHECKED, "the PDF alone: its evidence bundle proves this part")
        judgement.note("status", Outcome.UNCHECKED, "the PDF alone cannot say whether it is in force")
    status = StatusFinding("unknown", None, None, "none") if own else None
    reasons, checks = tuple(judgement.reasons), tuple(judgement.checks)
    findings = tuple(seal.finding for seal in seals)
    return Verdict(judgement.worst, reasons, findings, None, status, checks)


def _check_same(file: BinaryIO, expected: bytes | None, judgement: Judgement) -> None:
    if expected is None:
        message = "its SHA-256 is not given"
        judgement.refuse("original", "SIGNED_DATA_NOT_FOUND", message, indeterminate=True)
        return
    file.seek(0)
    state = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        state.update(chunk)
    judgement.equal("original", expected, state.digest(), "HASH_FAILURE", "the file given is not this one")


def _refused(code: str, message: str, *, indeterminate: bool | None = None) -> Verdict:
    judgement = Judgement()
    unsure = code != "FORMAT_FAILURE" if indeterminate is None else indeterminate
    judgement.refuse("file", code, message, indeterminate=unsure)
    return _verdict(judgement, Judged())


def _verdict(judgement: Judgement, judged: Judged) -> Verdict:
    reasons, checks = tuple(judgement.reasons), tuple(judgement.checks)
    return Verdict(judgement.worst, reasons, judged.findings, checks=checks)
