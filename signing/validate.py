"""Validation of seals of safes, which forgives nothing: CMS, certificate path, timestamp, and what a PDF shows.

Signatures of other makers are judged by `signing.judge`, step by step and at the best proven time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from cryptography import x509

from signing.base import KeyPurpose, TimestampFinding, TimestampVerifier
from signing.cms_read import ParsedCms, parse_cms, verify_cms
from signing.errors import SignatureRefused
from signing.findings import Evidence, ValidatedSignature, ValidTimestamp
from signing.hostile import refusing
from signing.judge_times import imprint_algorithm
from signing.own_form import require_authenticated
from signing.pades import MAX_PADDING
from signing.pdf_signatures import PdfSignature, check_coverage, digest_covered
from signing.pdf_values import pdf_date, readable_certificates, split_contents
from signing.roles import require_signing_role, stated_purposes
from signing.trust import TrustStore, refused

__all__ = [
    "Evidence",
    "ValidTimestamp",
    "ValidatedSignature",
    "validate_cms_signature",
    "validate_pdf_signature",
]

_OWN_KEYS = frozenset({"/Type", "/Filter", "/SubFilter", "/M", "/Reference", "/ByteRange", "/Contents"})
_ACTS = frozenset({KeyPurpose.ACT_SEAL})
_SUB_FILTERS = frozenset({"ETSI.CAdES.detached", "adbe.pkcs7.detached"})


def validate_pdf_signature(
    signature: PdfSignature,
    trust: TrustStore,
    timestamps: TimestampVerifier,
    *,
    evidence: Evidence | None = None,
    purposes: AbstractSet[KeyPurpose] = _ACTS,
    now: datetime,
) -> ValidatedSignature:
    """Validate one signature of a PDF; no network, only what the file and the caller hold.

    1. It is a signature of a known kind, not a document timestamp. 2. Coverage (`check_coverage`). 3. The
    value is one CMS and zero octets. 4. When the signer's certificate states one of the purposes, our own
    form is demanded: ETSI.CAdES.detached, exactly our entries, certification without permitted change, no
    other signature, nothing after it, at most 16 octets of padding, lower-case digits, strict CMS. 5. The
    CMS, its path and its timestamp (`validate_cms_signature`), with the DSS dictionary's material. 6. It
    covers the whole file.

    Args:
        signature: from `pdf_signatures`.
        trust: anchors of signers.
        timestamps: verifier of tokens.
        evidence: further material.
        purposes: those of a safe's keys that may seal this PDF.
        now: time to validate at when no timestamp proves an earlier one, UTC.

    Raises:
        SignatureRefused: the code of the first step that failed.
    """
    evidence = evidence or Evidence()
    # 1
    if signature.fault is None and signature.sub_filter not in _SUB_FILTERS:
        raise SignatureRefused("FORMAT_FAILURE", "the signature is of an unknown kind")
    # 2
    check_coverage(signature, strict=False)
    with refusing("the signature value"):
        # 3
        cms, padding = split_contents(signature.contents)
        parsed = parse_cms(cms, strict=False)
        # 4
        if purposes & stated_purposes(parsed.signer):
            _require_own_pdf(signature, padding)
            parsed = parse_cms(cms, strict=True)
            if parsed.signing_time is not None or parsed.crls:
                raise SignatureRefused(
                    "FORMAT_FAILURE", "the CMS of our PDFs has neither signing-time nor CRL"
                )
        digest = digest_covered(signature, parsed.digest_algorithm)
        embedded = readable_certificates(signature.certificates)
    # 5
    result = validate_cms_signature(
        parsed,
        digest,
        trust,
        timestamps,
        evidence=Evidence(
            (*embedded, *evidence.certificates),
            (*signature.crls, *evidence.crls),
            evidence.timestamp_anchors,
        ),
        purposes=purposes,
        now=now,
    )
    # 6
    if not signature.covers_whole_file:
        raise SignatureRefused("FORMAT_FAILURE", "something follows the seal")
    return ValidatedSignature(
        form="PAdES",
        level=result.level,
        signer=result.signer,
        path=result.path,
        purposes=result.purposes,
        claimed_time=pdf_date(signature.claimed_time),
        timestamps=result.timestamps,
        best_time=result.best_time,
        covers_whole_file=True,
        changes_after=(),
        certification=signature.certification,
        cms=cms,
    )


def validate_cms_signature(
    parsed: ParsedCms,
    digest: bytes,
    trust: TrustStore,
    timestamps: TimestampVerifier,
    *,
    evidence: Evidence | None = None,
    purposes: AbstractSet[KeyPurpose],
    now: datetime,
) -> ValidatedSignature:
    """Validate a detached CMS signature (ETSI EN 319 102-1 sections 5.3 and 5.5).

    1. The CMS verifies over the digest. 2. The certificate may sign: no CA, timestamp or TLS certificate;
    when it states Probans purposes, one of the expected ones, and then the CMS was read as our own form.
    3. Every signature timestamp verifies. 4. The path is valid, and no certificate revoked, at the oldest
    timestamp's time, or at `now` without one. 5. In our own form every certificate and CRL inside is
    authentic.

    Args:
        parsed: from `parse_cms`.
        digest: of the content, by `parsed.digest_algorithm`.
        trust: anchors of signers.
        timestamps: verifier of tokens.
        evidence: further material.
        purposes: Probans purposes that are right here.
        now: time to validate at when there is no timestamp, UTC.

    Raises:
        SignatureRefused: the code of the first step that failed.
    """
    evidence = evidence or Evidence()
    # 1
    report = verify_cms(parsed, digest)
    # 2
    stated = require_signing_role(report.signer, purposes)
    if stated and not parsed.strict:
        raise SignatureRefused("FORMAT_FAILURE", "a seal of ours must have our exact form")
    # 3
    others = (*report.certificates, *evidence.certificates)
    crls = (*report.crls, *evidence.crls)
    valid = sorted(
        (_signature_timestamp(timestamps, token, parsed, others, crls) for token in report.tokens),
        key=lambda item: item.gen_time,
    )
    # 4
    best_time = valid[0].gen_time if valid else now
    path = tuple(trust.validate(report.signer, others, crls, best_time))
    # 5
    if parsed.strict:
        anchors = (*trust.anchors, *evidence.timestamp_anchors)
        require_authenticated(report, path, valid[0].signer, anchors)
    return ValidatedSignature(
        form="CAdES",
        level="B-T" if valid else "B-B",
        signer=report.signer,
        path=path,
        purposes=stated,
        claimed_time=report.signing_time,
        timestamps=tuple(valid),
        best_time=best_time,
        covers_whole_file=True,
        changes_after=(),
        certification=None,
        cms=parsed.der,
    )


def _require_own_pdf(signature: PdfSignature, padding: int) -> None:
    if (
        signature.sub_filter != "ETSI.CAdES.detached"
        or signature.keys != _OWN_KEYS
        or signature.certification != 1
        or not signature.alone
        or not signature.covers_whole_file
        or padding > MAX_PADDING
    ):
        raise SignatureRefused("FORMAT_FAILURE", "a sealed act has exactly our form, and nothing after it")
    check_coverage(signature, strict=True)


def _signature_timestamp(
    timestamps: TimestampVerifier,
    token: bytes,
    parsed: ParsedCms,
    others: Sequence[x509.Certificate],
    crls: Sequence[bytes],
) -> ValidTimestamp:
    with refusing("the timestamp token"):
        imprint = hashlib.new(imprint_algorithm(token), parsed.signature, usedforsecurity=False).digest()
    return _verify_token(timestamps, token, imprint, others, crls)


def _verify_token(
    timestamps: TimestampVerifier,
    token: bytes,
    imprint: bytes,
    others: Sequence[x509.Certificate],
    crls: Sequence[bytes],
) -> ValidTimestamp:
    try:
        finding: TimestampFinding = timestamps.verify(token, imprint, others=others, crls=crls)
    except SignatureRefused:
        raise
    except Exception as error:
        # The port promises an exception with a code, of a class that this package cannot know.
        raise refused(getattr(error, "code", "FORMAT_FAILURE"), f"timestamp: {error}") from error
    return ValidTimestamp(
        der=token,
        gen_time=finding.gen_time,
        policy=finding.policy,
        signer=finding.signer,
        certificates=finding.certificates,
    )
