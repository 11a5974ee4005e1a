"""Audit of a sample: entries of a published ledger drawn by chance, and what that is worth."""

from __future__ import annotations

import random

from vault.errors import LedgerError, VaultError
from vault.ledger.checkpoint import CheckpointReport
from vault.ledger.entry import decode, leaf_hash
from vault.ledger.files import LogReader, PublishedFiles
from vault.ledger.findings import AuditReport, Progress, quiet
from vault.ledger.policy import Policy
from vault.ledger.published import accepted_checkpoint, report_witnesses
from vault.ledger.tree import TILE_WIDTH, inclusion_proof, verify_inclusion

MISSED_AT_MOST = 0.05  # probability with which a sample misses the share it states


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
    followed = accepted_checkpoint(reader, policy, report)
    if followed is None:
        return report
    checkpoint = followed.checkpoint
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
    report_witnesses(report, followed)
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
