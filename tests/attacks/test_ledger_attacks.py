"""Whoever holds the database, and even every key, cannot rewrite, cut, reorder or fork the ledger unseen."""

from __future__ import annotations

import base64
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy.exc
from typer.testing import CliRunner

from storage.filesystem import FilesystemLogStore
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.db.engine import Database
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import LedgerError
from vault.evidence.ledger_source import FolderLedger
from vault.ledger.audit import audit_agreement, audit_database, audit_log_store
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.entry import RecordEntry, decode, encode, leaf_hash
from vault.ledger.files import LogReader
from vault.ledger.genesis import open_ledger
from vault.ledger.group import Group
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.published import Known, audit_published
from vault.ledger.publisher import Publisher
from vault.ledger.stored import StoredTiles, entries, read_head
from vault.ledger.tags import tag
from vault.ledger.watch import Alarm, Watcher
from vault.ledger.witness_keys import WitnessKeys
from vault.ledger.writer import LedgerWriter
from vault.settings import Settings

ORIGIN = "safe.example/ledger/1"
SIZE, REWRITTEN = 10_000, 5_000
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = bytes(range(32))


class SetClock:
    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


class Log:
    """A ledger in a folder: database, keys, published files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.database = Database.open(f"sqlite:///{folder / 'safe.db'}", folder / "locks")
        self.database.migrate()
        self.keys = LedgerKeys.open(folder / "keys", ORIGIN)
        self.policy = Policy.from_vkeys("\n".join(self.keys.vkeys))
        open_ledger(self.database, self.clock, self.keys, [{"purpose": "act-seal", "sha256": "00" * 32}])

    @property
    def files(self) -> FilesystemLogStore:
        return FilesystemLogStore(self.folder / "ledger")

    @property
    def published(self) -> FolderLedger:
        return FolderLedger(self.folder / "ledger")

    def grow(self, count: int, key: bytes = bytes(32), first: int = 0) -> int:
        """Append entries; return how often the writer found the clock set back."""
        writer = LedgerWriter(self.database, lambda _name, _records: None, self.clock)
        writer.start()
        try:
            writer.run(
                lambda tx: [tx.append(tag(key, first + n), bytes([n % 256]) * 32) for n in range(count)]
            )
        finally:
            writer.close()
        return writer.step_backs

    def publish(self) -> int:
        return Publisher(self.database, self.files, self.keys, self.clock).publish()

    def bodies(self) -> list[bytes]:
        with self.database.reading() as connection:
            return [body for _, body, _ in entries(connection, 0, read_head(connection).size)]

    def replace(self, bodies: list[bytes]) -> None:
        """Put other entries in the database, with every hash that follows from them."""
        leaves = [leaf_hash(body) for body in bodies]
        with self.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM ledger_entries")
            connection.exec_driver_sql("DELETE FROM ledger_tiles")
            rows = [(seq, *pair) for seq, pair in enumerate(zip(bodies, leaves, strict=True))]
            connection.exec_driver_sql("INSERT INTO ledger_entries (seq, body, leaf) VALUES (?, ?, ?)", rows)
            StoredTiles(connection, {}).store_completed(0, len(bodies))
            last = decode(bodies[-1]).time
            connection.exec_driver_sql(
                "UPDATE ledger_head SET size = ?, last_leaf = ?, last_time = ?",
                (len(bodies), leaves[-1], last),
            )

    def publish_anew(self) -> None:
        """Sign and publish what the database holds now, as if nothing had ever been published."""
        shutil.rmtree(self.folder / "ledger")
        with self.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM checkpoints")
        self.publish()

    def checkpoint(self) -> Known:
        return Known(verify_checkpoint(LogReader(self.published).checkpoint(), self.policy))

    def watcher(self) -> Watcher:
        return Watcher(self.published, self.policy, self.folder / "watch", [KEY])

    def codes(self, since: Known | None = None) -> list[tuple[str, int | None]]:
        report = audit_published(self.published, self.policy, since=since)
        return [(problem.code, problem.entry) for problem in report.problems]


def rewritten(bodies: list[bytes], at: int) -> list[bytes]:
    """Give entry `at` another commitment and mend the chain after it."""
    forged = bodies[:at]
    prev = leaf_hash(forged[-1])
    for seq, body in enumerate(bodies[at:], start=at):
        entry = decode(body)
        assert isinstance(entry, RecordEntry)
        commitment = b"\xee" * 32 if seq == at else entry.commitment
        forged.append(encode(RecordEntry(seq, prev, entry.time, entry.tag, commitment)))
        prev = leaf_hash(forged[-1])
    return forged


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published ledger of 10,000 entries, with a watcher's memory of it."""
    log = Log(tmp_path_factory.mktemp("honest"))
    log.grow(SIZE - 1)
    assert log.publish() == SIZE
    watcher = log.watcher()
    assert watcher.look(time.time()).grown == SIZE
    watcher.keep()
    log.database.close()
    return log.folder


