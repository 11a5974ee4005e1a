"""Checkpoints (c2sp.org/tlog-checkpoint): the signed head of the tree, and its verification by policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vault.ledger.errors import LedgerProofRefused, malformed
from vault.ledger.note import Note, b64decode, b64encode
from vault.ledger.policy import Policy
from vault.ledger.tree import HASH_SIZE
from vault.ledger.vkeys import Signed, VerifierKey

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def checkpoint_text(origin: str, size: int, root: bytes) -> bytes:
    """Write the text of a checkpoint: origin, size and root, one a line."""
    return f"{origin}\n{size}\n{b64encode(root)}\n".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint taken apart; nothing is verified.

    Attributes:
        origin: identity of the log.
        size: number of entries.
        root: root hash, 32 octets.
        extensions: further lines; a checkpoint of this service has none.
        note: the note it came from.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...]
    note: Note

    @classmethod
    def parse(cls, data: bytes) -> Checkpoint:
        """Read a checkpoint note.

        Raises:
            LedgerProofRefused: FORMAT_FAILURE with what is wrong.
        """
        note = Note.parse(data)
        lines = note.text.decode().split("\n")[:-1]
        if len(lines) < 3 or not all(lines):
            raise malformed("a checkpoint has three lines or more, none empty")
        origin, size, encoded, *extensions = lines
        if _SIZE.fullmatch(size) is None or int(size) >= 2**63:
            raise malformed("the size of a checkpoint is not a number", found=size[:40])
        root = b64decode(encoded)
        if len(root) != HASH_SIZE:
            raise malformed("the root of a checkpoint has not 32 octets", found=encoded[:80])
        return cls(origin, int(size), root, tuple(extensions), note)

    @property
    def signed(self) -> Signed:
        """What its signature lines cover."""
        return Signed(self.note.text, self.origin, self.size, self.root)


@dataclass(frozen=True, slots=True)
class CheckpointReport:
    """A checkpoint accepted by a policy.

    Attributes:
        origin, size, root: of the checkpoint.
        witnesses: names, in the policy, of the witnesses that cosigned; empty when the statement rests on
            the operator's key alone.
        algorithms: names of the algorithms the log signed with.
        log_time: POSIX seconds the log itself states, or None.
        witness_times: POSIX seconds each witness states, in the order of `witnesses`.
    """

    origin: str
    size: int
    root: bytes
    witnesses: tuple[str, ...]
    algorithms: tuple[str, ...]
    log_time: int | None
    witness_times: tuple[int, ...]


def verify_checkpoint(data: bytes, policy: Policy) -> CheckpointReport:
    """Verify a checkpoint note by a policy.

    Steps:
        1. The note has the documented form, without extension lines.
        2. The policy knows the origin.
        3. Every line of a known key verifies; one line a key; lines of unknown keys are ignored. No key signed
           a larger tree than the policy says it did.
        4. Of every algorithm that the policy lists for this log, one of its keys has signed.
        5. The witness quorum is met; a cosignature without time states nothing about the newest tree and
           does not count.

    Args:
        data: the note.
        policy: keys and quorum; the only keys that are trusted.

    Raises:
        LedgerProofRefused: FORMAT_FAILURE, LOG_SIGNATURE_INVALID, LOG_KEY_RETIRED, WITNESS_SIGNATURE_INVALID
            (failed); LOG_UNKNOWN, LOG_SIGNATURE_MISSING, WITNESS_QUORUM_UNMET (indeterminate).
    """
    # 1
    checkpoint = Checkpoint.parse(data)
    if checkpoint.extensions:
        raise malformed("a checkpoint of this service has no extension lines")
    # 2
    log_keys = policy.log_keys(checkpoint.origin)
    if not log_keys:
        raise LedgerProofRefused(
            "LOG_UNKNOWN", "the policy lists no key of this log", indeterminate=True, found=checkpoint.origin
        )
    # 3
    logs = verified_lines(checkpoint, {key.vkey: key for key in log_keys}, "LOG_SIGNATURE_INVALID")
    witnesses = verified_lines(checkpoint, policy.witnesses, "WITNESS_SIGNATURE_INVALID")
    for vkey in logs:
        if checkpoint.size > policy.last_sizes.get(vkey, checkpoint.size):
            raise LedgerProofRefused(
                "LOG_KEY_RETIRED",
                "signed by a key that had been replaced",
                expected=f"at most size {policy.last_sizes[vkey]}",
                found=checkpoint.size,
            )
    # 4
    demanded = sorted({key.algorithm.name for key in log_keys})
    found = sorted({key.algorithm.name for key in log_keys if key.vkey in logs})
    if found != demanded:
        raise LedgerProofRefused(
            "LOG_SIGNATURE_MISSING",
            "a signature that the policy asks of the log is not there",
            indeterminate=True,
            expected=demanded,
            found=found,
        )
    # 5
    cosigned = {name: time for name, time in witnesses.items() if time}
    if not policy.is_met(cosigned.keys()):
        raise LedgerProofRefused(
            "WITNESS_QUORUM_UNMET",
            "too few witnesses cosigned",
            indeterminate=True,
            expected=policy.quorum,
            found=sorted(cosigned),
        )
    times = [time for time in logs.values() if time is not None]
    return CheckpointReport(
        checkpoint.origin,
        checkpoint.size,
        checkpoint.root,
        tuple(cosigned),
        tuple(demanded),
        max(times, default=None),
        tuple(cosigned.values()),
    )


def verified_lines(
    checkpoint: Checkpoint, keys: Mapping[str, VerifierKey], invalid: str
) -> dict[str, int | None]:
    """Verify every line of these keys; return the time each one states, under the key's name here.

    Raises:
        LedgerProofRefused: `invalid` for a line that does not verify, FORMAT_FAILURE for two of one key.
    """
    found: dict[str, int | None] = {}
    for name, key in keys.items():
        lines = [
            line for line in checkpoint.note.signatures if line.name == key.name and line.key_id == key.id
        ]
        if len(lines) > 1:
            raise malformed("a key signed twice", found=key.name)
        for line in lines:
            try:
                found[name] = key.verify(line.signature, checkpoint.signed)
            except LedgerProofRefused as error:
                raise LedgerProofRefused(
                    invalid, "a signature does not verify", key=key.name, algorithm=key.algorithm.name
                ) from error
    return found
