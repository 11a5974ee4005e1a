"""Follows a published log without trusting it: every new checkpoint must extend the one seen before.

The watcher remembers, in a file of its own, the last checkpoint and a few octets of each entry's leaf hash. So
an operator who rewrites history, with every key in hand, is found at the next look, and the entry is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vault.errors import LedgerError, VaultError
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import CheckpointReport, verify_checkpoint
from vault.ledger.entry import LogEntry, RecordEntry, decode, leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.files import ComputedTiles, LogReader, PublishedFiles
from vault.ledger.handover import follow_known, follow_log
from vault.ledger.policy import Policy
from vault.ledger.retirement import Notice, read_notice
from vault.ledger.succession import Statement, Succession, check_signers
from vault.ledger.tags import tag
from vault.ledger.tree import (
    EMPTY_ROOT,
    HASH_SIZE,
    TILE_WIDTH,
    TreeHasher,
    consistency_proof,
    verify_consistency,
)
from vault.ledger.watch_memory import PRINT, Memory, leaves_of, load, remember_leaves, save


class Alarm(LedgerError):
    """The log did what an honest log never does.

    Attributes:
        notes: the signed checkpoints that prove it, the known one first.
    """

    def __init__(self, code: str, detail: str, notes: Sequence[bytes] = (), **params: object) -> None:
        super().__init__(code, detail, **params)
        self.notes = tuple(notes)


@dataclass(frozen=True, slots=True)
class Sighting:
    """An entry about a document whose key is watched.

    Attributes:
        key_id: first octets of the key's SHA-256, in hex.
        counter: counter of its tag.
        seq: number of the entry.
        time: what it states, RFC 3339.
    """

    key_id: str
    counter: int
    seq: int
    time: str


@dataclass(frozen=True, slots=True)
class News:
    """What one look found.

    Attributes:
        checkpoint: the newest, signed by the log.
        grown: entries since the last look.
        sightings: entries about watched documents.
        key_changes: changes of the log's keys among the new entries.
        retired: what the log says of its own end; None while it goes on.
        refused: what the policy asks of witnesses and this checkpoint lacks; None when nothing.
    """

    checkpoint: CheckpointReport
    grown: int
    sightings: tuple[Sighting, ...]
    key_changes: tuple[Statement, ...] = ()
    retired: Notice | None = None
    refused: LedgerProofRefused | None = None


@dataclass(frozen=True, slots=True)
class _Next:
    """What a look found, until it is kept."""

    memory: Memory
    checkpoint: CheckpointReport
    known: int
    prints: bytes
    policy: Policy


@dataclass(slots=True)
class _Walk:
    """What reading new entries gathers.

    Attributes:
        counters: next counter by key id.
        sightings: entries about watched documents.
        prints: octets of the leaf hashes.
        statements: new entries of the log itself.
        last_time: time of the last entry.
    """

    counters: dict[str, int]
    sightings: list[Sighting] = field(default_factory=list)
    prints: bytearray = field(default_factory=bytearray)
    statements: list[tuple[LogEntry, bytes]] = field(default_factory=list)
    last_time: str = ""


def key_id(key: bytes) -> str:
    """Return the name under which a tag key is spoken of; it gives nothing of the key away."""
    return hashlib.sha256(key).hexdigest()[:16]


class Watcher:
    """Looks at one log, again and again.

    Attributes:
        memory: what it remembers.
    """

    def __init__(
        self, files: PublishedFiles, policy: Policy, state: Path, keys: Sequence[bytes] = ()
    ) -> None:
        """Open or begin a watch.

        Args:
            files: where the log is published.
            policy: keys and witnesses that are trusted.
            state: file of the memory; `<state>.leaves` lies beside it.
            keys: K_status or K_access of documents, 32 octets each.

        Raises:
            LedgerError: WATCH_STATE_INVALID.
        """
        self._reader = LogReader(files)
        self._state = state
        self._keys = {key_id(key): key for key in keys}
        self.memory = load(state)
        self._policy = follow_known(policy, self.memory.handovers)
        # What the log signed once binds it, whether or not its witnesses had seen it then.
        own = self._policy.of_logs()
        self._known = verify_checkpoint(self.memory.note, own) if self.memory.note else None
        self._next: _Next | None = None

    def look(self, now: float) -> News:
        """Look once.

        Steps:
            1. The log's keys in the policy, or those that they handed over to, signed the checkpoint; it is of the
               same log. What witnesses lack is told beside the news: it hides nothing of what follows.
            2. It is not smaller, and of one size there is one root.
            3. It extends the known one (RFC 6962 consistency).
            4. The new entries are in canonical form, form the chain and make the root.
            5. Those signed whom the entries of the log name: no key that had its time, none that was never stated.
            6. Entries with the next tag of a watched key are named; a key not seen before is searched from entry 0.

        Nothing is remembered before `keep`: what was found and not kept is found again.

        Args:
            now: POSIX seconds.

        Raises:
            Alarm: LOG_MISMATCH, LEDGER_TRUNCATED, LEDGER_FORKED, CHAIN_BROKEN, KEYS_CHANGE_INVALID,
                LOG_KEY_RETIRED, LOG_KEY_UNSTATED, PREVIOUS_OUTDATED (it was retired before where it stands).
            VaultError: nothing can be said now: the log cannot be reached or is damaged, or its checkpoint is
                not signed by the log's keys in the policy.
        """
        self._next = None
        # 1
        note = self._reader.checkpoint()
        followed = follow_log(self._reader, note, self._policy)
        newest = followed.checkpoint
        known = self._known
        if known is not None:
            # 2, 3
            self._check_extends(known, newest, note)
        # 4, 6
        size = known.size if known else 0
        late = [name for name in self._keys if name not in self.memory.counters]
        walk = _Walk(dict.fromkeys(late, 0) | self.memory.counters)
        start = 0 if late or size == 0 else (size - 1) // TILE_WIDTH * TILE_WIDTH
        if newest.size > size or late:
            self._follow(start, size, newest, walk, note)
        # 5
        changes = self._check_signers(note, walk, followed.policy)
        grown = newest.size - size
        seen_at = now if grown or not self.memory.note else self.memory.seen_at
        # A checkpoint of the same size may carry more cosignatures: the newer note is kept.
        handovers = (*self.memory.handovers, *(change.handover for change in followed.changes))
        statements = (*self.memory.statements, *(body for _, body in walk.statements))
        memory = Memory(note, seen_at, walk.counters, handovers, statements)
        self._next = _Next(memory, newest, size, bytes(walk.prints), followed.policy)
        notice = self._notice(newest, followed.policy, note)
        return News(newest, grown, tuple(walk.sightings), tuple(changes), notice, followed.refused)

    def keep(self) -> None:
        """Remember the last look durably, once its news have been told."""
        if self._next is not None:
            remember_leaves(self._state, self._next.known, self._next.prints)
            save(self._state, self._next.memory)
            self._policy = self._next.policy
            self.memory, self._known, self._next = self._next.memory, self._next.checkpoint, None

    def silent_for(self, now: float) -> float:
        """Return the seconds since a new checkpoint was seen, 0 before the first."""
        return now - self.memory.seen_at if self.memory.note else 0.0

    def _check_extends(self, known: CheckpointReport, newest: CheckpointReport, note: bytes) -> None:
        if newest.origin != known.origin:
            raise Alarm("LOG_MISMATCH", f"{newest.origin} stands where {known.origin} was")
        heads = f"known {_head(known)}; found {_head(newest)}"
        if newest.size < known.size:
            raise Alarm("LEDGER_TRUNCATED", f"the log went back: {heads}", (self.memory.note, note))
        if newest.size == known.size:
            if newest.root == known.root:
                return
        else:
            try:
                proof = consistency_proof(self._reader, known.size, newest.size)
                verify_consistency(known.size, newest.size, proof, known.root, newest.root)
            except LedgerProofRefused:
                # A damaged copy is not a lie: the leaves must make the newer root, and another older one.
                before, root = self._roots_of_leaves(newest, known.size)
                if root != newest.root or before == known.root:
                    raise LedgerProofRefused(
                        "LEDGER_DAMAGED", "its tiles do not hash to its checkpoint", indeterminate=True
                    ) from None
            else:
                return
        seq = self._first_rewritten(known, newest)
        where = "" if seq is None else f"; first entry rewritten: {seq}"
        raise Alarm(
            "LEDGER_FORKED",
            f"the log signed two histories: {heads}{where}",
            (self.memory.note, note),
            entry=seq,
        )

    def _roots_of_leaves(self, newest: CheckpointReport, known: int) -> tuple[bytes, bytes]:
        """Return the roots that the published leaf hashes make at the known size and at the newest."""
        hasher, before = TreeHasher(), EMPTY_ROOT
        for index in range(-(-newest.size // TILE_WIDTH)):
            row = self._reader.tile(0, index, min(TILE_WIDTH, newest.size - index * TILE_WIDTH))
            for at in range(0, len(row), HASH_SIZE):
                hasher.add(row[at : at + HASH_SIZE])
                if hasher.size == known:
                    before = hasher.root()
        return before, hasher.root()

    def _first_rewritten(self, known: CheckpointReport, newest: CheckpointReport) -> int | None:
        """Compare with what is remembered of each leaf; None when the files cannot be read."""
        try:
            with leaves_of(self._state).open("rb") as remembered:
                for index in range(-(-known.size // TILE_WIDTH)):
                    row = self._reader.tile(0, index, min(TILE_WIDTH, newest.size - index * TILE_WIDTH))
                    for place in range(min(len(row) // HASH_SIZE, known.size - index * TILE_WIDTH)):
                        if remembered.read(PRINT) != row[place * HASH_SIZE : place * HASH_SIZE + PRINT]:
                            return index * TILE_WIDTH + place
        except (OSError, VaultError):
            return None
        return None

    def _follow(
        self,
        start: int,
        known: int,
        newest: CheckpointReport,
        walk: _Walk,
        note: bytes,
    ) -> None:
        """Read the entries from `start`, and gather what is to be told and remembered of them."""
        counters = walk.counters
        wanted = {tag(key, counters[name]): name for name, key in self._keys.items()}
        chain = ChainVerifier()
        for seq, body in self._reader.from_bundle(start, newest.size):
            if seq == start and start:
                _, hasher = ComputedTiles.resume(self._reader, start, newest.size)
                chain = ChainVerifier.resume(hasher, body, newest.origin)
            try:
                entry, leaf = chain.add(body)
            except LedgerError as error:
                if self._is_in(newest, seq, body):
                    raise Alarm(
                        error.code, f"{error.detail}; head {_head(newest)}", (note,), entry=seq
                    ) from error
                raise
            if seq >= known:
                walk.prints += leaf[:PRINT]
                if isinstance(entry, LogEntry):
                    walk.statements.append((entry, body))
            name = wanted.pop(entry.tag, None) if isinstance(entry, RecordEntry) else None
            if name is not None:
                walk.sightings.append(Sighting(name, counters[name], seq, entry.time))
                counters[name] += 1
                wanted[tag(self._keys[name], counters[name])] = name
        if chain.root() != newest.root:
            raise LedgerProofRefused(
                "LEDGER_DAMAGED", "its entries do not hash to its checkpoint", indeterminate=True
            )
        walk.last_time = chain.last_time

    def _notice(self, newest: CheckpointReport, policy: Policy, note: bytes) -> Notice | None:
        """Return what the log says of its end, if it ended where it stands."""
        notice = read_notice(self._reader, policy, newest.origin)
        if notice is not None and (notice.size, notice.root) != (newest.size, newest.root):
            end = f"{notice.size} {notice.root.hex()}"
            raise Alarm(
                "PREVIOUS_OUTDATED", f"the log was retired at {end}, and stands at {_head(newest)}", (note,)
            )
        return notice

    def _check_signers(self, note: bytes, walk: _Walk, policy: Policy) -> list[Statement]:
        """Check who signed; return the new changes of keys. Nothing is known of a log that states no keys."""
        succession = Succession()
        for body in self.memory.statements:
            entry = decode(body)
            if isinstance(entry, LogEntry):
                succession.take(entry)
        try:
            added = [succession.take(entry) for entry, _ in walk.statements]
            if succession.statements and walk.last_time:
                check_signers(note, succession, walk.last_time, policy)
        except LedgerProofRefused as error:
            if error.indeterminate:
                raise
            raise Alarm(error.code, error.detail, (note,), **error.params) from error
        return [each for each in added if each is not None and each.replaces]

    def _is_in(self, newest: CheckpointReport, seq: int, body: bytes) -> bool:
        """Tell whether the log signed this entry: only then a broken chain is its own doing."""
        if self._roots_of_leaves(newest, 0)[1] != newest.root:
            return False
        index, place = divmod(seq, TILE_WIDTH)
        row = self._reader.tile(0, index, min(TILE_WIDTH, newest.size - index * TILE_WIDTH))
        return row[place * HASH_SIZE : (place + 1) * HASH_SIZE] == leaf_hash(body)


def _head(checkpoint: CheckpointReport) -> str:
    return f"{checkpoint.size} {checkpoint.root.hex()}"
