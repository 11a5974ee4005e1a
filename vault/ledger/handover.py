"""Follows a log from keys that are trusted to those that replaced them. Pure: auditors run it alone.

At each change of keys the log publishes a handover: the receipt of the `log.keys-changed` entry, which brings the
entry along, under the checkpoint that ends with it. Old keys and new ones have signed that checkpoint. So whoever
trusts the old ones learns the new ones from them alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vault.errors import LedgerError
from vault.ledger.checkpoint import Checkpoint, CheckpointReport, verify_checkpoint
from vault.ledger.entry import LogEntry, LogEvent, decode
from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.files import LogReader
from vault.ledger.policy import NO_QUORUM, Policy
from vault.ledger.receipt import MAX_RECEIPT, parse_receipt, verify_receipt
from vault.ledger.succession import Statement, read_statement
from vault.ledger.tree import (
    EMPTY_ROOT,
    HASH_SIZE,
    TILE_WIDTH,
    TreeHasher,
    consistency_proof,
    verify_consistency,
)
from vault.ledger.vkeys import VerifierKey

FOLDER = "handover/"
MAX_CHANGES = 256


def handover_path(key: VerifierKey) -> str:
    """Return where the handover from a key lies in the published ledger: a name that whoever trusts it knows."""
    return f"{FOLDER}{hashlib.sha256(key.vkey.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A change of keys, proven by keys that were trusted before.

    Attributes:
        statement: what the entry says.
        time: of the entry, RFC 3339.
        checkpoint: that proves it.
        handover: octets of the proof.
    """

    statement: Statement
    time: str
    checkpoint: CheckpointReport
    handover: bytes

    def apply(self, policy: Policy) -> Policy:
        """Return the policy with the new keys of this log in the place of the old ones."""
        others = tuple(key for key in policy.logs if key.name != self.checkpoint.origin)
        kept = {key.vkey: policy.last_sizes[key.vkey] for key in others if key.vkey in policy.last_sizes}
        return replace(policy, logs=(*self.statement.keys, *others), last_sizes=kept)


@dataclass(frozen=True, slots=True)
class Followed:
    """A checkpoint accepted by a policy, or by what the keys of that policy lead to.

    Attributes:
        checkpoint: what it states.
        policy: with the keys that signed it.
        note: its octets.
        changes: that lead there, in order; empty where the policy's own keys signed.
        refused: what the policy asks of witnesses and the checkpoint lacks; only `follow_log` returns one.
    """

    checkpoint: CheckpointReport
    policy: Policy
    note: bytes
    changes: tuple[KeyChange, ...] = ()
    refused: LedgerProofRefused | None = None


def verify_handover(handover: bytes, policy: Policy) -> KeyChange:
    """Verify a handover by the keys that are trusted.

    Steps:
        1. It is a receipt that brings its entry along, a change of keys.
        2. The receipt holds under a checkpoint that the policy's keys of the log signed; witnesses are a matter
           of the newest checkpoint.
        3. What is replaced is a key that the policy lists and that is not retired there.

    Raises:
        LedgerProofRefused: KEYS_CHANGE_INVALID, FORMAT_FAILURE, and those of `verify_receipt`.
    """
    # 1
    parsed = parse_receipt(handover)
    if parsed.extra is None:
        raise malformed("a handover brings its entry along")
    try:
        entry = decode(parsed.extra)
    except LedgerError as error:
        raise malformed(f"the entry of a handover: {error.detail}") from error
    if not isinstance(entry, LogEntry) or entry.event is not LogEvent.KEYS_CHANGED:
        raise LedgerProofRefused("KEYS_CHANGE_INVALID", "the entry of a handover changes no keys")
    statement = read_statement(entry)
    # 2
    report = verify_receipt(handover, parsed.extra, replace(policy, quorum=NO_QUORUM))
    # 3
    current = [key for key in policy.log_keys(report.checkpoint.origin) if key.vkey not in policy.last_sizes]
    if not set(current) & set(statement.replaces):
        raise LedgerProofRefused("KEYS_CHANGE_INVALID", "it replaces no key that is trusted", seq=entry.seq)
    if statement.keys[0].name != report.checkpoint.origin:
        raise LedgerProofRefused("KEYS_CHANGE_INVALID", "its keys are of another log", seq=entry.seq)
    return KeyChange(statement, entry.time, report.checkpoint, handover)


def follow_known(policy: Policy, handovers: Sequence[bytes]) -> Policy:
    """Return the policy that handovers kept from before lead to. Raises LedgerProofRefused."""
    for handover in handovers:
        policy = verify_handover(handover, policy).apply(policy)
    return policy


