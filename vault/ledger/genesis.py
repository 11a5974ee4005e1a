"""Entry 0 and the keys a log states: what everybody who trusts the log starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from vault.clock import Clock, rfc3339
from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, decode, encode, leaf_hash
from vault.ledger.keys import LedgerKeys
from vault.ledger.stored import entry_body, find_head


def stated_keys(keys: LedgerKeys, seals: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the `keys` member of a log entry.

    Args:
        keys: the log's own keys.
        seals: {"purpose", "sha256"} of each seal certificate, the digest over its DER in hex.
    """
    return {
        "ed25519": keys.ed25519.vkey,
        "ml-dsa-44": keys.ml_dsa_44.vkey,
        "seals": [dict(seal) for seal in seals],
    }


def open_ledger(
    database: Database,
    clock: Clock,
    keys: LedgerKeys,
    seals: Sequence[Mapping[str, str]],
    *,
    generation: int = 1,
    previous: str = "",
) -> bool:
    """Write entry 0 unless the ledger is open already.

    Args:
        database: holds the ledger.
        clock: states the time.
        keys: the log's keys; their origin is the log's.
        seals: as in `stated_keys`.
        generation: number of this generation of the log.
        previous: text of the last checkpoint of the generation before; "" for the first.

    Returns:
        True when entry 0 was written now.

    Raises:
        LedgerError: LEDGER_ORIGIN_MISMATCH when the database holds another log.
    """
    with database.writing() as connection:
        head = find_head(connection)
        if head is not None:
            if (head.origin, head.generation) != (keys.origin, generation):
                raise LedgerError(
                    "LEDGER_ORIGIN_MISMATCH", "this database holds another log", found=head.origin
                )
            return False
        body = {
            "origin": keys.origin,
            "generation": generation,
            "keys": stated_keys(keys, seals),
            "previous": previous,
        }
        time = rfc3339(clock.now())
        data = encode(LogEntry(0, GENESIS_PREV, time, LogEvent.OPENED, body))
        leaf = leaf_hash(data)
        connection.exec_driver_sql(
            "INSERT INTO ledger_entries (seq, body, leaf) VALUES (0, ?, ?)", (data, leaf)
        )
        connection.exec_driver_sql(
            "INSERT INTO ledger_head (id, origin, generation, size, last_leaf, last_time)"
            " VALUES (1, ?, ?, 1, ?, ?)",
            (keys.origin, generation, leaf, time),
        )
    return True


def check_keys(connection: Connection, keys: LedgerKeys) -> None:
    """Refuse signing keys that are not those the log states, so that a lost key is noticed before it signs.

    Raises:
        LedgerError: LEDGER_KEYS_MISMATCH.
    """
    own = keys.vkeys
    first = entry_body(connection, 0)
    if first is not None and _states(first, own):
        return
    # Rare: keys were changed since. Only a log entry is in clear, so its text can be searched for.
    changed = connection.exec_driver_sql(
        "SELECT body FROM ledger_entries WHERE instr(body, ?) > 0 ORDER BY seq DESC LIMIT 1",
        (f'"event":"{LogEvent.KEYS_CHANGED.value}"'.encode(),),
    ).fetchone()
    if changed is None or not _states(bytes(changed[0]), own):
        raise LedgerError("LEDGER_KEYS_MISMATCH", "the key files are not those the ledger states")


def _states(data: bytes, vkeys: Sequence[str]) -> bool:
    entry = decode(data)
    if not isinstance(entry, LogEntry):
        return False
    stated = entry.body.get("keys")
    return isinstance(stated, dict) and [stated.get("ed25519"), stated.get("ml-dsa-44")] == list(vkeys)
