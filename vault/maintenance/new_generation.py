"""Retires a log that cannot be gone on with, openly, and begins the next generation.

Steps:
    1. The settings name the next generation, and the operator has named the one to retire.
    2. Its last checkpoint is found: the largest that its keys signed, of the published one, the database's, and one
       that an auditor or a witness kept.
    3. In one transaction the ledger of the database begins anew: entry 0 commits to that checkpoint, and every
       record entry that the database holds is stated again under its old number, so that each document's course lies
       in the new log whole. An entry of the log itself gives its place to one that says so.
    4. What recovery records hold beyond that is appended, as after any loss.
    5. The new log is published, and a notice beside the old one, which stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import LogConflict, ObjectMissing
from vault.clock import rfc3339
from vault.composition.first_start import seal_digests
from vault.composition.parts import Parts
from vault.core import faults
from vault.db.bulk import insert_rows
from vault.db.driver import driver_of
from vault.errors import LedgerError
from vault.ledger.checkpoint import Checkpoint, verified_lines, verify_checkpoint
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, decode, encode, encode_record, leaf_hash
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.generations import generation_of, predecessor, prefix_of, previous_checkpoint, previous_keys
from vault.ledger.genesis import opening_body
from vault.ledger.key_folder import LedgerKeyFolder
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher
from vault.ledger.retirement import PATH, notice_text
from vault.ledger.stated import log_policy, own_policy, remember_statement
from vault.ledger.stored import StoredTiles, entries, find_head, latest_checkpoint
from vault.ledger.tiles import CHECKPOINT_PATH
from vault.recovery.rebuilding import RecoveryReport

_log = logging.getLogger("probans.ledger")
_COLUMNS = ("seq", "body", "leaf")
_PAGE = 4096
_CLEARED = (
    "ledger_tiles",
    "ledger_statements",
    "ledger_head",
    "checkpoints",
    "anchors",
    "cosignatures",
    "witness_alarms",
)


@dataclass
class Begun:
    """What was done.

    Attributes:
        origin: of the new generation.
        retired: of the one before.
        previous: size of its last checkpoint.
        restated: entries stated again.
        recovery: what recovery records added.
    """

    origin: str
    retired: str
    previous: int
    restated: int = 0
    recovery: RecoveryReport = field(default_factory=RecoveryReport)


def begin_generation(parts: Parts, retired: str, last: bytes | None = None) -> Begun:
    """Retire a log and begin the next generation; after a crash, called again, it finishes what was begun.

    No service may run meanwhile.

    Args:
        parts: opened with the origin of the new generation.
        retired: origin of the log to retire, as the operator typed it.
        last: a checkpoint note of it that was kept elsewhere.

    Raises:
        LedgerError: GENERATION_MISMATCH when the origins do not follow one another or the database holds a third
            log; PREVIOUS_MISSING when no checkpoint of the retired log is accepted by its keys.
    """
    # 1
    origin = parts.settings.origin
    if predecessor(origin) != retired:
        raise LedgerError(
            "GENERATION_MISMATCH", f"PROBANS_ORIGIN is {origin}, which does not follow {retired}"
        )
    with parts.database.reading() as connection:
        head = find_head(connection)
    if head is not None and head.origin not in {origin, retired}:
        raise LedgerError("GENERATION_MISMATCH", f"this database holds {head.origin}")
    # 2
    old_store = parts.log_of(retired)
    old_keys = LedgerKeyFolder.open(parts.key_folder_of(retired), retired, create=False)
    if head is None or head.origin == retired:
        with parts.database.reading() as connection:
            policy = own_policy(connection, old_keys)
            kept = latest_checkpoint(connection)
        notes = [last, _published(old_store), kept[1] if kept else None]
        previous = _largest([note for note in notes if note is not None], policy)
        begun = Begun(origin, retired, previous.size)
        # 3
        begun.restated = _restate(parts, previous, policy)
    else:
        standing = previous_checkpoint(parts.first_entry())
        begun = Begun(origin, retired, standing.size if standing else 0)
    # 4
    begun.recovery = parts.recovery().run(parts.clock)
    # 5
    Publisher(parts.database, parts.log, parts.ledger_keys, parts.clock).publish()
    _post_notice(parts, old_store, old_keys, retired)
    return begun


def _published(store: LogStore) -> bytes | None:
    try:
        return store.get(CHECKPOINT_PATH)
    except ObjectMissing:
        return None


def _largest(notes: Sequence[bytes], policy: Policy) -> Checkpoint:
    accepted: list[Checkpoint] = []
    for note in notes:
        try:
            verify_checkpoint(note, policy.of_logs())
        except LedgerProofRefused:
            continue
        accepted.append(Checkpoint.parse(note))
    if not accepted:
        raise LedgerError("PREVIOUS_MISSING", "no checkpoint of the log to retire is signed by its keys")
    return max(accepted, key=lambda checkpoint: checkpoint.size)


def _restate(parts: Parts, previous: Checkpoint, policy: Policy) -> int:
    keys, origin = parts.ledger_keys.first(), parts.settings.origin
    with parts.database.writing(patient=True) as connection:
        head = find_head(connection)
        time = max(rfc3339(parts.clock.now()), head.last_time if head else "")
        body = opening_body(
            keys,
            seal_digests(parts),
            generation_of(origin),
            previous.note.text.decode(),
            _keys_before(connection, previous, policy),
        )
        first = encode(LogEntry(0, GENESIS_PREV, time, LogEvent.OPENED, body))
        size, last_leaf = _rewrite(connection, first, time, head.size if head else 0)
        insert_rows(
            driver_of(connection),
            "ledger_head",
            ("id", "origin", "generation", "size", "last_leaf", "last_time"),
            [(1, origin, generation_of(origin), size, last_leaf, time)],
        )
        remember_statement(connection, 0)
        StoredTiles(connection, {}).store_completed(0, size)
        faults.point("generation.before-commit")
    faults.point("generation.after-commit")
    return size - 1


def _keys_before(connection: Connection, previous: Checkpoint, policy: Policy) -> dict[str, int | None]:
    """Return the keys of the generations before, the newest first, each as `opening_body` states it.

    Those that signed at the end stay as they are: a last checkpoint that was left out must still tell against us. A
    pair that was made and never stated is none of them; one that signed, but that a database which was set back does
    not know, is.
    """
    stated = log_policy(connection, policy.logs)
    signers = verified_lines(previous, {key.vkey: key for key in policy.logs}, "LOG_SIGNATURE_INVALID")
    unknown = [key for key in policy.logs if key.vkey in signers and key not in stated.logs]
    return {key.vkey: stated.last_sizes.get(key.vkey) for key in (*unknown, *stated.logs)}


def _rewrite(connection: Connection, first: bytes, time: str, size: int) -> tuple[int, bytes]:
    """Write the entries anew from entry 0 on, a page at a time; return their number and the last leaf hash."""
    driver = driver_of(connection)
    for table in _CLEARED:
        driver.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own
    driver.execute("DELETE FROM ledger_entries WHERE seq = 0")
    last_leaf = leaf_hash(first)
    insert_rows(driver, "ledger_entries", _COLUMNS, [(0, first, last_leaf)])
    for start in range(1, size, _PAGE):
        end, rows = min(start + _PAGE, size), []
        for seq, body, leaf in entries(connection, start, end):
            entry = decode(body)
            if isinstance(entry, LogEntry):
                stands_for = {"event": entry.event.value, "leaf": leaf.hex()}
                anew = encode(LogEntry(seq, last_leaf, time, LogEvent.REPLACED, stands_for))
            else:
                anew = encode_record(seq, last_leaf, time, entry.tag, entry.commitment)
            last_leaf = leaf_hash(anew)
            rows.append((seq, anew, last_leaf))
        driver.execute("DELETE FROM ledger_entries WHERE seq >= ? AND seq < ?", (start, end))
        insert_rows(driver, "ledger_entries", _COLUMNS, rows)
    return max(1, size), last_leaf


def _post_notice(parts: Parts, store: LogStore, old_keys: LedgerKeyFolder, retired: str) -> None:
    """Publish, beside the log that ends, where it ended and what follows; it is for people, and proves little."""
    last = previous_checkpoint(parts.first_entry())
    assert last is not None  # noqa: S101 - a later generation always commits to one
    origin = parts.settings.origin
    text = notice_text(last, origin, prefix_of(origin), tuple(parts.ledger_keys.first().vkeys))
    keys = _last_signers(parts, old_keys, retired)
    if keys is None:
        _log.error("nobody holds the last keys of %s any more: no notice is posted beside it", retired)
        return
    try:
        store.put_if_absent(PATH, keys.sign_text(text), "text/plain; charset=utf-8")
    except LogConflict as error:
        raise LedgerError("GENERATION_MISMATCH", f"{retired} was retired in another way before") from error


def _last_signers(parts: Parts, old_keys: LedgerKeyFolder, retired: str) -> LedgerKeys | None:
    """Return the newest pair of a log that entry 0 names and that is held."""
    named = [key for key in previous_keys(parts.first_entry()) if key.name == retired]
    for pair in zip(named[::2], named[1::2], strict=False):
        with suppress(LedgerError):
            return old_keys.find(pair)
    return None
