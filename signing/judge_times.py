"""Timestamps of signatures and documents: which of them count, and what they prove."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from asn1crypto import cms as asn1_cms
from asn1crypto import tsp as asn1_tsp
from cryptography import x509

from signing.archive_timestamps import ArchiveCover, archive_cover
from signing.errors import SignatureRefused
from signing.foreign_cms import ForeignCms, read_foreign
from signing.foreign_paths import Assessment, JudgingPaths
from signing.hostile import HOSTILE, refusing
from signing.judgement import JudgedTimestamp
from signing.judging import Judging, Steps
from signing.pkix import refused

_UNREADABLE: tuple[type[Exception], ...] = (SignatureRefused, *HOSTILE)
_TST_INFO = "1.2.840.113549.1.9.16.1.4"


@dataclass(frozen=True, slots=True)
class Proof:
    """Something that existed before a time.

    Attributes:
        time: UTC instant before which it existed.
        source: "timestamp", "document timestamp" or "record".
    """

    time: datetime
    source: str


@dataclass(frozen=True, slots=True)
class WeighedTimestamp:
    """A judged timestamp with what was found about its authority.

    Attributes:
        judged: for the report.
        assessment: the authority's path; None when it was not reached.
    """

    judged: JudgedTimestamp
    assessment: Assessment | None

    @property
    def counts(self) -> bool:
        """Whether it proves something."""
        return self.judged.error is None and self.judged.gen_time is not None


@dataclass(frozen=True, slots=True)
class Times:
    """What the timestamps of one signature say together.

    Attributes:
        own: signature timestamps, oldest first.
        content: content timestamps.
        archive: archive timestamps, newest first.
        covers: what each of those covers that counts, with the proof that it is.
        best: earliest proof; None when there is none.
        at: time at which the signature is judged.
        source: of `JudgedSignature.time_source`.
    """

    own: tuple[WeighedTimestamp, ...]
    content: tuple[WeighedTimestamp, ...]
    archive: tuple[WeighedTimestamp, ...]
    covers: tuple[tuple[ArchiveCover, Proof], ...]
    best: Proof | None
    at: datetime
    source: str

    @property
    def all(self) -> tuple[WeighedTimestamp, ...]:
        """All of them, for the report."""
        return (*self.content, *self.own, *self.archive)


def judge_token(
    judging: Judging,
    token: bytes,
    digest: Callable[[str], bytes],
    *,
    kind: str,
    existed: Proof | None,
    covers_to: int | None = None,
    others: Sequence[x509.Certificate] = (),
) -> WeighedTimestamp:
    """Judge one timestamp token.

    1. It can be read, and covers what it should by its own hash algorithm. 2. The token verifies (RFC 3161), its
    authority's path at its own time, its algorithms when it is known to have existed: at the time of the
    earliest proof, else at control time. 3. It is not later than control time.

    Args:
        judging: what there is to judge with.
        token: DER.
        digest: hashes what the token must cover by a given algorithm (hashlib name).
        kind: of `JudgedTimestamp`.
        existed: what proves earliest that the token existed, or None.
        covers_to: of `JudgedTimestamp`.
        others: certificates beside.
    """
    control = judging.policy.control
    at = control if existed is None else existed.time
    paths = JudgingPaths(
        judging.tsa_trust.foreign,
        judging.data,
        control=control,
        need=judging.policy.require_revocation,
        existed=at,
        fetch=judging.policy.fetch,
        table=judging.table,
    )
    try:
        # 1
        with refusing("the timestamp token"):
            imprint = digest(imprint_algorithm(token))
        # 2
        finding = judging.tokens(paths).verify(
            token, imprint, others=(*others, *judging.certificates), at=at, proven=existed is not None
        )
        # 3
        error = None
        if finding.gen_time > control:
            error = refused("NO_POE", "the timestamp is later than the time that is asked for")
        judged = JudgedTimestamp(
            kind,
            token,
            finding.gen_time,
            finding.policy,
            finding.signer,
            finding.certificates,
            covers_to,
            error,
        )
    except Exception as failure:
        # The port promises an exception with a code, of a class that this package cannot know.
        judged = _refused_token(token, kind, covers_to, failure)
    return WeighedTimestamp(judged, paths.last)


def weigh(
    judging: Judging, read: ForeignCms, digest: Callable[[str], bytes], proofs: Sequence[Proof]
) -> Times:
    """Judge the timestamps of a signature and find the best time.

    Args:
        judging: what there is to judge with.
        read: the signature.
        digest: hashes its content by a given algorithm (hashlib name).
        proofs: document timestamps and records over it.
    """
    control = judging.policy.control
    archive, covers = _weigh_archive(judging, read, digest, proofs)

    def existed(token: bytes) -> Proof | None:
        return earliest((*proofs, *_over(token, covers)), control)

    own = sorted(
        (
            judge_token(judging, token, hash_of(read.signature), kind="signature", existed=existed(token))
            for token in read.tokens
        ),
        key=lambda item: item.judged.gen_time or control,
    )
    around = (*proofs, *(proof for _, proof in covers))
    best = earliest((*proofs_of(own, "timestamp"), *around), control)
    content = tuple(
        judge_token(judging, token, digest, kind="content", existed=best) for token in read.content_tokens
    )
    source = "asked" if judging.policy.asked else "now"
    return Times(
        own=tuple(own),
        content=content,
        archive=archive,
        covers=covers,
        best=best,
        at=control if best is None else best.time,
        source=source if best is None else best.source,
    )


def _weigh_archive(
    judging: Judging, read: ForeignCms, digest: Callable[[str], bytes], proofs: Sequence[Proof]
) -> tuple[tuple[WeighedTimestamp, ...], tuple[tuple[ArchiveCover, Proof], ...]]:
    """Judge archive timestamps, the newest first: it may prove that the older ones existed."""
    control = judging.policy.control
    weighed: list[WeighedTimestamp] = []
    covers: list[tuple[ArchiveCover, Proof]] = []
    for token in sorted(read.archive_tokens, key=_stated_time, reverse=True):
        existed = earliest((*proofs, *_over(token, covers)), control)
        at = control if existed is None else existed.time
        try:
            with refusing("the archive timestamp"):
                cover = archive_cover(read.der, read.number, token, digest)
                judging.table.check(digest=cover.algorithm, at=at, proven=existed is not None)
        except SignatureRefused as error:
            weighed.append(WeighedTimestamp(_refused_token(token, "archive", None, error), None))
            continue
        item = judge_token(judging, token, cover.digest, kind="archive", existed=existed)
        weighed.append(item)
        covers += [(cover, proof) for proof in proofs_of([item], "timestamp")]
    return tuple(weighed), tuple(covers)


def _over(token: bytes, covers: Iterable[tuple[ArchiveCover, Proof]]) -> list[Proof]:
    return [proof for cover, proof in covers if token in cover.attributes]


def _stated_time(token: bytes) -> datetime:
    try:
        moment: datetime = _tst_info(token)["gen_time"].native.astimezone(UTC)
    except HOSTILE:
        return datetime.min.replace(tzinfo=UTC)
    return moment


def note_timestamps(times: Times, proofs: Sequence[Proof], steps: Steps) -> None:
    """Note each timestamp; what does not count for a reason that is no fault of the file is only said."""
    for number, item in enumerate(times.all):
        name, error = f"timestamp[{number}]", item.judged.error
        if error is None and item.judged.gen_time is not None:
            steps.note(name, item.judged.gen_time.isoformat())
        elif error is not None and (error.indeterminate or item.judged.kind == "archive"):
            # An archive timestamp that covers something else takes nothing from what stands without it.
            steps.note(name, f"not counted: {error.code}: {error}", unchecked=True)
        elif error is not None:
            steps.refuse(name, error)
    if times.own or times.content:

        def check() -> str:
            check_order(times.content, times.own, (*proofs, *(proof for _, proof in times.covers)))
            return "in order"

        steps.attempt("timestamps", "the timestamps", check)


def imprint_algorithm(token: bytes) -> str:
    """Name of the hash algorithm of a token's imprint, as hashlib has it. Raises what asn1crypto raises."""
    algorithm: str = _tst_info(token)["message_imprint"]["hash_algorithm"]["algorithm"].native
    return algorithm