def follow(reader: LogReader, note: bytes, policy: Policy) -> Followed:
    """Verify the published checkpoint by a policy, or by the keys that its keys handed over to.

    Steps:
        1. The policy accepts the checkpoint; done.
        2. If only its log's signatures are missing: a handover from one of the policy's keys is published and
           verifies; go on with the new keys.
        3. The checkpoint extends that of each handover: so the log that announced the keys is the one they sign.

    Args:
        reader: the published files.
        note: the checkpoint.
        policy: the only keys that are trusted.

    Raises:
        LedgerProofRefused: LOG_INCONSISTENT when a handover is of another history, LEDGER_DAMAGED, those of
            `verify_handover` and `verify_checkpoint`; LOG_SIGNATURE_MISSING (indeterminate) where no handover leads on.
    """
    changes: list[KeyChange] = []
    while True:
        # 1
        try:
            checkpoint = verify_checkpoint(note, policy)
            break
        except LedgerProofRefused as error:
            if error.code != "LOG_SIGNATURE_MISSING" or len(changes) >= MAX_CHANGES:
                raise
            handover = _published(reader, note, policy)
            if handover is None:
                raise
        # 2
        change = verify_handover(handover, policy)
        if changes and change.statement.seq <= changes[-1].statement.seq:
            raise LedgerProofRefused("KEYS_CHANGE_INVALID", "changes of keys in another order")
        changes.append(change)
        policy = change.apply(policy)
    # 3
    for change in changes:
        _check_extends(reader, change.checkpoint, checkpoint)
    return Followed(checkpoint, policy, note, tuple(changes))


def follow_log(reader: LogReader, note: bytes, policy: Policy) -> Followed:
    """Verify the published checkpoint by what the log signed alone; say beside it what its witnesses lack.

    Who looks for forks needs this: a log that signs another history is not helped by its witnesses, and what it
    signed must be compared with memory all the same.

    Args:
        reader: the published files.
        note: the checkpoint.
        policy: the only keys that are trusted; the quorum decides about `refused` alone.

    Raises:
        LedgerProofRefused: see `follow`, but for WITNESS_SIGNATURE_INVALID and WITNESS_QUORUM_UNMET.
    """
    followed = follow(reader, note, policy.of_logs())
    led_to = replace(policy, logs=followed.policy.logs, last_sizes=followed.policy.last_sizes)
    checkpoint, refused = followed.checkpoint, None
    try:
        checkpoint = verify_checkpoint(note, led_to)
    except LedgerProofRefused as error:
        refused = error
        if error.code == "WITNESS_QUORUM_UNMET":
            checkpoint = verify_checkpoint(note, replace(led_to, quorum=NO_QUORUM))
    return replace(followed, checkpoint=checkpoint, policy=led_to, refused=refused)


def _published(reader: LogReader, note: bytes, policy: Policy) -> bytes | None:
    """Return the handover from the keys that are trusted and not retired, None where there is none."""
    for key in policy.log_keys(Checkpoint.parse(note).origin):
        if key.vkey not in policy.last_sizes:
            found = reader.files.read(handover_path(key), MAX_RECEIPT)
            if found is not None:
                return found
    return None


def _check_extends(reader: LogReader, old: CheckpointReport, new: CheckpointReport) -> None:
    """Check that one checkpoint extends the other; where it does not, tell a damaged copy from a lie."""
    if old.size <= new.size:
        proof = consistency_proof(reader, old.size, new.size)
        try:
            verify_consistency(old.size, new.size, proof, old.root, new.root)
        except LedgerProofRefused:
            if _leaves_prove(reader, old, new):
                raise LedgerProofRefused(
                    "LEDGER_DAMAGED", "its tiles do not hash to its checkpoint", indeterminate=True
                ) from None
        else:
            return
    raise LedgerProofRefused(
        "LOG_INCONSISTENT",
        "the checkpoint does not extend the one under which its keys were announced",
        expected=f"{old.size} {old.root.hex()}",
        found=f"{new.size} {new.root.hex()}",
    )


def _leaves_prove(reader: LogReader, old: CheckpointReport, new: CheckpointReport) -> bool:
    """Tell whether the published leaf hashes leave the log in the right: another tile was damaged, or one of them."""
    hasher, before = TreeHasher(), EMPTY_ROOT
    for index in range(-(-new.size // TILE_WIDTH)):
        row = reader.tile(0, index, min(TILE_WIDTH, new.size - index * TILE_WIDTH))
        for at in range(0, len(row), HASH_SIZE):
            hasher.add(row[at : at + HASH_SIZE])
            if hasher.size == old.size:
                before = hasher.root()
    return hasher.root() != new.root or before == old.root
