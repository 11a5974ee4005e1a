"""Verifying evidence records (RFC 4998): what they prove of documents, and since when."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from timestamping.algorithms import READABLE, Judged
from timestamping.base import AlgorithmRule, TimestampVerifier, TokenReport
from timestamping.certificates import HOSTILE
from timestamping.errors import RecordRefused, TimestampingError, TokenRefused
from timestamping.record_reader import ArchiveStamp, EvidenceRecord, read_record
from timestamping.structure import TstInfo, parse_token

# How far a token's time may lie after the time of verification: clocks differ.
TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class DataDigest:
    """A document that a record may be about.

    Attributes:
        name: for messages.
        digest: hashes it with an algorithm named as in hashlib; None when that digest cannot be had.
    """

    name: str
    digest: Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class RecordStep:
    """One check of a record.

    Attributes:
        name: such as `stamp[1].imprint` or `data[0]`.
        error: why it does not pass; None when it does.
        expected: what should have been there.
        found: what was there.
        unchecked: it could not be checked, and does not weigh; `found` says why.
    """

    name: str
    error: TimestampingError | None = None
    expected: str = ""
    found: str = ""
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class RecordStamp:
    """One archive timestamp.

    Attributes:
        token: DER.
        gen_time: UTC instant that it states; None when it cannot be read.
        report: of its verification; None when it was refused.
        error: why it was refused.
    """

    token: bytes = field(repr=False)
    gen_time: datetime | None
    report: TokenReport | None
    error: TimestampingError | None


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What a record proves.

    Attributes:
        proof_time: time of the first timestamp: the data existed then, where no step says otherwise.
        group: hash values in the first node of the first tree; 1 without a tree.
        stamps: oldest first.
        steps: every check.
    """

    proof_time: datetime | None
    group: int
    stamps: tuple[RecordStamp, ...]
    steps: tuple[RecordStep, ...]

    @property
    def errors(self) -> tuple[TimestampingError, ...]:
        """What does not pass, in the order of the checks."""
        return tuple(step.error for step in self.steps if step.error is not None)


def verify_record(
    record: bytes,
    digests: Sequence[DataDigest],
    verifier: TimestampVerifier,
    *,
    rule: AlgorithmRule,
    control: datetime,
) -> RecordReport:
    """Verify an evidence record (RFC 4998, 3.3, 4.3, 5.3).

    1. Form: `read_record`; one digest algorithm for a chain, listed in the record; every token readable, its
       imprint made with the algorithm of its chain; times ascend. 2. The hash tree of each timestamp leads
       from its first node to the imprint: hash values of a node sorted binary, concatenated and hashed, a
       single one taken as it is; the result joins the next node. Without a tree the imprint is the value.
    3. In the first chain the first node holds the hash of each document. 4. A renewed timestamp's first node
       holds the hash of the previous ContentInfo. 5. The first node of each further chain holds, for each
       document, H(H(document) ‖ H(previous ArchiveTimeStampSequence)), in this order, not sorted. 6. Each
       token verifies at its own time, and its algorithms and the chain's were sound until the next token;
       the last ones until `control`. 7. No document given: nothing says what the record is about.

    Args:
        record: DER.
        digests: documents that it must all cover.
        verifier: verifies tokens.
        rule: says until when the hash algorithms of the trees were good.
        control: time up to which the last timestamp must be sound, UTC.

    Returns:
        The report; what is wrong is in its steps.

    Raises:
        RecordRefused: it cannot be read (step 1).
    """
    # 1
    parsed = read_record(record)
    return _Examination(parsed, digests, verifier, rule, control).report()


