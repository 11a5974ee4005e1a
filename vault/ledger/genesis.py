"""Entry 0: what everybody who trusts the log starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vault.clock import Clock, rfc3339
from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, leaf_hash
from vault.ledger.keys import LedgerKeys
from vault.ledger.stated import remember_statement
from vault.ledger.stored import find_head
from vault.ledger.succession import stated_vkeys


def stated_keys(keys: LedgerKeys, seals: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the `keys` member of a log entry.

    Args:
        keys: the log's own keys.
        seals: {"purpose", "sha256"} of each seal certificate, the digest over its DER in hex.
    """
    return {**stated_vkeys(keys.held()), "seals": [dict(seal) for seal in seals]}


def opening_body(
    keys: LedgerKeys,
    seals: Sequence[Mapping[str, str]],
    generation: int,
    previous: str = "",
    previous_keys: Mapping[str, int | None] | None = None,
) -> dict[str, Any]:
    """Return the body of entry 0.

    Args:
        keys: the log's keys; their origin is the log's.
        seals: as in `stated_keys`.
        generation: number of this generation of the log.
        previous: text of the last checkpoint of the generation before; "" for the first.
        previous_keys: vkeys of the generations before; with each that was replaced, the largest tree it signed.
    """
    body: dict[str, Any] = {
        "origin": keys.origin,
        "generation": generation,
        "keys": stated_keys(keys, seals),
        "previous": previous,
    }
    if previous_keys:
        body["previous_keys"] = [
            {"vkey": vkey} if size is None else {"vkey": vkey, "last_size": size}
            for vkey, size in previous_keys.items()
        ]
    return body


def open_ledger(
    database: Database,
    clock: Clock,
    keys: LedgerKeys,
    seals: Sequence[Mapping[str, str]],
    *,
    generation: int = 1,
) -> bool:
    """Write entry 0 unless the ledger is open already.

    Args:
        database: holds the ledger.
        clock: states the time.
        keys: the log's keys; their origin is the log's.
        seals: as in `stated_keys`.
        generation: number of this generation of the log.

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
        body = opening_body(keys, seals, generation)
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
        remember_statement(connection, 0)
    return True