@pytest.fixture
def log(honest: Path, tmp_path: Path) -> Iterator[Log]:
    shutil.copytree(honest, tmp_path / "log")
    opened = Log(tmp_path / "log")
    yield opened
    opened.database.close()


def test_an_honest_log_that_grows_passes_everywhere(log: Log) -> None:
    known = log.checkpoint()
    log.grow(300)
    log.publish()
    report = audit_published(log.published, log.policy, since=known)
    assert (report.problems, report.start, report.size) == ([], 9984, 10_300)
    assert audit_published(log.published, log.policy).root == report.root
    assert audit_database(log.database, log.policy).ok
    assert audit_agreement(log.database, log.files).ok
    watcher = log.watcher()
    assert watcher.look(time.time()).grown == 300
    watcher.keep()
    assert log.watcher().look(time.time()).grown == 0


def test_a_database_rewritten_without_keys_is_found_with_its_entry(log: Log) -> None:
    log.replace(rewritten(log.bodies(), REWRITTEN))
    assert [(p.code, p.entry) for p in audit_agreement(log.database, log.files).problems] == [
        ("LEDGER_FORKED", REWRITTEN)
    ]
    assert "ROOT_MISMATCH" in {p.code for p in audit_database(log.database, log.policy).problems}
    with pytest.raises(LedgerError) as refused:
        log.publish()
    assert refused.value.code == "LEDGER_FORKED"


def test_one_row_edited_is_found_with_its_entry(log: Log) -> None:
    with log.database.writing() as connection:
        body = rewritten(log.bodies(), REWRITTEN)[REWRITTEN]
        connection.exec_driver_sql("UPDATE ledger_entries SET body = ? WHERE seq = ?", (body, REWRITTEN))
    found = {(p.code, p.entry) for p in audit_database(log.database, log.policy).problems}
    assert ("LEAF_MISMATCH", REWRITTEN) in found
    assert ("CHAIN_BROKEN", REWRITTEN + 1) in found


def test_files_rewritten_without_keys_do_not_lead_to_the_checkpoint(log: Log) -> None:
    note = (log.folder / "ledger" / "checkpoint").read_bytes()
    log.replace(rewritten(log.bodies(), REWRITTEN))
    log.publish_anew()
    log.files.compare_and_swap("checkpoint", log.files.get("checkpoint"), note, "text/plain")
    assert log.codes() == [("ROOT_MISMATCH", None)]
    watcher = log.watcher()
    watcher.memory.counters.clear()
    with pytest.raises(LedgerError) as damaged:
        watcher.look(time.time())
    assert damaged.value.code == "LEDGER_DAMAGED"


def test_with_every_key_in_hand_history_cannot_be_rewritten_unseen(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.folder / "ledger", tmp_path / "copy")
    known, copy = log.checkpoint(), LogReader(FolderLedger(tmp_path / "copy"))
    log.replace(rewritten(log.bodies(), REWRITTEN))
    log.grow(300)
    log.publish_anew()
    assert log.codes() == [], "by itself the new history is sound: only memory can tell"
    assert audit_database(log.database, log.policy).ok
    assert log.codes(known) == [("LEDGER_FORKED", None)]
    with_copy = log.codes(Known(known.checkpoint, copy))
    assert with_copy == [("LEDGER_FORKED", None), ("ENTRY_REWRITTEN", REWRITTEN)]
    with pytest.raises(Alarm) as alarm:
        log.watcher().look(time.time())
    assert (alarm.value.code, alarm.value.params["entry"]) == ("LEDGER_FORKED", REWRITTEN)
    heads = [Checkpoint.parse(note) for note in alarm.value.notes]
    assert [head.size for head in heads] == [SIZE, SIZE + 300]
    assert all(f"{head.size} {head.root.hex()}" in alarm.value.detail for head in heads)


