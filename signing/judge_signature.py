"""Judging one CMS signature of any maker at the best time that is proven (ETSI EN 319 102-1, sections 5.3 to 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from signing.base import KeyPurpose
from signing.errors import SignatureRefused
from signing.foreign_cms import DATA, ForeignCms, read_foreign
from signing.foreign_paths import Assessment
from signing.hostile import refusing
from signing.judge_times import Proof, Times, hash_of, note_timestamps, proofs_of, weigh
from signing.judgement import Change, JudgedSignature, OutsideData
from signing.judgement import JudgingPolicy as Policy
from signing.judging import Judging, Steps, TokenVerifiers, gather
from signing.levels import proven_level
from signing.online import assess_online
from signing.pkix import refused
from signing.revocation_data import Moment, RevocationData
from signing.roles import require_signing_role
from signing.trust import TrustStore


@dataclass(frozen=True, slots=True)
class Subject:
    """A signature to judge, and what its surroundings say of it.

    Attributes:
        cms: DER or BER of the CMS.
        digest: hashes the content by a given algorithm (hashlib name).
        form: "PAdES", "CAdES" or "PKCS7".
        purposes: Probans purposes that are right here; none for other people's certificates.
        number: which SignerInfo; None demands that there is one only.
        attached: content inside is demanded, and is what `digest` hashes; else it is refused.
        sha1_inside: the content inside is the SHA-1 digest of what is signed (adbe.pkcs7.sha1).
        proofs: document timestamps and records over the signature.
        covered: gives, for each document timestamp that counts, DER of what the file held below it.
        field_name: of the signature field.
        certification: DocMDP permission.
        claimed_time: what the surroundings say, when the CMS does not.
        covers_whole_file: nothing of the file is outside the signature.
    """

    cms: bytes = field(repr=False)
    digest: Callable[[str], bytes]
    form: str
    purposes: AbstractSet[KeyPurpose] = frozenset()
    number: int | None = None
    attached: bool = False
    sha1_inside: bool = False
    proofs: Sequence[Proof] = ()
    covered: Callable[[], Iterable[AbstractSet[bytes]]] = tuple
    field_name: str = ""
    certification: int | None = None
    claimed_time: datetime | None = None
    covers_whole_file: bool = True


def judge_cms(
    der: bytes,
    digest: Callable[[str], bytes],
    *,
    form: str,
    purposes: AbstractSet[KeyPurpose],
    trust: TrustStore,
    tsa_trust: TrustStore,
    data: OutsideData,
    policy: Policy,
    tokens: TokenVerifiers,
    proofs: Sequence[datetime] = (),
    attached: bool = False,
    number: int | None = None,
) -> JudgedSignature:
    """Judge a CMS signature outside PDF.

    Args:
        der: the CMS.
        digest: hashes the content by a given algorithm (hashlib name); may raise SignatureRefused
            (SIGNED_DATA_NOT_FOUND).
        form: "CAdES" or "PKCS7".
        purposes: Probans purposes that are right here; none for other people's certificates.
        trust: anchors of signers.
        tsa_trust: anchors of timestamp authorities.
        data: validation data from outside the signature.
        policy: how strictly, as of when.
        tokens: makes verifiers of timestamp tokens.
        proofs: times of evidence records and archive timestamps over the signature, that count.
        attached: content inside is demanded, and is what `digest` hashes; else it is refused.
        number: which SignerInfo; None demands that there is one only.

    Returns:
        The signature with every check; never raises on content.
    """
    subject = Subject(
        cms=der,
        digest=digest,
        form=form,
        purposes=purposes,
        number=number,
        attached=attached,
        proofs=tuple(Proof(time, "record") for time in proofs),
    )
    return judge_subject(gather(trust, tsa_trust, tokens, policy, data), subject, Steps())


def judge_subject(
    judging: Judging,
    subject: Subject,
    steps: Steps,
    changes: Callable[[], tuple[Change, ...]] = tuple,
    *,
    readable: bool = True,
) -> JudgedSignature:
    """Judge a signature whose coverage (steps 1 and 2) was checked.

    3. The CMS can be read, with the content where the form wants it. 4. The digest of the content is the signed
    one. 5. The signature value verifies and names its certificate. 6. The certificate may sign documents.
    7. What was changed afterwards is allowed. 8. Algorithms were good at the best time. 9. Timestamps: each
    verifies or does not count; the best time is the earliest that one of them, or something over the
    signature, proves, else control time. 10. Certificate path at the best time. 11. Revocation. 12. The level.
    What fails leaves its finding and does not stop the steps after it, as far as they can be made.

    Args:
        judging: what there is to judge with.
        subject: the signature.
        steps: those made before.
        changes: step 7; raises SignatureRefused for what is not allowed.
        readable: False when it is known that there is no CMS to read.
    """
    read = _read(judging, subject, steps) if readable else None
    if read is None:
        steps.attempt("changes", "the changes", lambda: _describe([], changes()))
        return _unreadable(judging, subject, steps)
    _verify(read, subject, steps)
    # 6
    steps.attempt("signer", "the certificate", lambda: _check_role(read.signer, subject))
    # 7
    found: list[Change] = []
    steps.attempt("changes", "the changes", lambda: _describe(found, changes()))
    held = judging.inside
    judging = _with_inside(judging, read)
    # 9
    times = weigh(judging, read, subject.digest, subject.proofs)
    # 10, 11
    claimed = read.signing_time or subject.claimed_time
    assessment = _judge_path(judging, read, times, claimed, steps)
    # 8
    steps.attempt("algorithms", "the algorithms", lambda: _check_algorithms(judging, read, subject, times))
    # 9
    note_timestamps(times, subject.proofs, steps)
    # 12
    level = ""
    if steps.sound:
        level = _level(held, read, subject, times, assessment)
        steps.note("level", level)
    return JudgedSignature(
        form=subject.form,
        level=level,
        signer=read.signer,
        path=assessment.path,
        claimed_time=claimed,
        best_time=times.at,
        time_source=times.source,
        timestamps=tuple(item.judged for item in times.all),
        steps=tuple(steps.found),
        covers_whole_file=subject.covers_whole_file,
        changes=tuple(found),
        certification=subject.certification,
        cms=subject.cms,
        field_name=subject.field_name,
    )


def common_name(certificate: x509.Certificate) -> str:
    """Return the name to show for a certificate: common name, organisation, else the whole subject."""
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            return str(attribute.value)
    return certificate.subject.rfc4514_string()


def _read(judging: Judging, subject: Subject, steps: Steps) -> ForeignCms | None:
    """Step 3."""
    try:
        return read_foreign(subject.cms, judging.certificates, number=subject.number)
    except SignatureRefused as error:
        steps.refuse("integrity", error)
        return None


def _verify(read: ForeignCms, subject: Subject, steps: Steps) -> None:
    """Steps 4 and 5."""

    def verify() -> str:
        _require_content(read, subject)
        digest = subject.digest
        if subject.sha1_inside:
            if read.content != subject.digest("sha1"):
                raise SignatureRefused("HASH_FAILURE", "the content is not the one that was signed")
            digest = hash_of(read.content or b"")
        read.verify(digest(read.digest_algorithm), bound=subject.form != "PKCS7")
        return f"{read.scheme.name} {read.digest_algorithm}"

    steps.attempt("integrity", "the CMS signature", verify)


def _require_content(read: ForeignCms, subject: Subject) -> None:
    """Step 3: content stands where the form wants it."""
    if subject.attached or subject.sha1_inside:
        if read.content is None:
            raise SignatureRefused("FORMAT_FAILURE", "there is no content inside the signature")
    elif read.content is not None:
        raise SignatureRefused("FORMAT_FAILURE", "the signature must be detached")
    if not subject.attached and read.content_type != DATA:
        raise SignatureRefused("FORMAT_FAILURE", "the signature must be of type id-data")


def _check_role(signer: x509.Certificate, subject: Subject) -> str:
    with refusing("the signer's certificate", "CERTIFICATE_CHAIN_GENERAL_FAILURE", indeterminate=True):
        try:
            require_signing_role(signer, subject.purposes)
        except SignatureRefused as error:
            if error.code != "FORMAT_FAILURE":
                raise
            raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", str(error)) from error
        return common_name(signer)


def _describe(found: list[Change], changes: tuple[Change, ...]) -> str:
    found.extend(changes)
    return f"{len(found)} allowed" if found else "none"


def _with_inside(judging: Judging, read: ForeignCms) -> Judging:
    """Add what the signature brings by itself, before what was given from outside."""
    data = judging.data
    if read.crls or read.ocsps:
        data = type(data)().with_more(read.crls, read.ocsps).with_more(data.crl_ders, data.ocsp_ders)
    return Judging(
        trust=judging.trust,
        tsa_trust=judging.tsa_trust,
        tokens=judging.tokens,
        policy=judging.policy,
        certificates=tuple(dict.fromkeys((*read.certificates, *judging.certificates))),
        data=data,
        inside=judging.inside,
        table=judging.table,
    )


def _judge_path(
    judging: Judging, read: ForeignCms, times: Times, claimed: datetime | None, steps: Steps
) -> Assessment:
    """Steps 10 and 11."""
    policy = judging.policy
    moment = Moment(times.at, policy.control, proven=times.best is not None, table=judging.table)

    def ask(others: Sequence[x509.Certificate], data: RevocationData) -> Assessment:
        return judging.trust.foreign.assess(
            read.signer, others, data, moment, claimed=claimed, need=policy.require_revocation
        )

    found = assess_online(ask, read.signer, judging.certificates, judging.data, policy.fetch)
    error = found.path_error
    late = [proof.time for proof in proofs_of(times.content, "content")]
    if found.path and late and max(late) > read.signer.not_valid_after_utc:
        error = refused("EXPIRED", "the certificate had ended before the content's timestamp")
    if error is not None:
        steps.refuse("path", error)
    else:
        steps.note("path", f"{len(found.path)} certificates, up to {common_name(found.path[-1])}")
    if found.revocation_error is not None:
        steps.refuse("revocation", found.revocation_error)
    elif found.path:
        unchecked = found.revocation == "unchecked"
        steps.note("revocation", "no data about it" if unchecked else "good", unchecked=unchecked)
    return found


def _check_algorithms(judging: Judging, read: ForeignCms, subject: Subject, times: Times) -> str:
    """Step 8."""
    proven = times.best is not None
    if subject.sha1_inside:
        judging.table.check(digest="sha1", at=times.at, proven=proven)
    read.check_algorithms(judging.table, times.at, proven=proven)
    return f"{read.scheme.name} {read.scheme.digest or read.digest_algorithm}"


def _level(
    held: AbstractSet[bytes], read: ForeignCms, subject: Subject, times: Times, signer: Assessment
) -> str:
    """Step 12; `held` is what the file holds beside the signature."""
    counted = [item for item in times.own if item.counts]
    # A token that verified is DER, so that it reads here too.
    tokens = {
        item.judged.der: _material(read_foreign(item.judged.der, read.certificates)) for item in counted
    }
    own = _material(read).union(*tokens.values())
    over = any(item.source == "document timestamp" for item in subject.proofs)
    archived = (
        cover.material.union(*(tokens[item] for item in cover.attributes & tokens.keys()))
        for cover, _ in times.covers
    )
    return proven_level(
        subject.form,
        timestamped=bool(counted) or over,
        assessments=[signer, *(item.assessment for item in counted if item.assessment is not None)],
        inside=own | held,
        covered=chain((own | below for below in subject.covered()), archived),
    )


def _material(cms: ForeignCms) -> frozenset[bytes]:
    certificates = (item.public_bytes(Encoding.DER) for item in cms.certificates)
    return frozenset((*certificates, *cms.crls, *cms.ocsps))


def _unreadable(judging: Judging, subject: Subject, steps: Steps) -> JudgedSignature:
    return JudgedSignature(
        form=subject.form,
        level="",
        signer=None,
        path=(),
        claimed_time=subject.claimed_time,
        best_time=judging.policy.control,
        time_source="asked" if judging.policy.asked else "now",
        timestamps=(),
        steps=tuple(steps.found),
        covers_whole_file=subject.covers_whole_file,
        changes=(),
        certification=subject.certification,
        cms=subject.cms,
        field_name=subject.field_name,
    )
