"""Turns what judging found of signatures of any maker into checks, reasons and findings of the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from signing.base import KeyPurpose
from signing.errors import SignatureRefused
from signing.hostile import HOSTILE
from signing.judgement import JudgedSignature, JudgedTimestamp, Step
from signing.roles import stated_purposes
from vault.clock import rfc3339
from vault.evidence.change_words import change_text
from vault.evidence.report import Judgement, Outcome, SignatureFinding, TimestampFinding, filed

_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)
_UNPROVEN = frozenset({"now", "asked"})
_MAX_NAME = 200


def common_name(certificate: x509.Certificate) -> str:
    """Return the name to show for a certificate: common name, else organisation, else the whole subject.

    It is somebody's own statement: control and direction characters are left out, and it is cut to 200.
    """
    try:
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
            for attribute in certificate.subject.get_attributes_for_oid(oid):
                return printable(str(attribute.value))
        return printable(certificate.subject.rfc4514_string())
    except _UNREADABLE:
        return ""


def printable(text: str) -> str:
    """Leave out what a terminal or a page could take for something else than letters; cut to 200."""
    return "".join(letter for letter in text if letter.isprintable())[:_MAX_NAME]


def file_signature(
    judged: JudgedSignature, name: str, judgement: Judgement, part: str = "document"
) -> SignatureFinding:
    """File every step of one signature, and describe it.

    Args:
        judged: what judging found.
        name: of the check, before the names of steps.
        judgement: told of each step.
        part: which part of the file it is.
    """
    mark = len(judgement.checks)
    file_steps(judged.steps, name, judgement)
    outcome = judgement.outcome_since(mark)
    proven = judged.time_source not in _UNPROVEN and outcome is Outcome.PASSED
    return SignatureFinding(
        verdict=outcome,
        level=_level(judged),
        signer=common_name(judged.signer) if judged.signer is not None else "",
        signing_time=rfc3339(judged.best_time) if proven else None,
        timestamps=tuple(stamp_finding(stamp) for stamp in judged.timestamps),
        covers_whole_file=judged.covers_whole_file,
        changes_after=tuple(dict.fromkeys(change_text(change) for change in judged.changes)),
        part=part,
        form=judged.form,
        field=printable(judged.field_name),
        best_time=rfc3339(judged.best_time),
        time_source=judged.time_source,
        reasons=tuple(
            dict.fromkeys(
                filed(step.error)[0] for step in judged.steps if step.error is not None and not step.unchecked
            )
        ),
        revocation=_revocation(judged.steps),
    )


def _level(judged: JudgedSignature) -> str:
    if judged.form == "document timestamp":
        return judged.form
    return f"{judged.form}-{judged.level}" if judged.level else ""


def _errors(steps: Iterable[Step]) -> Iterator[SignatureRefused]:
    return (step.error for step in steps if step.error is not None and not step.unchecked)


def _revocation(steps: Iterable[Step]) -> str:
    for step in steps:
        if step.name == "revocation" and step.error is None:
            return "unchecked" if step.unchecked else "good"
    return ""


def file_steps(steps: Iterable[Step], name: str, judgement: Judgement) -> None:
    """File steps as checks: an error decides by its own words, what is unchecked does not weigh."""
    for step in steps:
        check = f"{name}.{step.name}"
        if step.unchecked:
            words = step.found or (str(step.error) if step.error is not None else "")
            judgement.note(check, Outcome.UNCHECKED, printable(words))
        elif step.error is not None:
            code, message, unsure = filed(step.error)
            judgement.refuse(check, code, message, step.expected, step.found, indeterminate=unsure)
        else:
            judgement.passed(check, step.expected, step.found)


def stamp_finding(stamp: JudgedTimestamp) -> TimestampFinding:
    """Describe one timestamp."""
    outcome = Outcome.PASSED
    if stamp.error is not None:
        outcome = Outcome.INDETERMINATE if stamp.error.indeterminate else Outcome.FAILED
    return timestamp_finding(stamp.gen_time, stamp.signer, stamp.policy, outcome)


def timestamp_finding(
    time: datetime | None, signer: x509.Certificate | None, policy: str, outcome: Outcome
) -> TimestampFinding:
    """Describe a timestamp by what is in it."""
    return TimestampFinding(
        rfc3339(time) if time is not None else None,
        common_name(signer) if signer is not None else "",
        policy,
        signer is not None and _is_own(signer),
        outcome,
    )


def _is_own(signer: x509.Certificate) -> bool:
    try:
        # The purpose is stated in certificates that a safe's operator ordered for himself.
        return KeyPurpose.TIMESTAMP in stated_purposes(signer)
    except _UNREADABLE:
        return False
