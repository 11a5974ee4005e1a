"""Audits of a ledger from its published files alone: everything, what is new since a checkpoint, or a sample."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from vault.errors import LedgerError, VaultError
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import CheckpointReport, verify_checkpoint
from vault.ledger.entry import decode, leaf_hash
from vault.ledger.files import ComputedTiles, LogReader, PublishedFiles, difference_within, first_difference
from vault.ledger.findings import AuditReport, Progress, quiet
from vault.ledger.policy import Policy
from vault.ledger.tiles import Tile
from vault.ledger.tree import (
    EMPTY_ROOT,
    HASH_SIZE,
    TILE_WIDTH,
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)

MISSED_AT_MOST = 0.05  # probability with which a sample misses the share it states


@dataclass(frozen=True, slots=True)
class Known:
    """A state of the log that is trusted already.

    Attributes:
        checkpoint: accepted by the policy.
        copy: the files that were published then, where they were kept: a fork's first entry is found with them.
    """

    checkpoint: CheckpointReport
    copy: LogReader | None = None


def audit_published(
    files: PublishedFiles, policy: Policy, *, since: Known | None = None, progress: Progress = quiet
) -> AuditReport:
    """Audit a ledger from its published files alone.

    Steps:
        1. The policy accepts the checkpoint.
        2. It extends the checkpoint that was trusted before, if any.
        3. Every bundle that its size demands is there; its entries are in canonical form and form the chain, in
           order of number and time.
        4. Every tile is the one that the entries make.
        5. The root of the entries is the checkpoint's.
        6. The log's own entry 0 names the checkpoint's origin.

    Args:
        files: where they lie.
        policy: keys and witnesses that are trusted.
        since: entries before it are not read again; where the log does not extend it, all are, to tell a
            damaged copy from a log that signed two histories.
        progress: called with entries done and entries in all.

    Returns:
        What was found; it never raises for what the files hold.
    """
    report, reader = AuditReport(), LogReader(files)
    # 1
    checkpoint = _accepted(reader, policy, report)
    if checkpoint is None:
        return report
    known = since.checkpoint if since else None
    start = 0
    # 2
    if since is not None and known is not None:
        if known.origin != checkpoint.origin:
            report.add("LOG_MISMATCH", "checkpoint", known.origin, checkpoint.origin, check="consistency")
            return report
        if checkpoint.size < known.size:
            expected, found = f"at least {known.size} entries", f"{checkpoint.size} entries"
            report.add("LEDGER_TRUNCATED", "checkpoint", expected, found, check="consistency")
            return report
        if _extends(reader, known, checkpoint):
            start = max(0, known.size - 1) // TILE_WIDTH * TILE_WIDTH
            known = None
    _Walk(reader, checkpoint, report, progress).run(start, known)
    if since is not None and any(item.code == "LEDGER_FORKED" for item in report.problems):
        _locate(since, reader, report)
    return report


def _accepted(reader: LogReader, policy: Policy, report: AuditReport) -> CheckpointReport | None:
    try:
        checkpoint = verify_checkpoint(reader.checkpoint(), policy)
    except VaultError as error:
        report.add_error(error, "checkpoint", expected="accepted by the policy", check="signatures")
        return None
    report.origin, report.witnesses, report.checkpoints = checkpoint.origin, checkpoint.witnesses, 1
    return checkpoint


def _extends(reader: LogReader, known: CheckpointReport, newest: CheckpointReport) -> bool:
    try:
        proof = consistency_proof(reader, known.size, newest.size)
        verify_consistency(known.size, newest.size, proof, known.root, newest.root)
    except VaultError:
        return False
    return True


def _locate(since: Known, reader: LogReader, report: AuditReport) -> None:
    """Name the first entry that is another one than in the copy kept from before."""
    if since.copy is None:
        return
    try:
        found = first_difference(since.copy, since.checkpoint.size, reader, report.size)
    except VaultError as error:
        report.add_error(error, "the copy kept from before", check="consistency")
        return
    if found is not None:
        where = f"entry {found.seq}"
        report.add("ENTRY_REWRITTEN", where, found.known, found.found, check="consistency", entry=found.seq)


class _Walk:
    """One pass over the entries of a published log."""

    def __init__(
        self, reader: LogReader, checkpoint: CheckpointReport, report: AuditReport, progress: Progress
    ) -> None:
        self._reader = reader
        self._checkpoint = checkpoint
        self._report = report
        self._progress = progress
        self._before: bytes | None = None

    def run(self, start: int, forked: CheckpointReport | None) -> None:
        """Read the entries from `start`; `forked` is a checkpoint that this log did not prove to extend."""
        report, size = self._report, self._checkpoint.size
        report.start = report.size = start
        chain, computed = ChainVerifier(), ComputedTiles()
        try:
            if start:
                computed, hasher = ComputedTiles.resume(self._reader, start, size)
                first = self._reader.entries(start // TILE_WIDTH, min(TILE_WIDTH, size - start))[0]
                chain = ChainVerifier.resume(hasher, first, self._checkpoint.origin)
            # 3, and 4 for full tiles
            self._follow(chain, computed, start, forked.size if forked else -1)
        except VaultError as error:
            report.add_error(error, f"entry {chain.size}", check="chain", entry=chain.size)
        self._progress(size, size)
        report.size, report.root, report.checked = chain.size, chain.root(), chain.size - start
        if chain.size == size:
            self._finish(chain, computed, forked)

    def _follow(self, chain: ChainVerifier, computed: ComputedTiles, start: int, forked: int) -> None:
        size = self._checkpoint.size
        for seq, body in self._bodies(start):
            _, leaf = chain.add(body)
            for level, index, hashes in computed.add(leaf):
                self._compare(Tile(level, index), hashes)
            if chain.size == forked:
                self._before = chain.root()
            if seq % TILE_WIDTH == TILE_WIDTH - 1:
                self._progress(seq + 1, size)

    def _finish(self, chain: ChainVerifier, computed: ComputedTiles, forked: CheckpointReport | None) -> None:
        report, size = self._report, self._checkpoint.size
        # 4
        for level, index, hashes in computed.partial():
            self._compare(Tile(level, index, len(hashes) // HASH_SIZE), hashes)
        # 5
        if report.root != self._checkpoint.root:
            where = f"checkpoint {size}"
            report.add("ROOT_MISMATCH", where, report.root, self._checkpoint.root, check="tree")
        elif forked is not None:
            self._judge(forked)
        # 6
        if chain.origin != self._checkpoint.origin:
            report.add(
                "ORIGIN_MISMATCH", "entry 0", self._checkpoint.origin, chain.origin, check="origin", entry=0
            )

    def _bodies(self, start: int) -> Iterator[tuple[int, bytes]]:
        for seq, body in self._reader.from_bundle(start, self._checkpoint.size):
            self._report.tiles += seq % TILE_WIDTH == 0
            yield seq, body

    def _judge(self, known: CheckpointReport) -> None:
        """The entries make the signed root: so the log itself says what its tree was at the known size."""
        before = self._before if known.size else EMPTY_ROOT
        if before != known.root:
            where = f"entries 0 to {known.size - 1}"
            found = before or "no such tree"
            self._report.add("LEDGER_FORKED", where, known.root, found, check="consistency")

    def _compare(self, tile: Tile, hashes: bytes) -> None:
        """List the first hash of a tile that is another."""
        self._report.tiles += 1
        try:
            found = self._reader.tile(tile.level, tile.index, tile.width)
        except VaultError as error:
            self._report.add_error(error, tile.path, expected="the tile that the entries make", check="tiles")
            return
        if found != hashes:
            place = difference_within(hashes, found)
            at = slice(place * HASH_SIZE, (place + 1) * HASH_SIZE)
            entry = tile.index * TILE_WIDTH + place if tile.level == 0 else None
            self._report.add(
                "TILE_MISMATCH",
                f"{tile.path} hash {place}",
                hashes[at],
                found[at],
                check="tiles",
                entry=entry,
            )


def audit_sample(
    files: PublishedFiles, policy: Policy, count: int, *, progress: Progress = quiet, seed: int | None = None
) -> AuditReport:
    """Audit entries drawn by chance; `undetected_share` states what that is worth.

    Steps, for each entry drawn:
        1. It is in canonical form and carries its number.
        2. It is in the tree of the checkpoint, which the policy accepts.
        3. So is the entry before it, which it names.

    Args:
        files: where they lie.
        policy: keys and witnesses that are trusted.
        count: entries to draw; no more than there are.
        progress: called with entries done and entries in all.
        seed: repeats an earlier choice; None draws a new one that nobody can foresee.
    """
    report, reader = AuditReport(), LogReader(files)
    checkpoint = _accepted(reader, policy, report)
    if checkpoint is None:
        return report
    report.size, report.root = checkpoint.size, checkpoint.root
    chosen = random.Random(seed) if seed is not None else random.SystemRandom()  # noqa: S311 - only to repeat
    drawn = sorted(chosen.sample(range(checkpoint.size), min(count, checkpoint.size)))
    for done, seq in enumerate(drawn, start=1):
        try:
            _check_one(reader, checkpoint, seq)
        except VaultError as error:
            report.add_error(error, f"entry {seq}", check="sample", entry=seq)
        report.checked = done
        progress(done, len(drawn))
    if len(drawn) < checkpoint.size:
        report.undetected_share = undetected_share(len(drawn))
    return report


def undetected_share(count: int) -> float:
    """Return the share of bad entries that a sample without finding misses with 5 % probability at most."""
    return 1.0 if count == 0 else float(1 - MISSED_AT_MOST ** (1 / count))


def _check_one(reader: LogReader, checkpoint: CheckpointReport, seq: int) -> None:
    body = _entry(reader, checkpoint.size, seq)
    # 1
    entry = decode(body)
    if entry.seq != seq:
        raise LedgerError("CHAIN_BROKEN", "another number", expected=seq, found=entry.seq)
    # 2
    _check_included(reader, checkpoint, seq, leaf_hash(body))
    # 3
    if seq:
        before = _entry(reader, checkpoint.size, seq - 1)
        if entry.prev != leaf_hash(before):
            raise LedgerError(
                "CHAIN_BROKEN", "another entry before", expected=leaf_hash(before), found=entry.prev
            )
        if decode(before).time > entry.time:
            raise LedgerError(
                "CHAIN_BROKEN", "time runs backwards", expected=decode(before).time, found=entry.time
            )
        _check_included(reader, checkpoint, seq - 1, entry.prev)


def _entry(reader: LogReader, size: int, seq: int) -> bytes:
    index, place = divmod(seq, TILE_WIDTH)
    return reader.entries(index, min(TILE_WIDTH, size - index * TILE_WIDTH))[place]


def _check_included(reader: LogReader, checkpoint: CheckpointReport, seq: int, leaf: bytes) -> None:
    proof = inclusion_proof(reader, seq, checkpoint.size)
    verify_inclusion(leaf, seq, checkpoint.size, proof, checkpoint.root)
