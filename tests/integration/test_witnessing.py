"""Publication under witnesses: growth, restarts, quorums, forks; ours over HTTP, and the real litewitness."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from storage.errors import LogConflict
from storage.filesystem_log import FilesystemLogStore
from storage.memory import MemoryLogStore
from tests.e2e.harness.litewitness import Litewitness
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.clock import SystemClock
from vault.db.engine import Database
from vault.errors import SettingsRefused, Unavailable
from vault.ledger.audit import audit_agreement, audit_database
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.cosignatures import best_checkpoint, cosignatures_of, newest_met
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.genesis import open_ledger
from vault.ledger.keys import LedgerKeys
from vault.ledger.note import Note
from vault.ledger.policy import Policy
from vault.ledger.publisher import Publisher
from vault.ledger.receipt import parse_receipt, verify_receipt
from vault.ledger.receipts import Receipts
from vault.ledger.stored import entry_body
from vault.ledger.vkeys import Algorithm, VerifierKey
from vault.ledger.witness import Witness
from vault.ledger.witness_client import WitnessFork
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.witness_server import WitnessServer
from vault.ledger.witnessing import Witnessing, WitnessingConfig
from vault.ledger.writer import LedgerWriter
from vault.settings import Settings

ORIGIN = "safe.example/ledger/1"
PIECES = bytes(32)
CONFIG = WitnessingConfig(interval=0.02, timeout=3, grace=0.2, pause=0.05)


class Outside:
    """A standing witness in its own folder, on one port for life."""

    def __init__(self, folder: Path, name: str, log: LedgerKeys) -> None:
        self.folder, self.name = folder, name
        self.keys = WitnessKeys.open(folder / "keys", name)
        self.logs = Policy.from_vkeys("\n".join(log.vkeys))
        self.port = 0
        self.up()

    def up(self) -> None:
        self.witness = Witness(self.folder / "witness.db", self.keys, self.logs, SystemClock())
        self.server = WitnessServer(self.witness, "127.0.0.1", self.port)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def down(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.witness.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Safe:
    """A ledger with its publisher; `witnessing` makes workers on demand."""

    def __init__(self, folder: Path, store: Any = None) -> None:
        self.folder = folder
        self.database = Database.open(f"sqlite:///{folder / 'safe.db'}", folder / "locks")
        self.database.migrate()
        self.keys = LedgerKeys.open(folder / "keys", ORIGIN)
        self.store = store or MemoryLogStore()
        open_ledger(self.database, SystemClock(), self.keys, [{"purpose": "act-seal", "sha256": "00" * 32}])
        self.writer = LedgerWriter(self.database, lambda _name, _records: None, SystemClock())
        self.writer.start()
        self.publisher = Publisher(self.database, self.store, self.keys, SystemClock(), interval=0.02)

    def policy(self, quorum: str, **witnesses: tuple[VerifierKey, str]) -> Policy:
        lines = [f"log {vkey}" for vkey in self.keys.vkeys]
        lines += [f"witness {name} {key.vkey} {url}" for name, (key, url) in witnesses.items()]
        return Policy.parse("\n".join([*lines, quorum]))

    def witnessing(self, policy: Policy, config: WitnessingConfig = CONFIG) -> Witnessing:
        return Witnessing(self.database, self.store, self.publisher, policy, SystemClock(), config)

    def grow(self, count: int = 1, piece: bytes = PIECES) -> int:
        self.writer.run(lambda tx: [tx.append(piece, PIECES) for _ in range(count)])
        return self.publisher.publish()

    def body(self, seq: int) -> bytes:
        with self.database.reading() as connection:
            body = entry_body(connection, seq)
        assert body is not None
        return body

    def close(self) -> None:
        self.writer.close()
        self.database.close()


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    made = Safe(tmp_path)
    yield made
    made.close()


@pytest.fixture
def outside(safe: Safe, tmp_path: Path) -> Iterator[Callable[[str], Outside]]:
    made: list[Outside] = []

    def make(name: str) -> Outside:
        made.append(Outside(tmp_path / name, f"{name}.example/witness", safe.keys))
        return made[-1]

    yield make
    for witness in made:
        witness.down()


def until(ask: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def refused(note: bytes, policy: Policy) -> tuple[str, bool, Any]:
    with pytest.raises(LedgerProofRefused) as caught:
        verify_checkpoint(note, policy)
    return caught.value.code, caught.value.indeterminate, caught.value.params["found"]


def test_growth_through_fifty_checkpoints_with_restarts(
    safe: Safe, outside: Callable[[str], Outside]
) -> None:
    one = outside("one")
    policy = safe.policy(
        "group both all ed ml\nquorum both",
        ed=(one.keys.ed25519, one.url),
        ml=(one.keys.ml_dsa_44, one.url),
    )
    worker = safe.witnessing(policy)
    sizes = []
    for step in range(50):
        sizes.append(safe.grow(1 + step % 7))
        if step % 7 == 3:  # the witness restarts
            one.down()
            one.up()
        if step % 5 == 4:  # the service restarts
            worker.close()
            worker = safe.witnessing(policy)
        cosigned(worker, safe, policy)
        note = safe.store.get("checkpoint")
        assert verify_checkpoint(note, policy).witnesses == ("ed", "ml")
        assert Checkpoint.parse(note).size == sizes[-1]
    assert one.witness.head(ORIGIN)[0] == sizes[-1]
    assert len(sizes) == 50
    # A receipt of any entry carries them, and so does the next publisher's view of the store.
    receipts = Receipts(safe.database, None)
    for seq in (0, 17, sizes[-1] - 1):
        receipt = receipts.receipt(seq)
        assert receipt is not None
        assert verify_receipt(receipt, safe.body(seq), policy).checkpoint.witnesses == ("ed", "ml")
    assert Publisher(safe.database, safe.store, safe.keys, SystemClock()).publish() == sizes[-1]
    assert audit_database(safe.database).problems == []
    worker.close()


def cosigned(worker: Witnessing, safe: Safe, policy: Policy) -> None:
    """Ask until the published checkpoint meets the policy."""
    until(lambda: worker.round() or verified(safe, policy))


def verified(safe: Safe, policy: Policy) -> bool:
    try:
        verify_checkpoint(safe.store.get("checkpoint"), policy)
    except LedgerProofRefused:
        return False
    return True


def test_quorum_two_of_three(safe: Safe, outside: Callable[[str], Outside]) -> None:
    witnesses = {name: outside(name) for name in ("one", "two", "three")}
    keys = {name: (witness.keys.ml_dsa_44, witness.url) for name, witness in witnesses.items()}
    policy = safe.policy("group some 2 one two three\nquorum some", **keys)
    for name in ("two", "three"):
        witnesses[name].down()
    size = safe.grow(5)
    worker = safe.witnessing(policy)
    worker.round()
    note = safe.store.get("checkpoint")
    assert refused(note, policy) == ("WITNESS_QUORUM_UNMET", True, ["one"])
    assert worker.state().ok  # entries go on by default
    assert "no quorum yet of 6, 3 witnesses asked" in worker.state().note
    assert witnesses["two"].url in worker.state().note
    receipt = Receipts(safe.database, None).receipt(3)
    assert receipt is not None
    with pytest.raises(LedgerProofRefused) as caught:
        verify_receipt(receipt, safe.body(3), policy)
    assert caught.value.code == "WITNESS_QUORUM_UNMET"
    # A second witness comes back: the same checkpoint, the same receipt, one more line each.
    witnesses["two"].up()
    until(lambda: worker.round() or verified(safe, policy))
    report = verify_checkpoint(safe.store.get("checkpoint"), policy)
    assert (report.size, report.witnesses) == (size, ("one", "two"))
    upgraded = Receipts(safe.database, None).receipt(3)
    assert upgraded is not None
    assert parse_receipt(upgraded).proof == parse_receipt(receipt).proof
    assert verify_receipt(upgraded, safe.body(3), policy).checkpoint.witnesses == ("one", "two")
    assert set(Note.parse(note).signatures) < set(Note.parse(parse_receipt(upgraded).note).signatures)
    witnesses["three"].up()
    until(lambda: worker.round() or len(Note.parse(safe.store.get("checkpoint")).signatures) == 5)
    assert worker.state().note.startswith("quorum up to size 6 of 6")
    worker.close()


def test_who_demands_the_quorum_can_read_the_log_while_entries_come_all_the_time(
    safe: Safe, outside: Callable[[str], Outside]
) -> None:
    witnesses = [outside(f"w{number}.example") for number in (1, 2)]
    policy = safe.policy(
        "group both all w1 w2\nquorum both",
        **{f"w{number}": (made.keys.ml_dsa_44, made.url) for number, made in enumerate(witnesses, start=1)},
    )
    worker = safe.witnessing(policy)
    safe.publisher.hold = worker.holds
    safe.grow()
    worker.start()
    safe.publisher.start()
    safe.writer.on_commit = safe.publisher.wake
    met, sizes, stop = [], set(), time.monotonic() + 3
    while time.monotonic() < stop:
        safe.writer.run(lambda tx: tx.append(PIECES, PIECES))
        note = safe.store.get("checkpoint")
        sizes.add(Checkpoint.parse(note).size)
        try:
            verify_checkpoint(note, policy)
        except LedgerProofRefused:
            met.append(False)
        else:
            met.append(True)
    safe.publisher.close()
    worker.close()
    assert len(sizes) > 3, "publication came to a halt"
    assert sum(met) > len(met) / 4, f"cosigned in {sum(met)} of {len(met)} looks"


def test_a_checkpoint_whose_witnesses_are_away_is_replaced_in_time(
    safe: Safe, outside: Callable[[str], Outside]
) -> None:
    witness = outside("w1.example")
    worker = safe.witnessing(safe.policy("quorum w1", w1=(witness.keys.ml_dsa_44, witness.url)))
    safe.publisher.hold = worker.holds
    safe.grow()
    assert worker.holds(), "its witness has not been asked yet"
    witness.down()
    worker.round()
    assert not worker.holds(), "its witness is known to be away"
    witness.up()
    time.sleep(0.7)
    safe.grow()
    time.sleep(0.71)
    assert not worker.holds(), "no entry waits longer"
    worker.close()


def test_receipts_rest_on_the_checkpoint_most_witnesses_signed(
    safe: Safe, outside: Callable[[str], Outside]
) -> None:
    one = outside("one")
    policy = safe.policy("quorum one", one=(one.keys.ed25519, one.url))
    worker = safe.witnessing(policy)
    first = safe.grow(3)
    worker.round()
    second = safe.grow(3)  # published, and not cosigned yet
    receipts = Receipts(safe.database, None)
    old, new = receipts.receipt(1), receipts.receipt(second - 1)
    assert old is not None
    assert new is not None
    assert verify_receipt(old, safe.body(1), policy).checkpoint.size == first
    assert Checkpoint.parse(parse_receipt(new).note).size == second
    worker.round()
    newer = receipts.receipt(1)
    assert newer is not None
    assert verify_receipt(newer, safe.body(1), policy).checkpoint.size == second
    with safe.database.reading() as connection:
        assert best_checkpoint(connection, second + 1) is None
        assert newest_met(connection, policy) == second
    assert receipts.receipt(-1) is None
    worker.close()


def fork_of(safe: Safe, folder: Path) -> Safe:
    """A safe with the same keys and the same first entry, and another history after it."""
    folder.mkdir()
    shutil.copytree(safe.folder / "keys", folder / "keys")
    with sqlite3.connect(folder / "safe.db") as target, sqlite3.connect(safe.folder / "safe.db") as source:
        source.backup(target)
    return Safe(folder)


@pytest.mark.parametrize("more", [2, 6, 9])
def test_a_forked_copy_is_refused_and_the_alarm_names_both_heads(
    safe: Safe, outside: Callable[[str], Outside], tmp_path: Path, more: int
) -> None:
    one = outside("one")
    key = {"one": (one.keys.ed25519, one.url)}
    policy = safe.policy("quorum one", **key)
    fork = fork_of(safe, tmp_path / "fork")
    worker = safe.witnessing(policy)
    size = safe.grow(6)
    worker.round()
    root = Checkpoint.parse(safe.store.get("checkpoint")).root
    assert one.witness.head(ORIGIN) == (size, root)

    forked = fork.grow(more, b"\x01" * 32)
    ours = Checkpoint.parse(fork.store.get("checkpoint")).root
    other = fork.witnessing(policy)
    with pytest.raises(WitnessFork):
        other.start()
    alarm = other.failure
    assert isinstance(alarm, WitnessFork)
    assert (alarm.ours, alarm.theirs) == ((forked, ours), size)
    assert f"our head: size {forked}, root {ours.hex()}" in alarm.detail
    assert f"head of {one.url}: size {size}" in alarm.detail
    if more == 2:
        assert (alarm.code, alarm.not_root) == ("WITNESS_AHEAD", None)
    else:
        assert alarm.code == "WITNESS_FORK"
        assert alarm.not_root is not None
        assert alarm.not_root.hex() in alarm.detail
    # Publication is over, in this process and in every later one; readiness says why.
    assert other.state() == type(other.state())(False, alarm.detail)
    fork.writer.run(lambda tx: tx.append(PIECES, PIECES))
    with pytest.raises(WitnessFork):
        fork.publisher.publish()
    other.close()
    fork.publisher = Publisher(fork.database, fork.store, fork.keys, SystemClock())
    again = fork.witnessing(policy)
    one.down()  # even when the witness is not there to repeat it
    with pytest.raises(WitnessFork):
        again.start()
    (problem,) = audit_agreement(fork.database, fork.store).problems
    assert (problem.code, problem.check, problem.where) == (alarm.code, "witnesses", f"witness {one.url}")
    assert (problem.expected, problem.found) == (alarm.params["expected"], alarm.params["found"])
    assert isinstance(fork.publisher.failure, WitnessFork)
    assert Checkpoint.parse(fork.store.get("checkpoint")).size == forked
    again.close()
    one.up()
    # The witness has not moved, and the true log goes on.
    assert one.witness.head(ORIGIN) == (size, root)
    grown = safe.grow(4)
    worker.round()
    assert worker.failure is None
    assert one.witness.head(ORIGIN)[0] == grown
    worker.close()
    fork.close()


def test_an_alarm_falls_when_the_witness_cosigns_again_or_is_dismissed(
    safe: Safe, outside: Callable[[str], Outside], tmp_path: Path
) -> None:
    one, two = outside("one"), outside("two")
    policy = safe.policy("quorum none", one=(one.keys.ed25519, one.url), two=(two.keys.ed25519, two.url))
    safe.grow(3)
    worker = safe.witnessing(policy)
    worker.round()
    # Both lose their memory to another history of the same length.
    for witness in (one, two):
        with sqlite3.connect(witness.folder / "witness.db") as connection:
            connection.execute("UPDATE heads SET root = ?", (bytes(32),))
        connection.close()
    safe.grow(1)
    worker.round()
    assert isinstance(safe.publisher.failure, WitnessFork)
    worker.close()
    # One is repaired, the other taken out of the policy.
    with sqlite3.connect(one.folder / "witness.db") as connection:
        connection.execute("DELETE FROM heads")
    connection.close()
    safe.publisher = Publisher(safe.database, safe.store, safe.keys, SystemClock())
    worker = safe.witnessing(safe.policy("quorum none", one=(one.keys.ed25519, one.url)))
    worker.start()
    assert (worker.failure, safe.publisher.failure) == (None, None)
    assert safe.grow(1) == 6
    worker.close()


def test_a_process_that_no_longer_asks_forgets_what_it_knew_of_witnesses(
    safe: Safe, outside: Callable[[str], Outside]
) -> None:
    one = outside("one")
    worker = safe.witnessing(safe.policy("quorum none", one=(one.keys.ed25519, one.url)))
    safe.grow()
    one.down()
    worker.round()
    assert one.url in worker.state().note
    one.up()
    with safe.database.leading("witnessing"):  # another process has it cosigned now
        worker.round()
    assert one.url not in worker.state().note
    worker.close()


def test_a_misbehaving_witness_keeps_nobody_waiting(safe: Safe, outside: Callable[[str], Outside]) -> None:
    """One does not answer at all; the others' lines are there long before its time is over."""
    one = outside("one")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        policy = safe.policy(
            "quorum one",
            one=(one.keys.ml_dsa_44, one.url),
            deaf=(WitnessKeys.new("deaf.example").ed25519, f"http://127.0.0.1:{silent.getsockname()[1]}"),
        )
        worker = safe.witnessing(policy)
        size = safe.grow(4)
        thread = threading.Thread(target=worker.round)
        thread.start()
        until(lambda: verified(safe, policy), 2)
        begun = time.monotonic()
        assert safe.grow(1) == size + 1
        assert time.monotonic() - begun < 1
        assert thread.is_alive()
        thread.join()
        assert "does not answer in time" in worker.state().note
        worker.round()  # it is left alone for a while: no wait
        until(lambda: verified(safe, policy), 2)
        worker.close()


