"""Judging every signature and document timestamp of a PDF, each by itself, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import pikepdf

from signing.errors import SignatureRefused
from signing.hostile import HOSTILE, refusing
from signing.judge_signature import Subject, judge_cms, judge_subject
from signing.judge_times import Proof, WeighedTimestamp, earliest, judge_token, proofs_of
from signing.judgement import Change, JudgedSignature, JudgedTimestamp, JudgingPolicy, OutsideData
from signing.judging import Judging, Steps, TokenVerifiers, gather
from signing.pdf_changes import revisions
from signing.pdf_objects import Stream
from signing.pdf_signatures import PdfSignature, check_coverage, digest_covered, pdf_signatures
from signing.pdf_states import open_state
from signing.pdf_values import pdf_date, readable_certificates, split_contents
from signing.trust import TrustStore

__all__ = ["judge_cms", "judge_pdf"]

_FORMS = {
    "ETSI.CAdES.detached": "PAdES",
    "adbe.pkcs7.detached": "PKCS7",
    "adbe.pkcs7.sha1": "PKCS7",
}
_STEP_OF = {
    "CRYPTO_CONSTRAINTS_FAILURE": "algorithms",
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": "algorithms",
    "REVOKED": "revocation",
    "REVOKED_NO_POE": "revocation",
    "REVOKED_CA_NO_POE": "revocation",
    "TRY_LATER": "revocation",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE": "path",
    "CHAIN_CONSTRAINTS_FAILURE": "path",
    "EXPIRED": "path",
    "NOT_YET_VALID": "path",
    "NO_CERTIFICATE_CHAIN_FOUND": "path",
    "OUT_OF_BOUNDS_NO_POE": "path",
    "OUT_OF_BOUNDS_NOT_REVOKED": "path",
}
_MAX_MATERIAL_OCTETS = 4 << 20
_UNREADABLE: tuple[type[Exception], ...] = (pikepdf.PdfError, SignatureRefused, *HOSTILE)

_After = Callable[[PdfSignature], tuple[Change, ...]]


@dataclass(frozen=True, slots=True)
class _Stamped:
    """A document timestamp, judged.

    Attributes:
        signature: as listed.
        judged: for the report.
        proof: of everything before its end; None when it does not count.
    """

    signature: PdfSignature
    judged: JudgedSignature
    proof: Proof | None


def judge_pdf(
    path: Path,
    trust: TrustStore,
    tsa_trust: TrustStore,
    data: OutsideData,
    policy: JudgingPolicy,
    records: Sequence[datetime] = (),
    *,
    tokens: TokenVerifiers,
    listed: Sequence[PdfSignature] | None = None,
) -> tuple[JudgedSignature, ...]:
    """Judge the signatures and document timestamps of a PDF; one that cannot be read hides none.

    1. Document timestamps, the newest first: each may prove that everything before its end existed. 2. The
    signatures, each with the proofs over it. Usage rights of viewers are no signatures and are left out.

    Args:
        path: the file.
        trust: anchors of signers.
        tsa_trust: anchors of timestamp authorities.
        data: validation data from outside the file.
        policy: how strictly, as of when.
        records: times of evidence records over the whole file, that count.
        tokens: makes verifiers of timestamp tokens.
        listed: all of `pdf_signatures(path)`, where the caller has it already.

    Returns:
        In document order.

    Raises:
        SignatureRefused: FORMAT_FAILURE, PDF_ENCRYPTED or PDF_TOO_COMPLEX: signatures cannot be looked for.
    """
    if listed is None:
        listed = pdf_signatures(path)
    judged: dict[int, JudgedSignature] = {}
    with _changes(path, listed) as after:
        judging = _judging(listed, trust, tsa_trust, tokens, policy, data)
        whole = [Proof(time, "record") for time in records]
        order = sorted(range(len(listed)), key=lambda index: listed[index].end, reverse=True)
        stamps: list[_Stamped] = []
        # 1
        for index in order:
            signature = listed[index]
            if signature.is_document_timestamp and not signature.usage_rights:
                stamps.append(_document_timestamp(judging, signature, stamps, whole, after))
                judged[index] = stamps[-1].judged
        # 2
        for index, signature in enumerate(listed):
            if not signature.is_document_timestamp and not signature.usage_rights:
                judged[index] = _signature(judging, signature, stamps, whole, after)
    return tuple(judged[index] for index in sorted(judged))


@contextmanager
def _changes(path: Path, listed: Sequence[PdfSignature]) -> Iterator[_After]:
    """Give what tells the changes after a signature, or why they cannot be told."""
    with ExitStack() as stack:
        failure: SignatureRefused | None = None
        try:
            with refusing("the revisions"):
                found = stack.enter_context(revisions(path, listed))
        except SignatureRefused as error:
            failure = error

        def after(signature: PdfSignature) -> tuple[Change, ...]:
            if failure is not None:
                raise failure
            return found.after(signature)

        yield after


def _judging(
    listed: Sequence[PdfSignature],
    trust: TrustStore,
    tsa_trust: TrustStore,
    tokens: TokenVerifiers,
    policy: JudgingPolicy,
    data: OutsideData,
) -> Judging:
    certificates: dict[bytes, None] = {}
    crls: dict[bytes, None] = {}
    ocsps: dict[bytes, None] = {}
    for signature in listed:
        certificates.update(dict.fromkeys(signature.certificates))
        crls.update(dict.fromkeys(signature.crls))
        ocsps.update(dict.fromkeys(signature.ocsps))
    return gather(
        trust,
        tsa_trust,
        tokens,
        policy,
        data,
        certificates=readable_certificates(tuple(certificates)),
        inside=tuple(certificates),
        crls=tuple(crls),
        ocsps=tuple(ocsps),
    )


def _hasher(signature: PdfSignature) -> Callable[[str], bytes]:
    return cache(lambda algorithm: digest_covered(signature, algorithm))


def _check_coverage(signature: PdfSignature) -> str:
    check_coverage(signature, strict=False)
    return "whole file" if signature.covers_whole_file else f"the first {signature.end} octets"


def _document_timestamp(
    judging: Judging,
    signature: PdfSignature,
    newer: Sequence[_Stamped],
    whole: Sequence[Proof],
    after: _After,
) -> _Stamped:
    """Judge a document timestamp: coverage, what was changed afterwards, the token over its range."""
    steps = Steps()
    steps.attempt("coverage", "the signature", lambda: _check_coverage(signature))
    changes: list[Change] = []
    steps.attempt("changes", "the changes", lambda: _keep(changes, after(signature)))
    weighed: WeighedTimestamp | None = None
    try:
        with refusing("the document timestamp"):
            token, _ = split_contents(signature.contents)
    except SignatureRefused as error:
        steps.refuse("integrity", error)
        token = b""
    else:
        proofs = [*whole, *(item.proof for item in newer if item.proof is not None)]
        weighed = judge_token(
            judging,
            token,
            _hasher(signature),
            kind="document",
            existed=earliest(proofs, judging.policy.control),
            covers_to=signature.end,
        )
        _note_token(weighed.judged, steps)
        _check_age(weighed.judged, newer, steps)
    counts = weighed is not None and weighed.counts and steps.sound
    proof = proofs_of([weighed], "document timestamp")[0] if weighed is not None and counts else None
    stamp = None if weighed is None else weighed.judged
    assessment = None if weighed is None else weighed.assessment
    time = None if stamp is None else stamp.gen_time
    judged = JudgedSignature(
        form="document timestamp",
        level="",
        signer=None if stamp is None else stamp.signer,
        path=() if assessment is None else assessment.path,
        claimed_time=None,
        best_time=time or judging.policy.control,
        time_source="document timestamp" if time else ("asked" if judging.policy.asked else "now"),
        timestamps=() if stamp is None else (stamp,),
        steps=tuple(steps.found),
        covers_whole_file=signature.covers_whole_file,
        changes=tuple(changes),
        certification=None,
        cms=token,
        field_name=signature.field_name,
    )
    return _Stamped(signature, judged, proof)


def _note_token(stamp: JudgedTimestamp, steps: Steps) -> None:
    if stamp.error is None:
        time = "" if stamp.gen_time is None else stamp.gen_time.isoformat()
        steps.note("integrity", time)
    elif stamp.error.code == "NO_POE":
        # It is sound; whoever asks for an earlier time only does not get it as a proof.
        steps.note("timestamps", f"not counted: {stamp.error}", unchecked=True)
    else:
        steps.refuse(_STEP_OF.get(stamp.error.code, "integrity"), stamp.error)


def _check_age(stamp: JudgedTimestamp, newer: Sequence[_Stamped], steps: Steps) -> None:
    time = stamp.gen_time
    times = [item.proof.time for item in newer if item.proof is not None]
    if stamp.error is None and time is not None and times and time > min(times):
        steps.refuse(
            "timestamps",
            SignatureRefused(
                "TIMESTAMP_ORDER_FAILURE",
                "a document timestamp is older than what it covers",
                indeterminate=True,
            ),
        )


def _signature(
    judging: Judging,
    signature: PdfSignature,
    stamps: Sequence[_Stamped],
    whole: Sequence[Proof],
    after: _After,
) -> JudgedSignature:
    """Judge a signature: steps 1 and 2 here, the others in `judge_subject`."""
    steps = Steps()
    steps.attempt("coverage", "the signature", lambda: _check_coverage(signature))
    cms = b""
    form = _FORMS.get(signature.sub_filter, "")
    try:
        with refusing("the signature value"):
            if signature.fault is None and not form:
                raise _unsupported(signature.sub_filter)
            cms, _ = split_contents(signature.contents)
    except SignatureRefused as error:
        if signature.fault is None:
            steps.refuse("integrity", error)
    over = [item for item in stamps if item.proof is not None and item.signature.end > signature.end]
    subject = Subject(
        cms=cms,
        digest=_hasher(signature),
        form=form or "PKCS7",
        sha1_inside=signature.sub_filter == "adbe.pkcs7.sha1",
        proofs=[*whole, *(item.proof for item in over if item.proof is not None)],
        covered=lambda: (_material_below(item.signature) for item in over),
        field_name=signature.field_name,
        certification=signature.certification,
        claimed_time=pdf_date(signature.claimed_time),
        covers_whole_file=signature.covers_whole_file,
    )
    return judge_subject(judging, subject, steps, lambda: after(signature), readable=bool(cms))


def _unsupported(sub_filter: str) -> SignatureRefused:
    if not sub_filter:
        return SignatureRefused("FORMAT_FAILURE", "the signature does not say of which kind it is")
    return SignatureRefused(
        "SIGNATURE_FORMAT_UNSUPPORTED",
        f"signatures of kind {sub_filter[:40]} are not judged",
        indeterminate=True,
    )


def _keep(found: list[Change], changes: Iterable[Change]) -> str:
    found.extend(changes)
    return f"{len(found)} allowed" if found else "none"


def _material_below(signature: PdfSignature) -> AbstractSet[bytes]:
    """Return the DSS dictionary's certificates and revocation data that a document timestamp covers."""
    found: set[bytes] = set()
    try:
        with open_state(signature.path, signature.end) as state:
            store = state.get(state.trailer.get(b"/Root"), b"/DSS")
            for key in (b"/Certs", b"/CRLs", b"/OCSPs"):
                array = state.get(store, key)
                for item in array if isinstance(array, list) else ():
                    stream = state.resolve(item)
                    data = state.decoded(stream, _MAX_MATERIAL_OCTETS) if isinstance(stream, Stream) else None
                    if data is not None:
                        found.add(data)
    except _UNREADABLE:
        return frozenset()  # what cannot be read there proves nothing
    return found
