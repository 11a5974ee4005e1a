"""What `/metrics` says of the ledger: sizes, the age of the outside date, witnesses, a clock that was set back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.metrics import Metrics, ledger_text
from api.shared_series import SLOT_OCTETS
from vault.bootstrap import open_vault
from vault.clock import SystemClock
from vault.errors import Unavailable
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.witness import Witness
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_server import WitnessServer
from vault.observability.ledger_figures import LedgerFigures
from vault.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.back = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) - self.back


@pytest.fixture
def policy(tmp_path: Path) -> Iterator[Path]:
    """One witness that answers and one that does not, either of which is enough."""
    log = LedgerKeys.open(tmp_path / "data/keys/ledger", Settings().origin)
    keys, absent = WitnessKeys.new("one.example/w"), WitnessKeys.new("two.example/w")
    witness = Witness(tmp_path / "one.db", keys, Policy.from_vkeys("\n".join(log.vkeys)), SystemClock())
    server = WitnessServer(witness, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    path = tmp_path / "policy"
    path.write_text(
        f"witness one {keys.ml_dsa_44.vkey} http://127.0.0.1:{server.server_address[1]}\n"
        f"witness two {absent.ml_dsa_44.vkey} http://127.0.0.1:9/\n"
        "group any 1 one two\nquorum any\n"
    )
    yield path
    server.shutdown()
    thread.join()
    server.server_close()
    witness.close()


def figures(text: str) -> dict[str, float]:
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


def test_where_the_ledger_stands(tmp_path: Path, policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    settings = Settings(data=tmp_path / "data", publish_interval=0.02, witness_policy=policy)
    vault = open_vault(settings, clock, background=False)
    try:
        client = TestClient(create_app(vault), base_url="http://127.0.0.1")
        found = figures(client.get("/metrics").text)
        assert found["probans_ledger_entries"] >= 1
        assert found["probans_ledger_anchored_entries"] == 0
        assert "probans_ledger_anchor_age_seconds" not in found
        assert found["probans_ledger_clock_step_backs_total"] == 0
        vault.writer.run(lambda tx: [tx.append(bytes(32), bytes(32)) for _ in range(5)])
        size = int(found["probans_ledger_entries"]) + 5
        assert vault.publisher.wait(size, 10.0)
        # The checkpoint that most witnesses cosigned is dated: the newest is, once it has its cosignature.
        deadline = time.monotonic() + 20
        while figures(client.get("/metrics").text)["probans_witness_quorum_entries"] < size:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert vault.anchoring.anchor() == size
        found = figures(client.get("/metrics").text)
        for name in ("ledger", "ledger_published", "ledger_anchored", "witness_quorum"):
            assert found[f"probans_{name}_entries"] == size, name
        assert 0 <= found["probans_ledger_anchor_age_seconds"] < 60
        assert found['probans_witness_cosigned_entries{witness="one"}'] == size
        assert found['probans_witness_cosigned_entries{witness="two"}'] == 0
        assert (found["probans_witness_alarms"], found["probans_ledger_up"]) == (0, 1)
        clock.back = timedelta(hours=1)
        vault.writer.run(lambda tx: tx.append(bytes(32), bytes(32)))
        assert figures(client.get("/metrics").text)["probans_ledger_clock_step_backs_total"] == 1

        def down() -> LedgerFigures:
            raise Unavailable("DATABASE_UNAVAILABLE", "gone")

        monkeypatch.setattr(vault, "figures", down)
        text = client.get("/metrics").text
        assert figures(text)["probans_ledger_up"] == 0
        assert "probans_ledger_entries" not in text
    finally:
        vault.close()


def test_step_backs_of_all_processes_add_up_and_never_go_back() -> None:
    block = bytearray(2 * SLOT_OCTETS)
    first, second = Metrics(block, 0), Metrics(block, 1)
    first.watch_clock(lambda: 2)
    second.watch_clock(lambda: 3)
    first.text()
    assert "probans_ledger_clock_step_backs_total 5\n" in second.text()
    # Another process takes the second one's place.
    third = Metrics(block, 1)
    assert "probans_ledger_clock_step_backs_total 5\n" in third.text()
    third.watch_clock(lambda: 1)
    assert "probans_ledger_clock_step_backs_total 6\n" in third.text()


def test_names_of_witnesses_cannot_break_the_format() -> None:
    text = ledger_text(LedgerFigures(1, 1, 0, None, 0, {'a"\n\\': 1}, 0))
    assert text.splitlines()[-1] == 'probans_witness_cosigned_entries{witness="a\\"\\n\\\\"} 1'