class _Examination:
    """The steps over one record, collecting what each finds."""

    def __init__(
        self,
        record: EvidenceRecord,
        digests: Sequence[DataDigest],
        verifier: TimestampVerifier,
        rule: AlgorithmRule,
        control: datetime,
    ) -> None:
        self._record = record
        self._digests = digests
        self._verifier = verifier
        self._rule = rule
        self._control = control
        self._steps: list[RecordStep] = []
        self._infos = [_info(stamp.token) for chain in record.chains for stamp in chain]

    def report(self) -> RecordReport:
        times = self._times()
        stamps: list[RecordStamp] = []
        group = 1
        for number, chain in enumerate(self._record.chains):
            algorithm = self._algorithm(number, chain, len(stamps))
            for place, stamp in enumerate(chain):
                index = len(stamps)
                name = f"stamp[{index}]"
                first = self._climb(name, stamp, self._infos[index], algorithm)
                if place:
                    self._renewed(name, first, chain[place - 1], algorithm)
                else:
                    self._data(name, number, first, algorithm)
                    group = len(first) if not number else group
                renewed = index + 1 < len(times)
                judged = Judged(self._rule, times[index + 1] if renewed else self._control, proven=renewed)
                stamps.append(self._token(name, stamp, self._infos[index], algorithm, judged))
        # 7
        if not self._digests:
            self._refuse("data", "SIGNED_DATA_NOT_FOUND", "the data that the record covers is not given")
        proof = stamps[0].gen_time if stamps[0].error is None else None
        return RecordReport(proof, group, tuple(stamps), tuple(self._steps))

    def _times(self) -> list[datetime]:
        """Step 1, order; a token without readable time is given the time of the next one, at the latest now."""
        times: list[datetime] = []
        for info in reversed(self._infos):
            times.append(info.gen_time if info else times[-1] if times else self._control)
        times.reverse()
        known = [info.gen_time for info in self._infos if info]
        for earlier, later in pairwise(known):
            if later < earlier:
                message = "the archive timestamps are not in the order of their times"
                self._refuse("order", "TIMESTAMP_ORDER_FAILURE", message)
        if known and max(known) > self._control + TOLERANCE:
            message = "an archive timestamp is younger than the time of this verification"
            self._refuse("order", "TIMESTAMP_ORDER_FAILURE", message)
        return times

    def _algorithm(self, number: int, chain: Sequence[ArchiveStamp], index: int) -> str | None:
        """Step 1, algorithms: the hash of a chain, None when it has none that can be computed."""
        name = f"chain[{number}].algorithm"
        used: set[str] = set()
        for stamp, info in zip(chain, self._infos[index:], strict=False):
            # RFC 4998, 4.1: where none is stated, that of the timestamp applies.
            stated = stamp.digest_algorithm or (info.imprint_algorithm.oid if info else None)
            used |= {stated} if stated else set()
            used |= {info.imprint_algorithm.oid} if info else set()
        if len(used) != 1:
            self._refuse(name, "FORMAT_FAILURE", "the timestamps of a chain use several hash algorithms")
            return None
        oid = used.pop()
        if oid not in self._record.digest_algorithms:
            self._refuse(name, "FORMAT_FAILURE", "the hash algorithm of a chain is not listed in the record")
            return None
        algorithm = READABLE.get(oid)
        if algorithm is None:
            self._refuse(name, "CRYPTO_CONSTRAINTS_FAILURE", f"hash algorithm {oid} is not known")
            return None
        self._steps.append(RecordStep(name, None, algorithm, algorithm))
        return algorithm

    def _climb(
        self, name: str, stamp: ArchiveStamp, info: TstInfo | None, algorithm: str | None
    ) -> tuple[bytes, ...]:
        """Step 2; returns the hash values among which what is covered must be."""
        if info is None or algorithm is None:
            return stamp.tree[0] if stamp.tree else ()
        if not stamp.tree:
            return (info.imprint,)
        value: bytes | None = None
        for node in stamp.tree:
            if any(len(entry) != len(info.imprint) for entry in node):
                message = "a hash value in the tree does not have the length of its algorithm"
                self._refuse(f"{name}.imprint", "FORMAT_FAILURE", message)
                return stamp.tree[0]
            value = _node(algorithm, node if value is None else (*node, value))
        if value != info.imprint:
            found = value.hex() if value else ""
            message = "the hash tree does not lead to the timestamp"
            self._refuse(f"{name}.imprint", "HASH_FAILURE", message, info.imprint.hex(), found)
        else:
            self._steps.append(RecordStep(f"{name}.imprint", None, value.hex(), value.hex()))
        return stamp.tree[0]

    def _data(self, name: str, chain: int, first: tuple[bytes, ...], algorithm: str | None) -> None:
        """Steps 3 and 5."""
        if algorithm is None:
            return
        before = _hash(algorithm, self._record.before(chain)) if chain else b""
        for number, document in enumerate(self._digests):
            check = f"data[{number}]" if not chain else f"{name}.data[{number}]"
            digest = document.digest(algorithm)
            if digest is None:
                message = f"the {algorithm} digest of {document.name} is not given"
                self._refuse(check, "SIGNED_DATA_NOT_FOUND", message)
                continue
            value = _hash(algorithm, digest + before) if chain else digest
            if value in first:
                self._steps.append(RecordStep(check, None, value.hex(), value.hex()))
            else:
                message = f"the record does not cover {document.name}"
                self._refuse(check, "HASH_FAILURE", message, value.hex(), _listed(first))

    def _renewed(
        self, name: str, first: tuple[bytes, ...], previous: ArchiveStamp, algorithm: str | None
    ) -> None:
        """Step 4."""
        if algorithm is None:
            return
        value = _hash(algorithm, previous.token)
        if value in first:
            self._steps.append(RecordStep(f"{name}.renews", None, value.hex(), value.hex()))
        else:
            message = "it does not cover the timestamp that it should renew"
            self._refuse(f"{name}.renews", "HASH_FAILURE", message, value.hex(), _listed(first))

    def _token(
        self, name: str, stamp: ArchiveStamp, info: TstInfo | None, algorithm: str | None, judged: Judged
    ) -> RecordStamp:
        """Step 6."""
        check = f"{name}.token"
        if info is None:
            error: TimestampingError = TokenRefused(
                "FORMAT_FAILURE", "the archive timestamp is not a readable token"
            )
            self._steps.append(RecordStep(check, error))
            return RecordStamp(stamp.token, None, None, error)
        try:
            if algorithm is not None:
                judged.check(digest=algorithm)
            report = self._verifier.verify(stamp.token, info.imprint, at=judged.at, proven=judged.proven)
        except TimestampingError as failure:
            self._steps.append(RecordStep(check, failure))
            return RecordStamp(stamp.token, info.gen_time, None, failure)
        self._steps.append(RecordStep(check, None, "", info.gen_time.isoformat()))
        return RecordStamp(stamp.token, info.gen_time, report, None)

    def _refuse(self, name: str, code: str, message: str, expected: str = "", found: str = "") -> None:
        self._steps.append(RecordStep(name, RecordRefused(code, message), expected, found))


def _info(token: bytes) -> TstInfo | None:
    try:
        return parse_token(token).tst_info
    except (TimestampingError, *HOSTILE):
        return None


def _node(algorithm: str, values: tuple[bytes, ...]) -> bytes:
    """Value of a node (RFC 4998, 4.2): one hash stands for itself, several are sorted and hashed together."""
    return values[0] if len(values) == 1 else _hash(algorithm, b"".join(sorted(values)))


def _hash(algorithm: str, data: bytes) -> bytes:
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()


def _listed(values: tuple[bytes, ...]) -> str:
    shown = " ".join(value.hex() for value in values[:4])
    return shown if len(values) <= 4 else f"{shown} and {len(values) - 4} more"