def test_entries_wait_for_the_quorum_where_the_operator_says_so(
    safe: Safe, outside: Callable[[str], Outside]
) -> None:
    one = outside("one")
    policy = safe.policy("quorum one", one=(one.keys.ed25519, one.url))
    config = WitnessingConfig("wait", interval=0.02, timeout=1, grace=0.1, pause=0.05)
    safe.grow(2)
    worker = safe.witnessing(policy, config)
    worker.start()
    safe.writer.admit = lambda _: worker.admit(0.5)
    size = safe.grow(1)
    until(lambda: verified(safe, policy))
    one.down()
    assert safe.grow(1) == size + 1  # within the grace
    until(lambda: not worker.state().ok)
    with pytest.raises(Unavailable) as caught:
        safe.grow(1)
    assert caught.value.code == "WITNESSES_UNAVAILABLE"
    # A restart is no way round.
    worker.close()
    worker = safe.witnessing(policy, config)
    worker.start()
    with pytest.raises(Unavailable):
        safe.grow(1)
    threading.Timer(0.2, one.up).start()
    safe.writer.admit = lambda _: worker.admit(20)
    assert safe.grow(1) == size + 2
    until(lambda: worker.state().ok)
    worker.close()


def test_two_workers_and_a_publisher_on_one_safe(tmp_path: Path) -> None:
    safe = Safe(tmp_path, FilesystemLogStore(tmp_path / "log"))
    one = Outside(tmp_path / "one", "one.example", safe.keys)
    policy = safe.policy("quorum one", one=(one.keys.ml_dsa_44, one.url))
    safe.publisher.start()
    safe.writer.on_commit = safe.publisher.wake
    workers = [safe.witnessing(policy) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(60):
        safe.writer.run(lambda tx: tx.append(PIECES, PIECES))
        time.sleep(0.005)
    until(lambda: verified(safe, policy) and Checkpoint.parse(safe.store.get("checkpoint")).size == 61)
    assert [worker.failure for worker in workers] == [None, None]
    assert safe.publisher.failure is None
    for worker in workers:
        worker.close()
    safe.publisher.close()
    one.down()
    safe.close()


def test_cosignatures_kept_before_a_stop_are_published_after_it(
    safe: Safe, outside: Callable[[str], Outside], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = outside("one")
    policy = safe.policy("quorum one", one=(one.keys.ed25519, one.url))
    size = safe.grow(3)

    def stopped(*_: object) -> None:
        raise LogConflict

    with monkeypatch.context() as patch:
        patch.setattr(safe.store, "compare_and_swap", stopped)
        worker = safe.witnessing(policy)
        worker.round()
        worker.close()
    assert not verified(safe, policy)
    with safe.database.reading() as connection:
        assert len(cosignatures_of(connection, size)) == 1
    one.down()  # nobody needs to be asked again
    worker = safe.witnessing(policy)
    worker.round()
    assert verified(safe, policy)
    worker.close()
    one.up()


def test_the_whole_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data=tmp_path / "data", publish_interval=0.02)
    vault = open_vault(settings)
    assert vault.health()["witnesses"].note.startswith("none")
    vkeys, log = list(vault.trust.vkeys), LedgerKeys.open(tmp_path / "data/keys/ledger", settings.origin)
    vault.close()
    one = Outside(tmp_path / "one", "one.example/w", log)
    path = tmp_path / "witnesses.policy"
    path.write_text(f"witness one {one.keys.ml_dsa_44.vkey} {one.url}\nquorum one\n")
    vault = open_vault(settings.model_copy(update={"witness_policy": path}))
    policy = Policy.parse(vault.trust.policy)
    assert [key.vkey for key in policy.logs] == vkeys
    until(lambda: _accepts(vault.log_file("checkpoint"), policy))
    health = vault.health()["witnesses"]
    assert (health.ok, health.note.split(",")[1]) == (True, " 1 witnesses asked")
    receipt = vault.receipts.receipt(0)
    assert receipt is not None
    assert verify_checkpoint(parse_receipt(receipt).note, policy).witnesses == ("one",)
    # The witness saw more than there is: the safe was set back.
    vault.close()
    with sqlite3.connect(one.folder / "witness.db") as connection:
        connection.execute("UPDATE heads SET size = 500")
    connection.close()
    for _ in range(2):  # the second time from the alarm that was kept
        with pytest.raises(WitnessFork) as caught:
            open_vault(settings.model_copy(update={"witness_policy": path}))
        assert caught.value.code == "WITNESS_AHEAD"
    # A recovery finds nothing wrong inside, asks the witness, and names the way out instead of ending well.
    monkeypatch.setenv("PROBANS_WITNESS_POLICY", str(path))
    recover = ["recover", "--data", str(settings.data)]
    told = CliRunner().invoke(build(), recover)
    assert told.exit_code == 1, told.output
    assert f"WITNESS_AHEAD {one.url}" in told.output
    assert f"recover --new-generation {settings.origin}" in told.output
    # The operator may dismiss the witness; with its memory right again it is asked as before.
    vault = open_vault(settings)
    assert vault.health()["ledger"].ok
    vault.close()
    with sqlite3.connect(one.folder / "witness.db") as connection:
        connection.execute("UPDATE heads SET size = 1")
    connection.close()
    assert CliRunner().invoke(build(), recover).exit_code == 0
    vault = open_vault(settings.model_copy(update={"witness_policy": path}))
    assert vault.health()["witnesses"].ok
    vault.close()
    one.down()
    away = CliRunner().invoke(build(), recover)
    assert (away.exit_code, "not asked" in away.output) == (0, True)
    for text in (
        "nonsense",
        f"witness one {one.keys.ml_dsa_44.vkey}\nquorum one\n",
        f"log {LedgerKeys.new(settings.origin).vkeys[0]}\nwitness one {one.keys.ml_dsa_44.vkey} {one.url}\nquorum one",
        "quorum none\n",
    ):
        path.write_text(text)
        with pytest.raises(SettingsRefused):
            open_vault(settings.model_copy(update={"witness_policy": path}))


def _accepts(note: bytes, policy: Policy) -> bool:
    try:
        verify_checkpoint(note, policy)
    except LedgerProofRefused:
        return False
    return True


def test_the_command(safe: Safe, tmp_path: Path) -> None:
    (tmp_path / "ledger.vkeys").write_text("\n".join(safe.keys.vkeys) + "\n")
    command = [sys.executable, "-c", "from vault.cli.main import run; run()", "witness"]
    command += ["--db", str(tmp_path / "w.db"), "--keys", str(tmp_path / "w-keys"), "--port", "0"]
    vkeys, size = [], 0
    for log in ([tmp_path / "ledger.vkeys"], safe.keys.vkeys):
        given = [word for item in log for word in ("--log", str(item))]
        name = [] if vkeys else ["--name", "court.example/w1"]
        process = subprocess.Popen([*command, *given, *name], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        shown = [process.stdout.readline().split() for _ in range(4)]
        assert [words[0] for words in shown] == ["witness", "witness", "log", "Witness:"]
        assert shown[2] == ["log", ORIGIN, str(size)]
        assert vkeys in ([], [shown[0][1], shown[1][1]])  # the same keys and name after a restart
        vkeys = [shown[0][1], shown[1][1]]
        keys = [VerifierKey.parse(vkey) for vkey in vkeys]
        assert [(key.name, key.algorithm) for key in keys] == [
            ("court.example/w1", 4),
            ("court.example/w1", 6),
        ]
        policy = safe.policy("quorum w", w=(keys[1], shown[3][1]))
        worker = safe.witnessing(policy)
        size = safe.grow(3)
        worker.round()
        assert verify_checkpoint(safe.store.get("checkpoint"), policy).witnesses == ("w",)
        worker.close()
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()
    for words, said in (
        (["--log", "nonsense"], "vkey"),
        (["--log", safe.keys.vkeys[0], "--name", "other.example"], "court.example/w1"),
    ):
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in {1, 2}
        assert said in done.stderr


# --- the real litewitness


@pytest.fixture
def litewitness(safe: Safe) -> Iterator[Litewitness]:
    made = Litewitness(safe.keys)
    yield made
    made.close()


def _grow_under_litewitness(safe: Safe, witness: Litewitness, folder: Path, steps: int) -> None:
    assert witness.vkey.algorithm is Algorithm.ED25519_COSIGNATURE
    policy = safe.policy("quorum lite", lite=(witness.vkey, witness.url))
    fork = fork_of(safe, folder)
    worker = safe.witnessing(policy)
    for step in range(steps):
        if step:
            safe.grow(1 + 37 * (step % 9))
        else:
            safe.publisher.publish()
        if step % 4 == 2:
            witness.kill()
            witness.up()
        if step % 3 == 2:
            worker.close()
            worker = safe.witnessing(policy)
        cosigned(worker, safe, policy)
    size = safe.publisher.publish()
    assert verify_checkpoint(safe.store.get("checkpoint"), policy).size == size
    receipt = Receipts(safe.database, None).receipt(0)
    assert receipt is not None
    assert verify_receipt(receipt, safe.body(0), policy).checkpoint.witnesses == ("lite",)
    # The fork is refused, larger or of the same size, and named.
    for grown in (size - 1, 5):
        with fork.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM witness_alarms")
        fork.publisher = Publisher(fork.database, fork.store, fork.keys, SystemClock())
        forked = fork.grow(grown, b"\x02" * 32)
        other = fork.witnessing(policy)
        other.round()
        alarm = other.failure
        assert isinstance(alarm, WitnessFork)
        assert (alarm.code, alarm.theirs, alarm.ours[0]) == ("WITNESS_FORK", size, forked)
        assert alarm.not_root is not None
        other.close()
    fork.close()
    worker.close()


@pytest.mark.needs("litewitness")
def test_litewitness_cosigns_our_growth(safe: Safe, litewitness: Litewitness, tmp_path: Path) -> None:
    _grow_under_litewitness(safe, litewitness, tmp_path / "fork", 12)


@pytest.mark.needs("litewitness")
@pytest.mark.soak("witness")
def test_litewitness_cosigns_our_growth_for_long(
    safe: Safe, litewitness: Litewitness, tmp_path: Path
) -> None:
    _grow_under_litewitness(safe, litewitness, tmp_path / "fork", int(os.environ.get("SOAK_COUNT", "50")))