def test_two_roots_of_one_size_are_a_fork(log: Log) -> None:
    log.replace(rewritten(log.bodies(), SIZE - 1))
    log.publish_anew()
    with pytest.raises(Alarm) as alarm:
        log.watcher().look(time.time())
    assert (alarm.value.code, alarm.value.params["entry"]) == ("LEDGER_FORKED", SIZE - 1)


def test_commands_end_with_code_1_and_name_both_heads(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.folder / "ledger", tmp_path / "copy")
    (tmp_path / "vkeys").write_text("\n".join(log.keys.vkeys))
    log.replace(rewritten(log.bodies(), REWRITTEN))
    log.publish_anew()

    def run(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(build(), [str(item) for item in arguments])
        return done.exit_code, done.output

    source, trust = log.folder / "ledger", ("--vkeys", tmp_path / "vkeys")
    assert run("audit", source, *trust)[0] == 0
    code, output = run("audit", source, *trust, "--since", tmp_path / "copy", "--json")
    report = json.loads(output)
    assert (code, report["verdict"]) == (1, "FAILED")
    assert report["published"]["problems"][-1]["entry"] == REWRITTEN
    code, output = run("watch", source, *trust, "--state", log.folder / "watch", "--once")
    assert (code, "LEDGER_FORKED" in output, f"entry rewritten: {REWRITTEN}" in output) == (1, True, True)
    proof = [(log.folder / f"watch.alarm-{number}").read_bytes() for number in (1, 2)]
    assert {verify_checkpoint(note, log.policy).size for note in proof} == {SIZE}
    assert proof[0] != proof[1]


@pytest.mark.parametrize("line", [b"", b"\xe2\x80\x94 witness.example/w1 %b\n"], ids=["none", "forged"])
def test_a_fork_is_told_before_its_witnesses_are_missed(log: Log, tmp_path: Path, line: bytes) -> None:
    known, copy = tmp_path / "known", tmp_path / "copy"
    shutil.copytree(log.folder / "ledger", copy)
    known.write_bytes((copy / "checkpoint").read_bytes())
    witness = WitnessKeys.new("witness.example/w1").ed25519
    (tmp_path / "policy").write_text(
        "".join(f"log {vkey}\n" for vkey in log.keys.vkeys) + f"witness w1 {witness.vkey}\nquorum w1\n"
    )
    log.replace(rewritten(log.bodies(), REWRITTEN))
    log.publish_anew()
    with (log.folder / "ledger" / "checkpoint").open("ab") as file:
        # What anybody who serves a log can add does not hide what it signed.
        file.write(line and line % base64.b64encode(witness.id + bytes(72)))

    def run(*arguments: object) -> tuple[int, str]:
        trust = ("--policy", tmp_path / "policy")
        done = CliRunner().invoke(build(), [str(item) for item in (*arguments, *trust)])
        return done.exit_code, done.output

    source, state, code = log.folder / "ledger", log.folder / "watch", "WITNESS_QUORUM_UNMET"
    lacking = "WITNESS_SIGNATURE_INVALID" if line else code
    for since in (known, copy):
        status, output = run("audit", source, "--since", since, "--json")
        problems = json.loads(output)["published"]["problems"]
        named = ["LEDGER_FORKED", *(["ENTRY_REWRITTEN"] if since is copy else []), lacking]
        assert (status, [item["code"] for item in problems]) == (1, named)
    status, output = run("watch", source, "--state", state, "--once")
    assert (status, "LEDGER_FORKED" in output, f"entry rewritten: {REWRITTEN}" in output) == (1, True, True)
    assert (log.folder / "watch.alarm-2").exists()
    # What is sound and lacks its witnesses alone is undecided, is read whole, and is remembered.
    status, output = run("audit", copy, "--json")
    report = json.loads(output)["published"]
    assert (status, report["checked"], [item["code"] for item in report["problems"]]) == (3, SIZE, [code])
    began = time.monotonic()
    status, output = run("watch", copy, "--state", tmp_path / "new", "--once", "--grace", 1.5)
    assert (status, code in output, str(SIZE) in output) == (3, True, True)
    assert time.monotonic() - began >= 1.5
    status, output = run("watch", source, "--state", tmp_path / "new", "--once", "--grace", 0)
    assert (status, "LEDGER_FORKED" in output) == (1, True)


def test_too_few_cosignatures_of_a_moment_are_no_news(log: Log, tmp_path: Path) -> None:
    keys = WitnessKeys.new("witness.example/w1")
    (tmp_path / "policy").write_text(
        "".join(f"log {vkey}\n" for vkey in log.keys.vkeys) + f"witness w1 {keys.ed25519.vkey}\nquorum w1\n"
    )
    source = log.folder / "ledger"
    note = (source / "checkpoint").read_bytes()
    line = keys.cosign(Checkpoint.parse(note).signed, datetime.now(UTC))[0].line()

    def answer() -> None:
        (source / "new").write_bytes(note + line)
        (source / "new").replace(source / "checkpoint")

    timer = threading.Timer(1.5, answer)
    timer.start()
    arguments = ["watch", source, "--policy", tmp_path / "policy", "--state", tmp_path / "new", "--once"]
    done = CliRunner().invoke(build(), [str(item) for item in arguments])
    timer.join()
    assert (done.exit_code, "WITNESS_QUORUM_UNMET" in done.output) == (0, False), done.output


def test_a_log_cut_short_is_found(log: Log) -> None:
    known = log.checkpoint()
    log.replace(log.bodies()[:9_000])
    assert [p.code for p in audit_agreement(log.database, log.files).problems] == ["LEDGER_BEHIND"]
    log.publish_anew()
    assert log.codes() == []
    assert log.codes(known) == [("LEDGER_TRUNCATED", None)]
    with pytest.raises(Alarm) as alarm:
        log.watcher().look(time.time())
    assert alarm.value.code == "LEDGER_TRUNCATED"


def test_a_missing_file_is_named(log: Log) -> None:
    path = log.folder / "ledger" / "tile" / "entries" / "019"
    path.unlink()
    (problem,) = audit_log_store(log.files, log.policy).problems
    assert (problem.code, problem.entry, problem.expected) == ("OBJECT_MISSING", 19 * 256, "tile/entries/019")


def swapped(bodies: list[bytes]) -> list[bytes]:
    return [*bodies[:-2], bodies[-1], bodies[-2]]


def doubled(bodies: list[bytes]) -> list[bytes]:
    last = decode(bodies[-1])
    assert isinstance(last, RecordEntry)
    return [
        *bodies,
        encode(RecordEntry(last.seq, leaf_hash(bodies[-1]), last.time, last.tag, last.commitment)),
    ]


def back_in_time(bodies: list[bytes]) -> list[bytes]:
    last = decode(bodies[-1])
    assert isinstance(last, RecordEntry)
    early = encode(RecordEntry(last.seq, last.prev, "2026-11-22T11:00:00.000Z", last.tag, last.commitment))
    return [*bodies[:-1], early]


@pytest.mark.parametrize(("change", "entry"), [(swapped, 10_008), (doubled, 10_010), (back_in_time, 10_009)])
def test_disorder_is_found_even_when_it_is_signed(
    log: Log, change: Callable[[list[bytes]], list[bytes]], entry: int
) -> None:
    known = log.checkpoint()
    log.grow(10)
    log.replace(change(log.bodies()))
    log.publish()
    assert ("CHAIN_BROKEN", entry) in log.codes()
    assert ("CHAIN_BROKEN", entry) in log.codes(known)
    with pytest.raises(Alarm) as alarm:
        log.watcher().look(time.time())
    assert (alarm.value.code, alarm.value.params["entry"]) == ("CHAIN_BROKEN", entry)


def test_a_writer_that_believes_in_an_old_head_writes_nothing(log: Log) -> None:
    with log.database.reading() as connection:
        old = read_head(connection)
    log.grow(3)

    def write_after_old() -> None:
        with log.database.writing() as connection:
            group = Group(connection, old.last_time, old.size, old.last_leaf)
            group.run(lambda tx: tx.append(bytes(32), bytes(32)))
            group.write(lambda _name, _records: None, {})

    with pytest.raises((LedgerError, sqlalchemy.exc.IntegrityError)):
        write_after_old()
    report = audit_database(log.database, log.policy)
    assert (report.problems, report.size) == ([], SIZE + 3)


def test_two_writers_at_once_make_one_chain(log: Log) -> None:
    other = Log(log.folder)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(each.grow, 1) for _ in range(20) for each in (log, other)]
        assert all(job.result() == 0 for job in jobs)
    other.database.close()
    report = audit_database(log.database, log.policy)
    assert (report.problems, report.size) == ([], SIZE + 40)