def proofs_of(timestamps: Iterable[WeighedTimestamp], source: str) -> list[Proof]:
    """Return what the timestamps that count prove."""
    return [
        Proof(item.judged.gen_time, source)
        for item in timestamps
        if item.counts and item.judged.gen_time is not None
    ]


def earliest(proofs: Iterable[Proof], control: datetime) -> Proof | None:
    """Return the proof of the earliest time among those not after control time."""
    return min((item for item in proofs if item.time <= control), key=lambda item: item.time, default=None)


def check_order(
    content: Sequence[WeighedTimestamp], own: Sequence[WeighedTimestamp], later: Sequence[Proof]
) -> None:
    """Check that what covers more is not older (ETSI EN 319 102-1, section 5.5.4 and 5.6.2).

    Args:
        content: content timestamps, made before the signature.
        own: signature timestamps.
        later: document timestamps and records over the signature and its timestamps.

    Raises:
        SignatureRefused: TIMESTAMP_ORDER_FAILURE, indeterminate.
    """
    before = [proof.time for proof in proofs_of(content, "content")]
    stamps = [proof.time for proof in proofs_of(own, "timestamp")]
    outer = [proof.time for proof in later]
    for inner, around in ((before, stamps), (before, outer), (stamps, outer)):
        if inner and around and max(inner) > min(around):
            raise refused("TIMESTAMP_ORDER_FAILURE", "a timestamp is older than what it covers")


