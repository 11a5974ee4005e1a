"""Publishes the handover of a change of keys, as soon as the checkpoint that ends with it is published."""

from __future__ import annotations

from sqlalchemy import Connection

from storage.base import LogStore
from vault.core import faults
from vault.errors import LedgerError
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.handover import handover_path
from vault.ledger.note import encode
from vault.ledger.receipt import format_receipt
from vault.ledger.stored import StoredTiles, entry_body
from vault.ledger.succession import Succession
from vault.ledger.tree import inclusion_proof

HANDOVER_TYPE = "text/plain; charset=utf-8"


def announce(
    connection: Connection, tiles: StoredTiles, store: LogStore, succession: Succession, note: bytes
) -> None:
    """Write the handover that a published checkpoint proves, if it ends with a change of keys.

    It follows from the published checkpoint alone, so that whoever repeats it writes the same octets.

    Args:
        connection: a transaction.
        tiles: of the same one.
        store: where the ledger is published.
        succession: what the ledger says of its keys.
        note: the published checkpoint.

    Raises:
        LogConflict: another handover stands there.
        StorageUnavailable: it cannot be written.
        LedgerError: TILE_MISSING; the database is damaged.
    """
    checkpoint = Checkpoint.parse(note)
    change = next((each for each in succession.changes() if each.seq + 1 == checkpoint.size), None)
    if change is None:
        return
    body = entry_body(connection, change.seq)
    if body is None:
        raise LedgerError("TILE_MISSING", "an entry is missing", seq=change.seq)
    own = [line for line in checkpoint.note.signatures if line.name == checkpoint.origin]
    proof = inclusion_proof(tiles, change.seq, checkpoint.size)
    handover = format_receipt(change.seq, proof, encode(checkpoint.note.text, own), extra=body)
    faults.point("publish.before-handover")
    for key in change.replaces:
        store.put_if_absent(handover_path(key), handover, HANDOVER_TYPE)
    faults.point("publish.after-handover")