def test_of_two_databases_that_went_apart_only_one_is_published(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.folder, tmp_path / "twin", ignore=shutil.ignore_patterns("ledger"))
    twin = Log(tmp_path / "twin")
    log.grow(5)
    log.publish()
    twin.grow(6, key=KEY)
    (twin.folder / "ledger").symlink_to(log.folder / "ledger")
    with pytest.raises(LedgerError) as refused:
        twin.publish()
    twin.database.close()
    assert refused.value.code == "LEDGER_FORKED"
    assert log.codes() == []


def test_a_clock_set_back_does_not_turn_time_around(log: Log) -> None:
    log.clock.at = NOON - timedelta(hours=1)
    assert log.grow(5) == 1, "the alarm is counted"
    log.publish()
    assert log.codes() == []
    assert decode(log.bodies()[-1]).time == decode(log.bodies()[SIZE - 1]).time


def test_a_key_names_the_entries_of_its_document_once(log: Log) -> None:
    log.grow(2, key=KEY)
    log.grow(300)
    log.grow(1, key=KEY, first=2)
    log.publish()
    watcher = log.watcher()
    seen = watcher.look(time.time()).sightings
    assert [(item.counter, item.seq) for item in seen] == [(0, SIZE), (1, SIZE + 1), (2, SIZE + 302)]
    again = log.watcher().look(time.time()).sightings
    assert again == seen, "what was not kept is told again"
    watcher.keep()
    assert log.watcher().look(time.time()).sightings == ()
    other = Watcher(log.published, log.policy, log.folder / "watch", [bytes(32)])
    assert len(other.look(time.time()).sightings) == SIZE - 1, "a new key is searched from the start"