def _tst_info(token: bytes) -> asn1_tsp.TSTInfo:
    content = asn1_cms.ContentInfo.load(token)["content"]["encap_content_info"]
    if content["content_type"].dotted != _TST_INFO:
        raise ValueError("no timestamp token")
    return asn1_tsp.TSTInfo.load(bytes(content["content"]))


def _refused_token(token: bytes, kind: str, covers_to: int | None, failure: Exception) -> JudgedTimestamp:
    code = getattr(failure, "code", None)
    if not isinstance(code, str):
        if not isinstance(failure, HOSTILE):
            raise failure
        code = "FORMAT_FAILURE"
    error = refused(code, str(failure) or type(failure).__name__)
    if code == "FORMAT_FAILURE" and _reads_otherwise(token):
        error = refused("SIGNATURE_FORMAT_UNSUPPORTED", f"a timestamp token in another form: {failure}")
    gen_time: datetime | None = None
    policy = ""
    signer: x509.Certificate | None = None
    certificates: tuple[x509.Certificate, ...] = ()
    try:
        info = _tst_info(token)
        policy = info["policy"].dotted
        gen_time = info["gen_time"].native.astimezone(UTC)
        cms = read_foreign(token)
        signer, certificates = cms.signer, cms.certificates
    except _UNREADABLE:
        pass  # the refusal stands; what can be shown of the token is shown
    return JudgedTimestamp(kind, token, gen_time, policy, signer, certificates, covers_to, error)


def _reads_otherwise(token: bytes) -> bool:
    """Whether a tolerant reader finds a token there: in BER, or with another flaw of its maker's.

    Nothing is lost by not failing then: whoever changes a token so, only takes its proof away.
    """
    try:
        read = asn1_cms.ContentInfo.load(token, strict=True)
        return _tst_info(token)["gen_time"].native is not None and len(read["content"]["signer_infos"]) == 1
    except HOSTILE:
        return False


def hash_of(data: bytes) -> Callable[[str], bytes]:
    """Return what hashes some octets by a given algorithm."""
    return lambda name: hashlib.new(name, data, usedforsecurity=False).digest()
