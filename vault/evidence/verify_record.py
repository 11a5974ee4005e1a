"""Evidence records (RFC 4998) in files of their own or in a container, over the documents that are given."""

from __future__ import annotations

from collections.abc import Sequence

from signing.algorithms import TABLE
from timestamping.certificates import HOSTILE
from timestamping.errors import TimestampingError
from timestamping.evidence_record import DataDigest, RecordReport, RecordStamp, verify_record
from timestamping.structure import parse_token
from vault.clock import rfc3339
from vault.evidence.judged import timestamp_finding
from vault.evidence.means import Means
from vault.evidence.originals import Original
from vault.evidence.report import (
    Judgement,
    Outcome,
    SignatureFinding,
    TimestampFinding,
    filed,
)
from vault.evidence.verify_alone import Judged, claimed_signer

_LEVEL = "evidence record"


def judge_record(data: bytes, means: Means, judgement: Judgement, part: str = "document") -> Judged:
    """Judge an evidence record over the originals."""
    return judge_record_over(data, means.originals, f"{part}.record", means, judgement, part)


def judge_record_over(
    data: bytes,
    covered: Sequence[Original],
    name: str,
    means: Means,
    judgement: Judgement,
    part: str = "document",
) -> Judged:
    """Judge an evidence record: `verify_record`, each of its steps a check.

    Args:
        data: DER of the record.
        covered: the documents that it should cover.
        name: of the check, before the names of steps.
        means: what the verifier trusts.
        judgement: told of each check.
        part: which part of the file it is.
    """
    mark = len(judgement.checks)
    documents = [DataDigest(item.name, item.digest) for item in covered]
    report = judgement.attempt(
        name, verify_record, data, documents, means.foreign_timestamps, rule=TABLE, control=means.now
    )
    if report is None:
        finding = SignatureFinding(judgement.outcome_since(mark), _LEVEL, "", None, part=part)
        return Judged((finding,))
    _file(report, name, judgement)
    outcome = judgement.outcome_since(mark)
    stamps = tuple(_stamp(stamp) for stamp in report.stamps)
    passed = outcome is Outcome.PASSED and report.proof_time is not None
    proofs = (report.proof_time,) if passed and report.proof_time is not None else ()
    time = rfc3339(proofs[0]) if proofs else None
    finding = SignatureFinding(
        outcome,
        _LEVEL,
        stamps[0].authority,
        time,
        stamps,
        part=part,
        form=_LEVEL,
        best_time=stamps[0].time,
    )
    return Judged((finding,), proofs)


def _file(report: RecordReport, name: str, judgement: Judgement) -> None:
    for step in report.steps:
        check = f"{name}.{step.name}"
        if step.error is None:
            judgement.passed(check, step.expected, step.found)
        else:
            code, message, unsure = filed(step.error)
            judgement.refuse(check, code, message, step.expected, step.found, indeterminate=unsure)
    given = sum(step.name.startswith("data[") for step in report.steps)
    if given and given < report.group:
        # A tree's first node holds the members of a data group, or neighbours that are nobody's business.
        found = f"{given} of {report.group} hash values of the first node are those of documents given"
        judgement.note(f"{name}.group", Outcome.UNCHECKED, found)


def _stamp(stamp: RecordStamp) -> TimestampFinding:
    if stamp.report is not None:
        report = stamp.report
        return timestamp_finding(report.gen_time, report.signer, report.policy, Outcome.PASSED)
    try:
        parsed = parse_token(stamp.token)
    except (TimestampingError, *HOSTILE):
        return timestamp_finding(stamp.gen_time, None, "", _outcome(stamp.error))
    policy = parsed.tst_info.policy
    return timestamp_finding(stamp.gen_time, claimed_signer(parsed), policy, _outcome(stamp.error))


def _outcome(error: TimestampingError | None) -> Outcome:
    unsure = error is not None and filed(error)[2]
    return Outcome.INDETERMINATE if unsure else Outcome.FAILED