def test_silence_is_told(log: Log, tmp_path: Path) -> None:
    (tmp_path / "vkeys").write_text("\n".join(log.keys.vkeys))
    arguments = ["watch", str(log.folder / "ledger"), "--vkeys", str(tmp_path / "vkeys"), "--once"]
    arguments += ["--state", str(log.folder / "watch"), "--stall"]
    assert CliRunner().invoke(build(), [*arguments, "60"]).exit_code == 0
    late = CliRunner().invoke(build(), [*arguments, "0"])
    assert (late.exit_code, "LEDGER_STALLED" in late.output) == (1, True)


def test_a_database_restored_from_yesterday_refuses_to_start(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", publish_interval=0.05)

    def deposit(key: str) -> None:
        vault = open_vault(settings)
        try:
            holder = vault.personas.named("camille").actor
            new = NewDocument("camille", "Pièce", "demande.xml")
            vault.submissions.deposit(holder, new, iter((b"<a/>",)), Transfer(key))
        finally:
            vault.close()

    deposit("monday")
    names = [path.name for path in settings.data.iterdir() if path.name.startswith("probans.db")]
    assert names, sorted(path.name for path in settings.data.iterdir())
    for name in names:
        shutil.copy(settings.data / name, tmp_path / name)
    deposit("tuesday")
    for path in list(settings.data.glob("probans.db*")):
        path.unlink()
    for name in names:
        shutil.copy(tmp_path / name, settings.data / name)
    with pytest.raises(LedgerError) as refused:
        open_vault(settings)
    assert refused.value.code == "LEDGER_BEHIND"
