"""Cosignatures as the database keeps them: verified before they are written, one a key and checkpoint size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from vault.ledger.note import MAX_SIGNATURES, Note, NoteSignature
from vault.ledger.policy import Policy
from vault.ledger.vkeys import VerifierKey

# Enough for the last sizes of 32 witnesses with two keys each.
_RECENT = 256


def keep(connection: Connection, size: int, lines: Iterable[NoteSignature], now: str) -> None:
    """Write verified cosignatures of the checkpoint of a size; a newer one of the same key replaces it."""
    for line in lines:
        connection.exec_driver_sql(
            "INSERT INTO cosignatures (size, cosigner, key_id, signature, received_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (size, cosigner, key_id) DO UPDATE"
            " SET signature = excluded.signature, received_at = excluded.received_at",
            (size, line.name, line.key_id, line.signature, now),
        )


def cosignatures_of(connection: Connection, size: int) -> list[NoteSignature]:
    """Return the cosignatures of the checkpoint of a size, in a lasting order."""
    rows = connection.exec_driver_sql(
        "SELECT cosigner, key_id, signature FROM cosignatures WHERE size = ? ORDER BY cosigner, key_id",
        (size,),
    )
    return [NoteSignature(name, bytes(key_id), bytes(signature)) for name, key_id, signature in rows]


def last_cosigned(connection: Connection, keys: Sequence[VerifierKey]) -> int:
    """Return the largest size that one of these keys cosigned, 0 when none did."""
    sizes = [
        connection.exec_driver_sql(
            "SELECT MAX(size) FROM cosignatures WHERE cosigner = ? AND key_id = ?", (key.name, key.id)
        ).scalar()
        for key in keys
    ]
    return max((size for size in sizes if size is not None), default=0)


def newest_met(connection: Connection, policy: Policy) -> int:
    """Return the largest size whose cosignatures meet the policy's quorum, 0 when none does."""
    names = {(key.name, key.id): name for name, key in policy.witnesses.items()}
    rows = connection.exec_driver_sql(
        "SELECT size, cosigner, key_id FROM cosignatures ORDER BY size DESC LIMIT ?", (_RECENT,)
    )
    cosigned: dict[int, set[str]] = {}
    for size, cosigner, key_id in rows:
        name = names.get((cosigner, bytes(key_id)))
        if name is not None:
            cosigned.setdefault(size, set()).add(name)
    return next((size for size, found in cosigned.items() if policy.is_met(found)), 0)


def standing_since(connection: Connection, size: int, policy: Policy) -> tuple[str, str | None]:
    """Return when the checkpoint of a size was made, and when its quorum was met, None while it is not."""
    made = connection.exec_driver_sql("SELECT made_at FROM checkpoints WHERE size = ?", (size,)).scalar_one()
    names = {(key.name, key.id): name for name, key in policy.witnesses.items()}
    rows = connection.exec_driver_sql(
        "SELECT cosigner, key_id, received_at FROM cosignatures WHERE size = ? ORDER BY received_at", (size,)
    )
    found: set[str] = set()
    for cosigner, key_id, received_at in rows:
        name = names.get((cosigner, bytes(key_id)))
        if name is not None and policy.is_met(found := {*found, name}):
            return made, received_at
    return made, None


def with_cosignatures(note: bytes, lines: Sequence[NoteSignature]) -> bytes:
    """Return a checkpoint note with these lines too, one a key; nothing changes where all are there."""
    parsed = Note.parse(note)
    fresh = {(line.name, line.key_id): line for line in lines}
    kept = [fresh.pop((line.name, line.key_id), line) for line in parsed.signatures]
    room = MAX_SIGNATURES - len(kept)
    return Note(parsed.text, (*kept, *list(fresh.values())[:room])).encode()


def best_checkpoint(connection: Connection, size: int) -> tuple[int, bytes] | None:
    """Return size and note of the checkpoint that proves most about the first `size` entries.

    The one with most cosignatures among those cosigned lately, then the newest; with its cosignatures.

    Returns:
        None while no checkpoint covers so many entries.
    """
    row = connection.exec_driver_sql(
        "SELECT size, note FROM checkpoints WHERE size >= ? AND size IN ("
        " SELECT size FROM (SELECT size FROM cosignatures WHERE size >= ? ORDER BY size DESC LIMIT ?) AS recent"
        " GROUP BY size ORDER BY COUNT(*) DESC, size DESC LIMIT 1)",
        (size, size, _RECENT),
    ).fetchone()
    if row is None:
        row = connection.exec_driver_sql(
            "SELECT size, note FROM checkpoints WHERE size >= ? ORDER BY size DESC LIMIT 1", (size,)
        ).fetchone()
    if row is None:
        return None
    return row[0], with_cosignatures(bytes(row[1]), cosignatures_of(connection, row[0]))
