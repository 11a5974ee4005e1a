"""Audit of the anchors of a published log: each, its token, and the chain they form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from signing.pkix import INDETERMINATE_CODES
from timestamping.base import PathValidator, TimestampVerifier, TokenReport
from timestamping.errors import TimestampingError
from timestamping.verify import Rfc3161Verifier
from vault.clock import parse_rfc3339, rfc3339
from vault.errors import LedgerError, VaultError
from vault.ledger.anchor import (
    FIRST,
    MAX_ANCHOR,
    Anchor,
    crls_path,
    parse_crls,
    token_digest,
    verify_log_signatures,
)
from vault.ledger.anchor_paths import anchor_path
from vault.ledger.entry import decode
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.files import LogReader, PublishedFiles
from vault.ledger.findings import AuditReport, Progress, quiet
from vault.ledger.handover import Followed
from vault.ledger.policy import Policy
from vault.ledger.published import accepted_checkpoint, report_witnesses
from vault.ledger.tree import TILE_WIDTH, consistency_proof, verify_consistency

CLOCKS_DIFFER = timedelta(minutes=5)
_MAX_TOKEN = 4 << 20
_MAX_CRLS = 64 << 20
_CHECK = "anchors"


class AnchoredFiles(PublishedFiles, Protocol):
    """Where a published ledger lies, with a list of its anchors."""

    def anchors(self) -> list[int] | None:
        """Return the sizes of the anchors that have their token, in order; None where nobody lists them.

        Raises:
            vault.errors.VaultError: the list cannot be read.
        """
        ...


class AnyAuthority:
    """Leads every certificate to trust: for auditors who were not told which authorities to trust."""

    def validate(
        self,
        certificate: x509.Certificate,
        others: Sequence[x509.Certificate],
        crls: Sequence[bytes],
        at: datetime,
    ) -> Sequence[x509.Certificate]:
        """See `timestamping.base.PathValidator.validate`; refuses none."""
        del others, crls, at
        return (certificate,)


def anchor_verifier(trust: PathValidator | None) -> TimestampVerifier:
    """Return what verifies the tokens of anchors; without trust everything but who made them."""
    return Rfc3161Verifier(AnyAuthority() if trust is None else trust)


@dataclass(frozen=True, slots=True)
class _Seen:
    """An anchor of which at least the token could be read.

    Attributes:
        digest: of its token.
        time: what the token says; None where it was refused.
    """

    digest: bytes
    time: datetime | None


def audit_anchors(
    files: AnchoredFiles,
    policy: Policy,
    timestamps: TimestampVerifier,
    *,
    after: int = 0,
    progress: Progress = quiet,
) -> AuditReport | None:
    """Audit the anchors of a published log.

    Steps, for each anchor in the order of sizes:
        1. Its files are there and in their one form, and its checkpoint has the size of its name.
        2. The log signed the checkpoint, with keys that the policy lists or that these lead to.
        3. The newest checkpoint, which the log signed, extends it.
        4. Its token covers it, and the verifier accepts the authority.
        5. Its date is not before that of the anchor before, nor, by more than clocks may differ, before that of
           the last entry it covers.
        6. It names the token of the anchor before, the first one none: so none was taken out, put in or replaced.
        7. The tokens of a month and a year back that it names are the first of the month and year of the anchor
           before it.

    An anchor taken away at the end cannot be seen here.

    Args:
        files: where the log lies.
        policy: keys of the log that are trusted.
        timestamps: verifies tokens.
        after: anchors of smaller checkpoints were audited before; only the newest of them is read, to be linked to.
        progress: called with anchors done and anchors in all.

    Returns:
        What was found; each finding names its anchor by its size, and the last entry that it covers. None where
        the anchors are not listed.
    """
    report, reader = AuditReport(), LogReader(files)
    followed = accepted_checkpoint(reader, policy, report)
    if followed is None:
        return report
    report.size, report.root = followed.checkpoint.size, followed.checkpoint.root
    try:
        sizes = files.anchors()
    except VaultError as error:
        report.add_error(error, "the list of anchors", check=_CHECK)
        return report
    if sizes is None:
        return None
    before = [size for size in sizes if size <= after]
    chosen = [*before[-1:], *(size for size in sizes if size > after)]
    walk = _Walk(reader, policy, followed, timestamps, report, whole=len(before) < 2)
    for done, size in enumerate(chosen, start=1):
        walk.look(size)
        report.checked = done
        progress(done, len(chosen))
    report_witnesses(report, followed)
    return report


class _Walk:
    """One pass over the anchors."""

    def __init__(
        self,
        reader: LogReader,
        policy: Policy,
        followed: Followed,
        timestamps: TimestampVerifier,
        report: AuditReport,
        *,
        whole: bool,
    ) -> None:
        self._reader = reader
        self._policies = [policy]
        for change in followed.changes:
            self._policies.append(change.apply(self._policies[-1]))
        self._newest = followed.checkpoint
        self._timestamps = timestamps
        self._report = report
        self._whole = whole
        self._begun = False
        self._last: _Seen | None = None
        self._month: _Seen | None = None  # the first of the last one's month, and of its year
        self._year: _Seen | None = None

    def look(self, size: int) -> None:
        """Judge the next anchor."""
        # 1
        token = self._read(size, f"{anchor_path(size)}.tst", _MAX_TOKEN)
        data = self._read(size, anchor_path(size), MAX_ANCHOR)
        anchor: Anchor | None = None
        if data is not None:
            try:
                anchor = Anchor.parse(data)
                self._check_checkpoint(size, anchor)
            except VaultError as error:
                self._refused(size, error, "an anchor that the log signed, of its tree")
        # 4, 5
        time = None
        if anchor is not None and token is not None:
            time = self._dated(size, anchor, token)
        # 6, 7
        if anchor is not None:
            self._check_links(size, anchor)
        self._remember(_Seen(token_digest(token), time) if token is not None else None)

    def _read(self, size: int, path: str, limit: int) -> bytes | None:
        try:
            data = self._reader.files.read(path, limit)
        except VaultError as error:
            self._refused(size, error, path)
            return None
        if data is None:
            self._add("OBJECT_MISSING", size, path, "none")
        return data

    def _check_checkpoint(self, size: int, anchor: Anchor) -> None:
        checkpoint = anchor.checkpoint
        if checkpoint.size != size:
            raise LedgerProofRefused(
                "ANCHOR_MISMATCH", "it bears another size than its name", expected=size, found=checkpoint.size
            )
        # 2
        self._check_signed(anchor)
        # 3
        newest = self._newest
        if checkpoint.origin != newest.origin:
            raise LedgerProofRefused(
                "LOG_MISMATCH", "of another log", expected=newest.origin, found=checkpoint.origin
            )
        if size > newest.size:
            raise LedgerProofRefused(
                "LEDGER_TRUNCATED", "of a longer log", expected=f"at least {size} entries", found=newest.size
            )
        proof = consistency_proof(self._reader, size, newest.size)
        try:
            verify_consistency(size, newest.size, proof, checkpoint.root, newest.root)
        except LedgerProofRefused as error:
            raise LedgerProofRefused(
                "LEDGER_FORKED",
                "the newest checkpoint does not extend it",
                expected="a tree that the newest checkpoint extends",
                found=checkpoint.root.hex(),
            ) from error

    def _check_signed(self, anchor: Anchor) -> None:
        """Raise what the trusted keys say of it, unless they or those after them signed it."""
        refused: LedgerProofRefused | None = None
        for policy in self._policies:
            try:
                verify_log_signatures(anchor, policy)
            except LedgerProofRefused as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused

    def _dated(self, size: int, anchor: Anchor, token: bytes) -> datetime | None:
        try:
            time = self._stamp(anchor, token).gen_time
        except (TimestampingError, VaultError) as error:
            self._refused(size, error, "a token over this anchor, of a trusted authority")
            return None
        if self._last and self._last.time and time < self._last.time:
            self._add("ANCHOR_TIME", size, f"at or after {rfc3339(self._last.time)}", rfc3339(time))
        try:
            index, place = divmod(size - 1, TILE_WIDTH)
            width = min(TILE_WIDTH, self._newest.size - index * TILE_WIDTH)
            stated = parse_rfc3339(decode(self._reader.entries(index, width)[place]).time)
        except (VaultError, IndexError):
            return time  # the audit of the entries says it
        if stated > time + CLOCKS_DIFFER:
            self._add("ANCHOR_TIME", size, f"at or after {rfc3339(stated)}", rfc3339(time))
        return time

    def _stamp(self, anchor: Anchor, token: bytes) -> TokenReport:
        pem = self._reader.files.read(crls_path(token), _MAX_CRLS) or b""
        try:
            return self._timestamps.verify(token, anchor.imprint, crls=parse_crls(pem))
        except ValueError as error:
            raise LedgerError("FORMAT_FAILURE", "its revocation lists cannot be read") from error
        except TimestampingError as error:
            if error.code == "HASH_FAILURE":
                raise LedgerError("ANCHOR_TOKEN_MISMATCH", "a token over something else") from error
            raise

    def _check_links(self, size: int, anchor: Anchor) -> None:
        links, expected = anchor.links, None
        if self._last is not None:
            expected = self._last.digest
        elif self._whole and not self._begun:
            expected = FIRST
        if expected is not None and links.previous != expected:
            self._add("ANCHOR_CHAIN_BROKEN", size, f"previous {expected.hex()}", links.previous)
        for name, link, first in (
            ("month", links.month, self._month),
            ("year", links.year, self._year),
        ):
            if link is not None and first is not None and link != first.digest:
                self._add("ANCHOR_CHAIN_BROKEN", size, f"previous-{name} {first.digest.hex()}", link)
            elif link is not None and not self._begun and self._whole:
                self._add("ANCHOR_CHAIN_BROKEN", size, f"no previous-{name} in the first anchor", link)

    def _remember(self, seen: _Seen | None) -> None:
        before, first = self._last, self._whole and not self._begun
        self._last, self._begun = seen, True
        if first and seen is not None and seen.time is not None:
            self._month = self._year = seen
        elif seen is None or seen.time is None or before is None or before.time is None:
            # Which month this one begins is not known: nothing is said of these links before another begins.
            self._month = self._year = None
        elif seen.time.year != before.time.year:
            self._month = self._year = seen
        elif seen.time.month != before.time.month:
            self._month = seen

    def _add(self, code: str, size: int, expected: object, found: object) -> None:
        self._report.add(code, f"anchor {size}", expected, found, check=_CHECK, entry=size - 1)

    def _refused(self, size: int, error: VaultError | TimestampingError, expected: str) -> None:
        if isinstance(error, VaultError):
            self._report.add_error(error, f"anchor {size}", expected=expected, check=_CHECK, entry=size - 1)
        else:
            self._report.add(
                error.code,
                f"anchor {size}",
                expected,
                str(error),
                check=_CHECK,
                entry=size - 1,
                indeterminate=error.code in INDETERMINATE_CODES,
            )
