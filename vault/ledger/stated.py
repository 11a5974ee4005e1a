"""The keys that the ledger in the database states, and the policy for verifiers that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection

from vault.errors import LedgerError
from vault.ledger.entry import STATING, LogEntry, LogEvent, decode
from vault.ledger.generations import previous_keys
from vault.ledger.group import Appended, LedgerTransaction
from vault.ledger.keys import KeySource
from vault.ledger.policy import Policy
from vault.ledger.stored import entry_body, find_head
from vault.ledger.succession import Statement, Succession, change_body
from vault.ledger.vkeys import VerifierKey


def remember_statement(connection: Connection, seq: int) -> None:
    """Note that an entry states keys; a reader need not search all entries for those few."""
    connection.exec_driver_sql(
        "INSERT INTO ledger_statements (seq) VALUES (?) ON CONFLICT (seq) DO NOTHING", (seq,)
    )


def remember_log_entry(connection: Connection, entry: LogEntry) -> None:
    """Note an entry of the log itself, if it states keys; see `remember_statement`."""
    if entry.event in STATING:
        remember_statement(connection, entry.seq)


def append_change(
    tx: LedgerTransaction, new: Sequence[VerifierKey], seals: Sequence[Mapping[str, str]], until: datetime
) -> Appended:
    """Append the entry that changes the log's keys.

    Args:
        tx: of the group.
        new: the pair that signs from then on.
        seals: as in entry 0.
        until: entries up to this time are signed by the old pair too.

    Raises:
        LedgerError: LEDGER_NOT_OPENED, ENTRY_INVALID; KEYS_CHANGE_INVALID for a change that no reader would accept,
            such as one that was made already: nothing could be published after it.
    """
    connection = tx.connection
    succession = read_succession(connection)
    if not succession.statements:
        raise LedgerError("LEDGER_NOT_OPENED", "this database has no ledger yet")
    body = change_body(succession.statements[-1].keys, new, seals, until)
    appended = tx.append_log(LogEvent.KEYS_CHANGED.value, body)
    succession.add(LogEntry(appended.seq, appended.leaf, appended.time, LogEvent.KEYS_CHANGED, body))
    remember_statement(connection, appended.seq)
    return appended


def read_succession(connection: Connection) -> Succession:
    """Return what the ledger says of its keys; nothing before it is opened.

    Raises:
        LedgerError: ENTRY_INVALID, KEYS_CHANGE_INVALID; the database is damaged.
    """
    rows = connection.exec_driver_sql(
        "SELECT e.body FROM ledger_statements s JOIN ledger_entries e ON e.seq = s.seq ORDER BY s.seq"
    ).fetchall()
    succession = Succession()
    for (body,) in rows:
        entry = decode(bytes(body))
        if isinstance(entry, LogEntry) and entry.event in STATING:
            succession.add(entry)
    return succession


def stated_seals(connection: Connection) -> list[dict[str, Any]]:
    """Return the seal certificates that the newest statement names."""
    row = connection.exec_driver_sql(
        "SELECT e.body FROM ledger_statements s JOIN ledger_entries e ON e.seq = s.seq ORDER BY s.seq DESC LIMIT 1"
    ).fetchone()
    entry = decode(bytes(row[0])) if row is not None else None
    keys = entry.body.get("keys") if isinstance(entry, LogEntry) else None
    seals = keys.get("seals") if isinstance(keys, dict) else None
    return list(seals) if isinstance(seals, list) else []


def time_of(connection: Connection, seq: int) -> str:
    """Return the time of an entry. Raises LedgerError(TILE_MISSING) when it is not there."""
    body = entry_body(connection, seq)
    if body is None:
        raise LedgerError("TILE_MISSING", "an entry is missing", seq=seq)
    return decode(body).time


def keys_at(connection: Connection, succession: Succession, size: int) -> tuple[tuple[VerifierKey, ...], ...]:
    """Return the pairs that sign the checkpoint of a size that the database holds, the newest first."""
    return succession.in_force(size, time_of(connection, size - 1)) if size else ()


def check_keys(connection: Connection, keys: KeySource) -> None:
    """Refuse signing keys that are not those the log states, so that a lost key is noticed before it signs.

    Raises:
        LedgerError: LEDGER_KEYS_MISMATCH.
    """
    head = find_head(connection)
    succession = read_succession(connection)
    if head is None or not succession.statements:
        raise LedgerError("LEDGER_KEYS_MISMATCH", "the ledger states no keys")
    for pair in succession.in_force(head.size, head.last_time):
        keys.find(pair)


def log_policy(connection: Connection, held: Sequence[VerifierKey]) -> Policy:
    """Return the policy of this log for verifiers: every key that ever signed, and how far each replaced one did.

    The keys of generations before are listed too, in the same way: what they signed stays proven.

    Args:
        connection: a transaction.
        held: trusted while the database has no ledger, which recovery then rebuilds.
    """
    head = find_head(connection)
    succession = read_succession(connection)
    if head is None or not succession.statements:
        return Policy(logs=tuple(held))
    statements = succession.statements
    last_sizes: dict[str, int] = {}
    due = succession.in_force(head.size, head.last_time)
    for before, after in pairwise(statements):
        if before.keys not in due:
            last = _last_size(connection, succession, before, after.seq + 1, head.size)
            last_sizes |= {key.vkey: last for key in before.keys}
    logs = tuple(key for each in reversed(statements) for key in each.keys)
    first = entry_body(connection, 0)
    opened = decode(first) if first is not None else None
    earlier = previous_keys(opened.body) if isinstance(opened, LogEntry) else {}
    last_sizes |= {key.vkey: size for key, size in earlier.items() if size is not None}
    return Policy(logs=(*logs, *earlier), last_sizes=last_sizes)


def own_policy(connection: Connection, keys: KeySource) -> Policy:
    """Return the policy by which the operator's own processes read the log: `log_policy`, and every key held.

    A database that was emptied or set back does not state the keys that signed since.
    """
    policy = log_policy(connection, ())
    further = tuple(key for key in keys.held() if key not in policy.logs)
    return replace(policy, logs=(*policy.logs, *further))


def _last_size(
    connection: Connection, succession: Succession, pair: Statement, handed_over: int, size: int
) -> int:
    """Return the largest tree that a replaced pair signed, by halving: once it signs no more, it never does again."""
    low, high = handed_over, size
    while high - low > 1:
        middle = (low + high) // 2
        if pair.keys in keys_at(connection, succession, middle):
            low = middle
        else:
            high = middle
    return low
