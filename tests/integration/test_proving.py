"""Receipts of a damaged database: refused with the reason, and given again once it is repaired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.memory import MemoryLogStore
from vault.db.engine import Database
from vault.errors import LedgerError
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher
from vault.ledger.receipt import verify_receipt
from vault.ledger.receipts import Receipts
from vault.ledger.stored import entry_body
from vault.ledger.writer import LedgerWriter

ORIGIN = "safe.example/ledger/1"


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, tzinfo=UTC)


class Safe:
    """A published ledger that grows on demand."""

    def __init__(self, folder: Path) -> None:
        self.database = Database.open(f"sqlite:///{folder / 'safe.db'}", folder / "locks")
        self.database.migrate()
        keys = LedgerKeys.open(folder / "keys", ORIGIN)
        open_ledger(self.database, FixedClock(), keys, [{"purpose": "act-seal", "sha256": "00" * 32}])
        self.policy = Policy.from_vkeys("\n".join(keys.vkeys))
        self.writer = LedgerWriter(self.database, lambda _name, _records: None, FixedClock())
        self.writer.start()
        self._publisher = Publisher(self.database, MemoryLogStore(), keys, FixedClock())
        self.grow(599)
        self.receipts = Receipts(self.database, None)

    def grow(self, count: int) -> None:
        self.writer.run(lambda tx: [tx.append(bytes(32), bytes(32)) for _ in range(count)])
        self._publisher.publish()

    def execute(self, sql: str, *values: object) -> None:
        with self.database.writing() as connection:
            connection.exec_driver_sql(sql, values)

    def proves(self, seq: int) -> bool:
        """True if the receipt is given and verifies by the public function."""
        receipt = self.receipts.receipt(seq)
        with self.database.reading() as connection:
            body = entry_body(connection, seq)
        assert receipt is not None
        assert body is not None
        return verify_receipt(receipt, body, self.policy).index == seq


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    safe = Safe(tmp_path)
    yield safe
    safe.writer.close()
    safe.database.close()


def test_receipts_follow_the_growing_log(safe: Safe) -> None:
    for count in (0, 1, 167, 1, 300, 255):
        if count:
            safe.grow(count)
        size = safe.receipts.published_size()
        assert all(safe.proves(seq) for seq in (0, 255, 256, 511, 599, size - 1))
        assert safe.receipts.receipt(size) is None


TILE = "UPDATE ledger_tiles SET hashes = ? WHERE tile = 1 AND level = 0"
BODY = "UPDATE ledger_entries SET body = ? WHERE seq = 300"
LEAF = "UPDATE ledger_entries SET leaf = ? WHERE seq = 599"


def _tile(data: bytes) -> bytes:
    return bytes(32) + data[32:]


def _body(data: bytes) -> bytes:
    return data.replace(b'"access', b'"acces5') if b'"access' in data else data[:-1] + b" "


@pytest.mark.parametrize(
    ("find", "sql", "damage", "seq"),
    [
        ("SELECT hashes FROM ledger_tiles WHERE tile = 1 AND level = 0", TILE, _tile, 300),
        ("SELECT body FROM ledger_entries WHERE seq = 300", BODY, _body, 300),
        ("SELECT leaf FROM ledger_entries WHERE seq = 599", LEAF, lambda _: bytes(32), 598),
    ],
    ids=["tile", "entry", "leaf of the right edge"],
)
def test_no_receipt_leaves_a_damaged_database(
    safe: Safe, find: str, sql: str, damage: Callable[[bytes], bytes], seq: int
) -> None:
    with safe.database.reading() as connection:
        right = bytes(connection.exec_driver_sql(find).scalar_one())
    safe.execute(sql, damage(right))
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            safe.receipts.receipt(seq)
        assert caught.value.code == "TILE_DAMAGED"
    # What was remembered of the damage does not outlive it.
    safe.execute(sql, right)
    assert safe.proves(seq)
    assert safe.proves(0)


def test_damage_after_a_tile_was_remembered_changes_no_proof(safe: Safe) -> None:
    receipt = safe.receipts.receipt(300)
    safe.execute(TILE, bytes(8192))
    assert safe.receipts.receipt(300) == receipt
    assert safe.proves(300)
    with pytest.raises(LedgerError) as caught:
        Receipts(safe.database, None).receipt(300)
    assert caught.value.code == "TILE_DAMAGED"


def test_a_missing_entry_has_no_receipt(safe: Safe) -> None:
    safe.execute("DELETE FROM ledger_entries WHERE seq = 300")
    with pytest.raises(LedgerError) as caught:
        safe.receipts.receipt(300)
    assert caught.value.code == "TILE_MISSING"
