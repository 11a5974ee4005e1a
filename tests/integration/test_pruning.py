"""Old checkpoints are forgotten: all but the newest, and those that an anchor dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.test_publisher import Safe
from vault.ledger import pruning
from vault.ledger.audit import audit_database, audit_log_store
from vault.ledger.pruning import CheckpointPruning
from vault.ledger.publisher import Receipts
from vault.ledger.receipt import verify_receipt
from vault.ledger.stored import entry_body

pytestmark = pytest.mark.usefixtures("each_database")
MADE = datetime(2026, 11, 22, 12, tzinfo=UTC)  # what the publisher's clock says


class Clock:
    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    safe = Safe(tmp_path)
    yield safe
    safe.close()


def sizes(safe: Safe, table: str = "checkpoints") -> list[int]:
    return [row[0] for row in safe.database.rows(f"SELECT DISTINCT size FROM {table} ORDER BY size", ())]


def test_what_proves_nothing_any_more_goes(safe: Safe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "NEWEST_KEPT", 3)
    monkeypatch.setattr(pruning, "BATCH", 2)
    publisher = safe.publisher()
    for _ in range(10):
        safe.grow(10)
        publisher.publish()
    made = sizes(safe)
    assert len(made) == 10
    with safe.database.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO anchors (size, token_sha256, gen_time) VALUES (?, ?, ?)",
            (made[4], bytes(32), "2026-11-22T12:00:00Z"),
        )
        for size in made:
            connection.exec_driver_sql(
                "INSERT INTO cosignatures (size, cosigner, key_id, signature, received_at) VALUES (?, ?, ?, ?, ?)",
                (size, "witness.example", b"1234", b"x", "2026-11-22T12:00:00Z"),
            )
    clock = Clock(MADE + timedelta(hours=23))
    worker = CheckpointPruning(safe.database, clock)
    assert worker.prune() == 0
    assert sizes(safe) == made
    clock.time += timedelta(hours=2)
    assert [worker.prune() for _ in range(5)] == [2, 2, 2, 0, 0]
    kept = [made[4], *made[7:]]
    assert sizes(safe) == sizes(safe, "cosignatures") == kept
    # Everything else goes on: publication, audits, receipts of entries that only forgotten ones covered before.
    safe.grow(1)
    assert publisher.publish() == made[-1] + 1
    assert audit_database(safe.database, safe.policy).ok
    assert audit_log_store(safe.store, safe.policy).ok
    receipt = Receipts(safe.database, publisher).receipt(3)
    assert receipt is not None
    with safe.database.reading() as connection:
        body = entry_body(connection, 3)
    assert body is not None
    assert verify_receipt(receipt, body, safe.policy).index == 3


def test_few_stay_however_old(safe: Safe) -> None:
    publisher = safe.publisher()
    for _ in range(3):
        safe.grow(1)
        publisher.publish()
    assert CheckpointPruning(safe.database, Clock(MADE + timedelta(days=400))).prune() == 0
    assert len(sizes(safe)) == 3
