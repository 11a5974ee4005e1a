"""How the keys of a log follow one another: what its own entries state, and who must have signed at which size.

Pure: auditors run it alone. Entry 0 states the first pair of keys; each `log.keys-changed` entry states the next,
names the pair it replaces, and says until when that one signs too. "When" is the time of the checkpoint's last
entry: so the entries alone say which keys a checkpoint of a size must bear, whatever any clock says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vault.clock import parse_rfc3339, rfc3339
from vault.ledger.checkpoint import Checkpoint, verified_lines
from vault.ledger.entry import LogEntry, LogEvent, decode
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.policy import Policy
from vault.ledger.vkeys import Algorithm, VerifierKey

Pair = tuple[VerifierKey, ...]
_MEMBERS = {"ed25519": Algorithm.ED25519, "ml-dsa-44": Algorithm.ML_DSA_44}


@dataclass(frozen=True, slots=True)
class Statement:
    """A pair of keys that a log states.

    Attributes:
        seq: number of the entry.
        keys: Ed25519, then ML-DSA-44; their name is the log's origin.
        replaces: the pair before; empty in entry 0.
        until: RFC 3339 time until which the pair before signs too; "" in entry 0.
    """

    seq: int
    keys: Pair
    replaces: Pair = ()
    until: str = ""


def stated_vkeys(keys: Sequence[VerifierKey]) -> dict[str, str]:
    """Write a pair as entries state it."""
    return {name: key.vkey for name, key in zip(_MEMBERS, keys, strict=True)}


def change_body(
    old: Sequence[VerifierKey],
    new: Sequence[VerifierKey],
    seals: Sequence[Mapping[str, str]],
    until: datetime,
) -> dict[str, Any]:
    """Return the body of a `log.keys-changed` entry.

    Args:
        old: the pair that is replaced.
        new: the pair that signs from this entry on.
        seals: {"purpose", "sha256"} of each seal certificate, as in entry 0.
        until: entries up to this time are signed by the old pair too.
    """
    return {
        "keys": {**stated_vkeys(new), "seals": [dict(seal) for seal in seals]},
        "replaces": stated_vkeys(old),
        "until": rfc3339(until),
    }


def read_statement(entry: LogEntry) -> Statement:
    """Read which keys an entry of the log states.

    Raises:
        LedgerProofRefused: KEYS_CHANGE_INVALID.
    """
    keys = _pair(entry, entry.body.get("keys"))
    if entry.event is LogEvent.OPENED:
        return Statement(entry.seq, keys)
    until = entry.body.get("until")
    try:
        well_formed = isinstance(until, str) and rfc3339(parse_rfc3339(until)) == until
    except ValueError:
        well_formed = False
    if not well_formed:
        raise _invalid(entry.seq, "it does not say until when the keys before sign too")
    return Statement(entry.seq, keys, _pair(entry, entry.body.get("replaces")), str(until))


def _pair(entry: LogEntry, stated: object) -> Pair:
    if not isinstance(stated, dict):
        raise _invalid(entry.seq, "it does not state its keys")
    keys = []
    for member, algorithm in _MEMBERS.items():
        text = stated.get(member)
        try:
            key = VerifierKey.parse(text if isinstance(text, str) else "")
        except LedgerProofRefused as error:
            raise _invalid(entry.seq, f"{member}: {error.detail}") from error
        if key.algorithm is not algorithm:
            raise _invalid(entry.seq, f"{member}: a key of another algorithm")
        keys.append(key)
    if len({key.name for key in keys}) != 1:
        raise _invalid(entry.seq, "its keys have several names")
    return tuple(keys)


def _invalid(seq: int, detail: str) -> LedgerProofRefused:
    return LedgerProofRefused("KEYS_CHANGE_INVALID", f"entry {seq}: {detail}", seq=seq)


@dataclass(slots=True)
class Succession:
    """The statements of one log, from entry 0 on.

    Attributes:
        statements: in the order of their entries.
    """

    statements: list[Statement] = field(default_factory=list)

    def add(self, entry: LogEntry) -> Statement:
        """Take the next entry of the log itself.

        Steps:
            1. It states a pair of keys of this log.
            2. It replaces the pair stated last, and no key comes back.

        Raises:
            LedgerProofRefused: KEYS_CHANGE_INVALID.
        """
        # 1
        found = read_statement(entry)
        # 2
        if self.statements:
            last = self.statements[-1]
            if found.keys[0].name != last.keys[0].name:
                raise _invalid(found.seq, "its keys are of another log")
            if found.replaces != last.keys:
                raise _invalid(found.seq, "it replaces other keys than those stated last")
            known = {key.public for each in self.statements for key in each.keys}
            if known & {key.public for key in found.keys}:
                raise _invalid(found.seq, "a key comes back")
        self.statements.append(found)
        return found

    def take(self, entry: LogEntry) -> Statement | None:
        """Take the next entry of a log that may not state its keys; of such a log nothing is known, and None returned.

        Raises:
            LedgerProofRefused: KEYS_CHANGE_INVALID.
        """
        if entry.event is LogEvent.REPLACED:
            return None
        if self.statements:
            return self.add(entry)
        try:
            return self.add(entry) if entry.event is LogEvent.OPENED else None
        except LedgerProofRefused:
            return None

    def in_force(self, size: int, last_time: str) -> tuple[Pair, ...]:
        """Return the pairs that sign a checkpoint, the newest first; none where entry 0 is not known.

        A pair that is replaced signs the checkpoint that ends with the change, which hands over, and those whose
        last entry is not later than that change, and each change after it, says: one without overlap, because keys
        may be stolen, ends the overlaps before it too.

        Args:
            size: of the checkpoint.
            last_time: time of its last entry.
        """
        stated = [each for each in self.statements if each.seq < size]
        pairs = [stated[-1].keys] if stated else []
        until = stated[-1].until if stated else ""
        for before, after in zip(stated[-2::-1], stated[:0:-1], strict=False):
            until = min(until, after.until)
            if size == after.seq + 1 or last_time <= until:
                pairs.append(before.keys)
        return tuple(pairs)

    def next_stop(self, published: int, size: int) -> int:
        """Return the size to publish next: a checkpoint ends with each change of keys."""
        return min([size, *(each.seq + 1 for each in self.changes() if each.seq >= published)])

    def changes(self) -> list[Statement]:
        """Return the changes of keys, without the first statement."""
        return [each for each in self.statements if each.replaces]


def read_succession_of(stated: Sequence[bytes]) -> Succession:
    """Read the statements of a log from its entries about itself, or from those after some entry.

    Where they do not begin with entry 0, the pair that the first of them replaces is taken as it stands.

    Args:
        stated: octets of entries, in order.

    Raises:
        LedgerProofRefused: KEYS_CHANGE_INVALID.
    """
    succession = Succession()
    for data in stated:
        entry = decode(data)
        if not isinstance(entry, LogEntry):
            continue
        if not succession.statements and entry.event is LogEvent.KEYS_CHANGED and entry.seq > 0:
            succession.statements.append(Statement(0, read_statement(entry).replaces))
        succession.take(entry)
    return succession


def check_signers(note: bytes, succession: Succession, last_time: str, policy: Policy) -> None:
    """Check that those signed a checkpoint whom the entries under it name, no key less and no key more.

    Steps:
        1. No line is by a key that was replaced and had its time, none that counts for the policy by a key that no
           entry states.
        2. Each key that must sign has signed, of the algorithms that the policy lists.

    Args:
        note: the checkpoint, accepted by the policy.
        succession: read from the entries under it, from entry 0.
        last_time: time of the last entry under it.
        policy: keys that are trusted.

    Raises:
        LedgerProofRefused: LOG_KEY_RETIRED, LOG_KEY_UNSTATED, LOG_SIGNATURE_INVALID (failed);
            LOG_SIGNATURE_MISSING (indeterminate).
    """
    checkpoint = Checkpoint.parse(note)
    trusted = policy.log_keys(checkpoint.origin)
    due = [key for pair in succession.in_force(checkpoint.size, last_time) for key in pair]
    stated = [key for each in succession.statements if each.seq < checkpoint.size for key in each.keys]
    lines = verified_lines(
        checkpoint, {key.vkey: key for key in (*stated, *trusted)}, "LOG_SIGNATURE_INVALID"
    )
    # 1
    for key in (*stated, *trusted):
        if key.vkey in lines and key not in due:
            retired = key in stated
            raise LedgerProofRefused(
                "LOG_KEY_RETIRED" if retired else "LOG_KEY_UNSTATED",
                "signed by a key that was replaced" if retired else "signed by a key that no entry states",
                expected=[each.vkey for each in due],
                found=key.vkey,
            )
    # 2
    algorithms = {key.algorithm for key in trusted}
    missing = [key for key in due if key.algorithm in algorithms and key.vkey not in lines]
    if missing:
        raise LedgerProofRefused(
            "LOG_SIGNATURE_MISSING",
            "a key that the log's entries name has not signed",
            indeterminate=True,
            expected=[key.vkey for key in missing],
            found=list(lines),
        )
