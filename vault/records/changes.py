"""A change: the rows one ledger entry writes. Its encoded form is the entry's recovery record.

The transaction that appends the entry and `probans recover` apply the same change, so that what recovery
rebuilds is what was committed.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, insert, update

from vault.db.models import metadata
from vault.errors import LedgerError
from vault.ledger.group import Appended, LedgerTransaction

SEQ = "\0seq"
RECORD = "\0record"
_VERSION = 1
_PLACEHOLDERS = (SEQ, RECORD)


@dataclass(frozen=True, slots=True)
class Change:
    """Rows to insert, update and delete, in this order.

    Attributes:
        document_id: the document it is about: destruction removes its records by this.
        tag: tag of the ledger entry, 32 octets.
        commitment: commitment of the ledger entry, 32 octets.
        inserts: (table, row) pairs; the strings SEQ and RECORD stand for the entry's number and recovery file.
        updates: (table, primary key, values) triples.
        deletes: (table, criteria) pairs.
        remains: (table, row) pairs of what the database keeps of a document that this change destroys. They are
            not applied: recovery writes them first where the document's own records are gone.
    """

    document_id: str
    tag: bytes
    commitment: bytes
    inserts: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    updates: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = ()
    deletes: tuple[tuple[str, Mapping[str, Any]], ...] = field(default=())
    remains: tuple[tuple[str, Mapping[str, Any]], ...] = field(default=())

    def apply(self, connection: Connection, seq: int, record: str) -> None:
        """Write the rows within the caller's transaction."""
        known = {SEQ: seq, RECORD: record}
        for table, row in self.inserts:
            connection.execute(insert(metadata.tables[table]), _fill(row, known))
        for table, key, values in self.updates:
            target = metadata.tables[table]
            where = and_(*(target.c[name] == value for name, value in key.items()))
            connection.execute(update(target).where(where), _fill(values, known))
        for table, criteria in self.deletes:
            target = metadata.tables[table]
            where = and_(*(target.c[name] == value for name, value in criteria.items()))
            connection.execute(delete(target).where(where))

    def write(self, tx: LedgerTransaction, appended: Appended) -> None:
        """Write the rows with their entry: where there are only inserts, together with those of the whole group.

        The database sees those only when the group is written, and one that it refuses then fails the group. So each
        must be known to be right: of a new identifier, or of keys that this work has asked for.
        """
        if self.updates or self.deletes:
            self.apply(tx.connection, appended.seq, appended.record)
            return
        known = {SEQ: appended.seq, RECORD: appended.record}
        for table, row in self.inserts:
            filled = _fill(row, known)
            tx.insert(table, tuple(filled), tuple(filled.values()))

    def names_any(self, safes: Collection[str]) -> bool:
        """Tell whether it is about one of these safes, or inserts a row that names one."""
        return self.document_id in safes or any(row.get("safe_id") in safes for _, row in self.inserts)

    def encode(self) -> bytes:
        """Write the change as JSON; octet strings become {"b64": …}."""
        return orjson.dumps(
            {
                "v": _VERSION,
                "document": self.document_id,
                "tag": self.tag.hex(),
                "commitment": self.commitment.hex(),
                "inserts": self.inserts,
                "updates": self.updates,
                "deletes": self.deletes,
                **({"remains": self.remains} if self.remains else {}),
            },
            default=_packed,
        )

    @classmethod
    def decode(cls, data: bytes) -> Change:
        """Read what `encode` wrote. Raises LedgerError(RECORD_INVALID)."""
        try:
            raw = orjson.loads(data)
            _check_version(raw["v"])
            return cls(
                document_id=raw["document"],
                tag=bytes.fromhex(raw["tag"]),
                commitment=bytes.fromhex(raw["commitment"]),
                inserts=tuple((table, _unpack(row)) for table, row in raw["inserts"]),
                updates=tuple(
                    (table, _unpack(key), _unpack(values)) for table, key, values in raw["updates"]
                ),
                deletes=tuple((table, _unpack(criteria)) for table, criteria in raw["deletes"]),
                remains=tuple((table, _unpack(row)) for table, row in raw.get("remains", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LedgerError("RECORD_INVALID", f"recovery record: {error}") from error


def _check_version(version: object) -> None:
    if version != _VERSION:
        raise ValueError("unknown version")


def _fill(row: Mapping[str, Any], known: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: known[value] if isinstance(value, str) and value in _PLACEHOLDERS else value
        for name, value in row.items()
    }


def _packed(value: object) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _unpack(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value["b64"]) if isinstance(value, dict) else value
        for name, value in row.items()
    }
