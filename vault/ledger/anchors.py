"""The anchors that a log store holds, and their table in the database."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from storage.base import LogStore
from storage.errors import ObjectMissing
from vault.clock import parse_rfc3339, rfc3339
from vault.core import faults
from vault.db.engine import Database
from vault.ledger.anchor import Anchor, Links, crls_path, parse_crls
from vault.ledger.anchor_paths import FOLDER, anchor_path, anchor_size
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.cosignatures import cosignatures_of, with_cosignatures
from vault.ledger.pyramids import PyramidCache
from vault.ledger.receipt import format_receipt
from vault.ledger.receipts import Prover

ANCHOR_TYPE = "text/plain; charset=utf-8"
TOKEN_TYPE = "application/vnd.etsi.timestamp-token"  # noqa: S105 - a media type
CRLS_TYPE = "application/x-pem-file"
_REMEMBERED = 256  # tiles; bundles are asked for at their own pace
_log = logging.getLogger("probans.ledger")


@dataclass(frozen=True, slots=True)
class StoredAnchor:
    """An anchor with all that proves it.

    Attributes:
        size: entries that its checkpoint covers.
        anchor: octets of the anchor.
        token: DER TimeStampToken.
        crls: DER revocation lists of its authority.
    """

    size: int
    anchor: bytes
    token: bytes
    crls: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A row of the table.

    Attributes:
        size: entries that the checkpoint covers.
        token_sha256: digest of the token.
        gen_time: the authority's time, UTC.
    """

    size: int
    token_sha256: bytes
    gen_time: datetime


class Anchors:
    """Finds anchors."""

    def __init__(self, database: Database, log: LogStore) -> None:
        self._database = database
        self._log = log
        self._prover = Prover(PyramidCache(_REMEMBERED))

    def covering(self, size: int) -> StoredAnchor | None:
        """Return the earliest anchor whose checkpoint covers this many entries, None while there is none.

        Raises:
            storage.errors.StorageUnavailable: the log store cannot be read.
        """
        with self._database.reading() as connection:
            row = connection.exec_driver_sql(
                "SELECT size FROM anchors WHERE size >= ? ORDER BY size LIMIT 1", (size,)
            ).fetchone()
        if row is None:
            return None
        try:
            return read_anchor(self._log, row[0])
        except ObjectMissing:
            _log.error("an anchor is not in the log store", extra={"size": row[0]})
            return None

    def receipt(self, seq: int, anchor: StoredAnchor) -> bytes:
        """Return the receipt of an entry under the checkpoint of an anchor, with every signature held.

        Raises:
            LedgerError: TILE_MISSING, TILE_DAMAGED when the database is damaged.
        """
        parsed = Anchor.parse(anchor.anchor)
        with self._database.reading() as connection:
            row = connection.exec_driver_sql(
                "SELECT note FROM checkpoints WHERE size = ?", (anchor.size,)
            ).fetchone()
            # A database that was rebuilt does not remember every checkpoint; the anchor does.
            note = bytes(row[0]) if row is not None else parsed.note
            note = with_cosignatures(note, cosignatures_of(connection, anchor.size))
            proof = self._prover.prove(connection, seq, Checkpoint.parse(note))
        return format_receipt(seq, proof, note)

    def latest(self) -> Known | None:
        """Return the newest anchor, None before the first."""
        with self._database.reading() as connection:
            return latest_anchor(connection)


def latest_anchor(connection: Connection) -> Known | None:
    """Return the newest row, None before the first."""
    row = connection.exec_driver_sql(
        "SELECT size, token_sha256, gen_time FROM anchors ORDER BY size DESC LIMIT 1"
    ).fetchone()
    return None if row is None else Known(row[0], bytes(row[1]), parse_rfc3339(row[2]))


def links(connection: Connection, now: datetime) -> Links:
    """Say what an anchor written now names: the last token, and the first of the last month and year with one."""
    last = latest_anchor(connection)
    if last is None:
        return Links()
    at = last.gen_time
    month = year = None
    if (at.year, at.month) != (now.year, now.month):
        month = _first_since(connection, datetime(at.year, at.month, 1, tzinfo=at.tzinfo))
    if at.year != now.year:
        year = _first_since(connection, datetime(at.year, 1, 1, tzinfo=at.tzinfo))
    return Links(last.token_sha256, month, year)


def _first_since(connection: Connection, start: datetime) -> bytes:
    (digest,) = connection.exec_driver_sql(
        "SELECT token_sha256 FROM anchors WHERE gen_time >= ? ORDER BY size LIMIT 1", (rfc3339(start),)
    ).one()
    return bytes(digest)


def remember(connection: Connection, anchor: Known) -> None:
    """Write a row; one that is there already stays."""
    connection.exec_driver_sql(
        "INSERT INTO anchors (size, token_sha256, gen_time) VALUES (?, ?, ?) ON CONFLICT (size) DO NOTHING",
        (anchor.size, anchor.token_sha256, rfc3339(anchor.gen_time)),
    )


def known_sizes(connection: Connection) -> frozenset[int]:
    """Return the size of every anchor in the table."""
    return frozenset(row[0] for row in connection.exec_driver_sql("SELECT size FROM anchors"))


def stored_sizes(log: LogStore, place: str = "") -> list[int]:
    """Return the sizes of the anchors of a log store that have their token, in order.

    Args:
        log: where they lie.
        place: prefix of the generation whose they are, where the store holds several.
    """
    found = (anchor_size(path.removeprefix(place)) for path in log.list(place + FOLDER))
    return sorted(size for size in found if size is not None)


def read_anchor(log: LogStore, size: int) -> StoredAnchor:
    """Read an anchor. Raises ObjectMissing when one of its files is not there."""
    path = anchor_path(size)
    token = log.get(f"{path}.tst")
    crls = parse_crls(log.get(crls_path(token)))
    return StoredAnchor(size, log.get(path), token, crls)


def write_anchor(log: LogStore, anchor: Anchor, token: bytes, crls: tuple[bytes, ...]) -> None:
    """Store an anchor, durably; the token, written last, makes it one.

    Its revocation lists bear the token's digest in their name: a try that was cut short left those of another
    token, and nothing written is ever replaced.

    Raises:
        LogConflict: another anchor of this checkpoint was stored meanwhile, or begun.
        StorageUnavailable: it cannot be written.
    """
    path = anchor_path(anchor.checkpoint.size)
    pem = b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in crls)
    log.put_if_absent(path, anchor.encode(), ANCHOR_TYPE)
    faults.point("anchor.after-text")
    log.put_if_absent(crls_path(token), pem, CRLS_TYPE)
    faults.point("anchor.after-lists")
    log.put_if_absent(f"{path}.tst", token, TOKEN_TYPE)


def begun_anchor(log: LogStore, size: int) -> bytes | None:
    """Return what a try that was cut short left for a checkpoint, None when there is nothing."""
    try:
        return log.get(anchor_path(size))
    except ObjectMissing:
        return None
