"""Timestamp tokens of any maker, in files of their own or in a container, and what they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from timestamping.algorithms import READABLE
from timestamping.certificates import HOSTILE, load, select_signer
from timestamping.errors import TimestampingError, TokenRefused
from timestamping.structure import ParsedToken, TstInfo, parse_token
from timestamping.verify import unwrap_response
from vault.clock import rfc3339
from vault.evidence.judged import common_name, timestamp_finding
from vault.evidence.means import Means
from vault.evidence.originals import Original
from vault.evidence.report import Judgement, Outcome, SignatureFinding

NO_DATA = "what was signed or stamped is not given"
_INDEFINITE = 0x80  # length octet of BER that DER does not have


@dataclass(frozen=True, slots=True)
class Judged:
    """What a file, or a part of one, was found to hold.

    Attributes:
        findings: its signatures, timestamps and records.
        proofs: times at which what they are about is proven to have existed; only of what passed, UTC.
    """

    findings: tuple[SignatureFinding, ...] = ()
    proofs: tuple[datetime, ...] = ()


def judge_token_answer(data: bytes, means: Means, judgement: Judgement, part: str = "document") -> Judged:
    """Judge the answer of an authority (`.tsr`) over the originals; one that refuses proves nothing."""
    try:
        token = unwrap_response(data)
    except TimestampingError as error:
        if error.code == "TSA_STATUS":
            judgement.refuse(part, "NO_SIGNATURE_FOUND", str(error), indeterminate=True)
        else:
            judgement.refuse(part, error.code, str(error))
        return Judged()
    return judge_token(token, means, judgement, part)


def judge_token(token: bytes, means: Means, judgement: Judgement, part: str = "document") -> Judged:
    """Judge a token over the originals."""
    return judge_token_over(token, means.originals, f"{part}.timestamp", means, judgement, part)


def judge_token_over(
    token: bytes,
    covered: Sequence[Original],
    name: str,
    means: Means,
    judgement: Judgement,
    part: str = "document",
) -> Judged:
    """Judge a token.

    1. It can be read. 2. It verifies, and its authority's path is valid, at its own time; its algorithms are
    good at the control time. 3. It is not younger than the control time. 4. Its imprint is the digest of
    everything that it should cover, and there is such a thing.

    Args:
        token: DER.
        covered: what it should cover.
        name: of the check, before the names of steps.
        means: what the verifier trusts.
        judgement: told of each check.
        part: which part of the file it is.
    """
    mark = len(judgement.checks)
    # 1
    parsed = _read(token, name, judgement)
    if parsed is None:
        finding = SignatureFinding(judgement.outcome_since(mark), "timestamp", "", None, part=part)
        return Judged((finding,))
    info = parsed.tst_info
    # 2
    report = judgement.attempt(
        f"{name}.token",
        means.foreign_timestamps.verify,
        token,
        info.imprint,
        others=means.data.certificates,
        crls=means.data.crls,
        at=max(means.now, info.gen_time),
    )
    if report is not None:
        judgement.passed(f"{name}.token", f"{rfc3339(report.gen_time)}, {common_name(report.signer)}")
    # 3
    if info.gen_time > means.latest:
        judgement.refuse(
            f"{name}.time", "NO_POE", "it is younger than the time of this verification", indeterminate=True
        )
    # 4
    _check_imprint(info, covered, f"{name}.imprint", judgement)
    outcome = judgement.outcome_since(mark)
    # Where the token does not verify, its signer is only who it says it is.
    signer = report.signer if report is not None else claimed_signer(parsed)
    stamp = timestamp_finding(info.gen_time, signer, info.policy, outcome)
    passed = outcome is Outcome.PASSED
    finding = SignatureFinding(
        outcome,
        "timestamp",
        stamp.authority,
        stamp.time if passed else None,
        (stamp,),
        part=part,
        form="timestamp",
        best_time=stamp.time,
    )
    return Judged((finding,), (info.gen_time,) if passed else ())


def claimed_signer(parsed: ParsedToken) -> x509.Certificate | None:
    """Find the certificate that a token names as its authority's; None when it is not inside."""
    try:
        return select_signer(parsed.signer, load(parsed.certificates, strict=False), (), READABLE).x509
    except (TokenRefused, *HOSTILE):
        return None


def _read(token: bytes, name: str, judgement: Judgement) -> ParsedToken | None:
    if token[1:2] == bytes((_INDEFINITE,)):
        message = "a token in BER with indefinite lengths is not read"
        judgement.refuse(f"{name}.token", "SIGNATURE_FORMAT_UNSUPPORTED", message, indeterminate=True)
        return None
    try:
        return parse_token(token)
    except (TokenRefused, *HOSTILE) as error:
        judgement.refuse(f"{name}.token", "FORMAT_FAILURE", f"not a timestamp token: {error}")
        return None


def _check_imprint(info: TstInfo, covered: Sequence[Original], name: str, judgement: Judgement) -> None:
    if not covered:
        judgement.refuse(name, "SIGNED_DATA_NOT_FOUND", NO_DATA, indeterminate=True)
    algorithm = READABLE.get(info.imprint_algorithm.oid, "")
    for original in covered:
        digest = original.digest(algorithm)
        if digest is None:
            message = f"the {algorithm} digest of {original.name} is not given"
            judgement.refuse(name, "SIGNED_DATA_NOT_FOUND", message, indeterminate=True)
        else:
            message = f"{original.name} is not what the timestamp covers"
            judgement.equal(name, info.imprint, digest, "HASH_FAILURE", message)
