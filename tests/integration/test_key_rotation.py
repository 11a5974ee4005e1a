"""A change of ledger keys: who signs when, how verifiers follow, and what a forger or a thief of keys gets."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from storage.filesystem_log import FilesystemLogStore
from tests.services.database import Copy
from tests.services.postgresql import address
from vault.bootstrap import open_vault
from vault.cli.main import build
from vault.core import faults
from vault.db.engine import Database
from vault.errors import Conflict, LedgerError, SettingsRefused
from vault.evidence.ledger_source import FolderLedger
from vault.ledger import tree
from vault.ledger.audit import AuditReport, StoreFiles, audit_database
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.entry import LogEntry, decode
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.files import LogReader
from vault.ledger.genesis import open_ledger
from vault.ledger.handover import follow, handover_path, verify_handover
from vault.ledger.key_folder import NEXT, LedgerKeyFolder
from vault.ledger.keys import ED25519_FILE, ML_DSA_FILE, LedgerKeys, sign_with_all
from vault.ledger.note import Note
from vault.ledger.policy import Policy
from vault.ledger.published import Known, audit_published
from vault.ledger.publisher import Publisher, Receipts
from vault.ledger.receipt import verify_receipt
from vault.ledger.stated import append_change, log_policy, read_succession
from vault.ledger.stored import StoredTiles, entries, entry_body
from vault.ledger.succession import Succession, change_body, check_signers, read_statement
from vault.ledger.watch import Alarm, Watcher
from vault.ledger.writer import LedgerTransaction, LedgerWriter
from vault.sealing.ledger_rotation import KeyRotation, Rotated
from vault.settings import Settings

ORIGIN = "safe.example/ledger/1"
DAY = timedelta(days=1)
SEALS = [{"purpose": "act-seal", "sha256": "00" * 32}]
pytestmark = pytest.mark.usefixtures("each_database")


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class Safe:
    """A ledger whose keys change; every step of its processes is called by hand."""

    def __init__(self, folder: Path, keys: Path | None = None, clock: Clock | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.path, self.clock = folder, clock or Clock()
        self.database = Database.open(address(folder), folder / "locks")
        self.database.migrate()
        self.keys = LedgerKeyFolder.open(keys or folder / "keys", ORIGIN, create=True)
        self.store = FilesystemLogStore(folder / "ledger")
        open_ledger(self.database, self.clock, self.keys.first(), SEALS)
        self.writer = LedgerWriter(self.database, lambda _name, _records: None, self.clock)
        self.writer.start()
        self.publisher = Publisher(self.database, self.store, self.keys, self.clock)
        self.rotation = KeyRotation(self.database, self.keys, self.writer, self.publisher, self.clock)
        self.old = self.policy()

    def policy(self) -> Policy:
        with self.database.reading() as connection:
            return log_policy(connection, ())

    def grow(self, count: int = 1) -> int:
        self.writer.run(lambda tx: [tx.append(bytes(32), bytes(32)) for _ in range(count)])
        return self.publisher.publish()

    def rotate(self, overlap: timedelta = 30 * DAY) -> Rotated:
        return self.rotation.rotate(overlap)

    def note(self) -> bytes:
        return self.store.get("checkpoint")

    def signers(self) -> set[bytes]:
        return {line.key_id for line in Note.parse(self.note()).signatures}

    def reader(self) -> LogReader:
        return LogReader(StoreFiles(self.store))

    def body(self, seq: int) -> bytes:
        with self.database.reading() as connection:
            body = entry_body(connection, seq)
        assert body is not None
        return body

    def receipt(self, seq: int) -> bytes:
        found = Receipts(self.database, self.publisher).receipt(seq)
        assert found is not None
        return found

    def root(self, size: int) -> bytes:
        with self.database.reading() as connection:
            return tree.root(StoredTiles(connection, {}), size)

    def sign(self, size: int, *pairs: LedgerKeys) -> bytes:
        return sign_with_all(pairs, size, self.root(size), self.clock.now())

    def put(self, note: bytes) -> None:
        self.store.compare_and_swap("checkpoint", self.note(), note, "")

    def close(self) -> None:
        self.writer.close()
        self.database.close()


def ids(policy: Policy) -> set[bytes]:
    return {key.id for key in policy.logs}


@pytest.fixture
def safe(tmp_path: Path) -> Iterator[Safe]:
    safe = Safe(tmp_path / "safe")
    yield safe
    faults.install(None)
    safe.close()


def refused(call: object, *arguments: object) -> tuple[str, bool]:
    with pytest.raises(LedgerProofRefused) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code, caught.value.indeterminate


def test_both_pairs_sign_for_a_time_then_the_new_alone(safe: Safe) -> None:
    safe.grow(3)
    assert safe.signers() == ids(safe.old)
    before = safe.receipt(2)
    changed = safe.rotate()
    assert (changed.seq, changed.until, changed.resumed) == (4, "2026-12-22T12:00:00.000Z", False)
    new = Policy(logs=safe.policy().logs[:2])
    assert [key.vkey for key in new.logs] == list(changed.vkeys)
    assert safe.signers() == ids(safe.old) | ids(new)
    safe.clock.time += 30 * DAY
    assert safe.grow() == 6, "the last moment belongs to the overlap"
    assert safe.signers() == ids(safe.old) | ids(new)
    during = safe.receipt(2)
    safe.clock.time += timedelta(milliseconds=1)
    safe.grow()
    assert safe.signers() == ids(new)
    after = safe.receipt(2)
    both = safe.policy()
    assert both.logs == (*new.logs, *safe.old.logs)
    assert both.last_sizes == {key.vkey: 6 for key in safe.old.logs}
    written = Policy.from_vkeys(both.vkeys_text())
    assert Policy.parse(both.text()) == written == both
    # The old receipt holds for ever, with the old keys and with the file of all keys; so do upgraded ones.
    for receipt, accepted in ((before, "old both"), (during, "old new both"), (after, "new both")):
        for name, policy in (("old", safe.old), ("new", new), ("both", written)):
            if name in accepted.split():
                assert verify_receipt(receipt, safe.body(2), policy).index == 2
            else:
                assert refused(verify_receipt, receipt, safe.body(2), policy) == (
                    "LOG_SIGNATURE_MISSING",
                    True,
                )
    assert audit_database(safe.database, both).ok
    restarted = Publisher(safe.database, safe.store, safe.keys, safe.clock)
    assert restarted.publish() == 7


def test_a_log_that_does_not_grow_keeps_both_lines(safe: Safe) -> None:
    safe.grow()
    safe.rotate(timedelta(0))
    assert len(safe.signers()) == 4, "the handover is signed by both, however short the overlap"
    safe.clock.time += 400 * DAY
    safe.publisher.publish()
    assert len(safe.signers()) == 4
    assert safe.policy().last_sizes == {}
    safe.grow()
    assert len(safe.signers()) == 2
    assert set(safe.policy().last_sizes.values()) == {3}


def test_whoever_trusts_the_old_keys_is_led_to_the_new(safe: Safe) -> None:
    safe.grow(300)
    safe.rotate(DAY)
    safe.clock.time += 2 * DAY
    safe.grow(300)
    safe.rotate(DAY)
    safe.clock.time += 2 * DAY
    size = safe.grow(5)
    found = follow(safe.reader(), safe.note(), safe.old)
    assert [change.statement.seq for change in found.changes] == [301, 602]
    assert found.checkpoint.size == size == 608
    assert found.policy.logs == safe.policy().logs[:2]
    # By one algorithm's key alone, too.
    for key in safe.old.logs:
        assert follow(safe.reader(), safe.note(), Policy(logs=(key,))).checkpoint.size == size
    # From a bundle of entries, over a copied folder.
    copied = LogReader(FolderLedger(safe.path / "ledger"))
    assert follow(copied, copied.checkpoint(), safe.old) == found
    # An outsider's keys lead nowhere.
    stranger = Policy(logs=LedgerKeys.new(ORIGIN).held())
    assert refused(follow, safe.reader(), safe.note(), stranger) == ("LOG_SIGNATURE_MISSING", True)


def test_entries_and_another_change_that_wait_are_published_step_by_step(safe: Safe) -> None:
    """A process may find two changes and more at once: each handover is there before what follows."""
    safe.grow()
    second, third = (LedgerKeys.open(safe.path / "keys" / name, ORIGIN) for name in "ab")
    for pair in (second, third):
        until = safe.clock.now() + DAY
        safe.writer.run(lambda tx, pair=pair, until=until: append_change(tx, pair.held(), SEALS, until))  # type: ignore[misc]
        safe.writer.run(lambda tx: tx.append(bytes(32), bytes(32)))
    safe.clock.time += 9 * DAY
    safe.writer.run(lambda tx: tx.append(bytes(32), bytes(32)))
    order: list[str] = []
    faults.install(order.append)
    assert safe.publisher.publish() == 7
    assert order.count("publish.before-handover") == 2
    assert order[-1] == "publish.after-checkpoint"
    assert safe.signers() == {key.id for key in third.held()}
    assert len(follow(safe.reader(), safe.note(), safe.old).changes) == 2


def test_watch_tells_of_the_change_and_goes_on(safe: Safe, tmp_path: Path) -> None:
    safe.grow(3)
    watcher = Watcher(StoreFiles(safe.store), safe.old, tmp_path / "state")
    assert watcher.look(1).key_changes == ()
    watcher.keep()
    safe.rotate(DAY)
    assert [change.seq for change in watcher.look(2).key_changes] == [4]
    watcher.keep()
    safe.clock.time += 2 * DAY
    safe.grow()
    # Another process takes the watch up, still with the old keys alone.
    for size in (6, 7):
        watcher = Watcher(StoreFiles(safe.store), safe.old, tmp_path / "state")
        news = watcher.look(3)
        assert (news.checkpoint.size, news.key_changes) == (size, ())
        watcher.keep()
        safe.grow()
    # One that begins now learns of it too.
    late = Watcher(StoreFiles(safe.store), safe.old, tmp_path / "late")
    assert [change.seq for change in late.look(4).key_changes] == [4]


# --- attacks


def handed_over(safe: Safe) -> tuple[Policy, bytes]:
    safe.grow(3)
    safe.rotate(DAY)
    safe.clock.time += 2 * DAY
    safe.grow()
    return Policy(logs=safe.policy().logs[:2]), safe.store.get(handover_path(safe.old.logs[0]))


def test_a_change_that_the_old_keys_did_not_announce(safe: Safe, tmp_path: Path) -> None:
    """A forger has the whole published log but no key: his change of keys leads nobody to him."""
    handed_over(safe)
    thief = Safe(tmp_path / "thief", clock=safe.clock)
    with thief.database.reading() as connection:
        assert read_succession(connection).statements[0].keys != safe.old.logs
    thief.grow(3)
    thief.rotate(DAY)
    thief.clock.time += 2 * DAY
    thief.grow()
    forged = thief.store.get(handover_path(thief.old.logs[0]))
    for key in safe.old.logs:
        (thief.path / "ledger" / handover_path(key)).write_bytes(forged)
    assert refused(follow, thief.reader(), thief.note(), safe.old) == ("LOG_SIGNATURE_MISSING", True)
    assert refused(verify_handover, forged, safe.old) == ("LOG_SIGNATURE_MISSING", True)
    thief.close()


def test_any_change_of_a_handover_is_refused(safe: Safe) -> None:
    _, handover = handed_over(safe)
    assert verify_handover(handover, safe.old).statement.seq == 4
    lines = handover.split(b"\n")
    for at, line in enumerate(lines[:-1]):
        # The new keys' own two lines: whoever trusts the old ones does not need them.
        if not line or at in {9, 10}:
            continue
        for place in (0, len(line) // 2, len(line) - 1):
            changed = bytearray(line)
            changed[place] ^= 0x01
            forged = b"\n".join([*lines[:at], bytes(changed), *lines[at + 1 :]])
            with pytest.raises(LedgerProofRefused):
                verify_handover(forged, safe.old)
    plain = safe.receipt(2)
    assert refused(verify_handover, plain, safe.policy()) == ("FORMAT_FAILURE", False)


def test_stolen_old_keys_announce_others_in_a_fork(safe: Safe, tmp_path: Path) -> None:
    """With the old keys a thief writes another history that hands over to him: memory finds it."""
    safe.grow(3)
    watcher = Watcher(StoreFiles(safe.store), safe.old, tmp_path / "state")
    safe.rotate(DAY)
    watcher.look(1)
    watcher.keep()
    other = safe.path.parent / "fork"
    stolen = other / "keys"
    stolen.mkdir(parents=True)
    for name in (ED25519_FILE, ML_DSA_FILE):
        (stolen / name).write_bytes((safe.path / "keys" / name).read_bytes())
        (stolen / name).chmod(0o600)
    fork = Safe(other, stolen, Clock())
    fork.grow(4)
    fork.rotate(DAY)
    fork.clock.time += 2 * DAY
    fork.grow(2)
    # Alone it is a sound log: who has no memory cannot tell.
    assert follow(fork.reader(), fork.note(), safe.old).changes
    watcher = Watcher(StoreFiles(fork.store), safe.old, tmp_path / "state")
    with pytest.raises(Alarm) as caught:
        watcher.look(2)
    assert caught.value.code == "LEDGER_FORKED"
    assert len(caught.value.notes) == 2
    # Nor does the true log's handover fit the fork.
    true = safe.store.get(handover_path(safe.old.logs[0]))
    for key in safe.old.logs:
        path = fork.path / "ledger" / handover_path(key)
        path.chmod(0o600)
        path.write_bytes(true)
    fork.put(fork.sign(5, safe.keys.find(safe.policy().logs[:2])))
    assert refused(follow, fork.reader(), fork.note(), safe.old) == ("LOG_INCONSISTENT", False)
    fork.close()


def test_an_old_key_after_its_time(safe: Safe, tmp_path: Path) -> None:
    new, _ = handed_over(safe)
    retired = safe.keys.find(safe.old.logs)
    late = safe.sign(6, retired)
    # Whoever knows how far it signed refuses at once.
    assert refused(verify_checkpoint, late, safe.policy()) == ("LOG_KEY_RETIRED", False)
    assert refused(verify_checkpoint, late, new) == ("LOG_SIGNATURE_MISSING", True)
    # Whoever knows the old keys alone finds it in the entries.
    safe.put(late)
    with pytest.raises(Alarm) as caught:
        Watcher(StoreFiles(safe.store), safe.old, tmp_path / "state").look(1)
    assert caught.value.code == "LOG_KEY_RETIRED"
    # The service itself does not go on from such a checkpoint.
    with pytest.raises(LedgerError) as stopped:
        Publisher(safe.database, safe.store, safe.keys, safe.clock).publish()
    assert stopped.value.code == "LOG_SIGNATURE_MISSING"


def test_a_new_key_without_an_entry(safe: Safe, tmp_path: Path) -> None:
    safe.grow(3)
    unstated = LedgerKeys.new(ORIGIN)
    safe.put(safe.sign(4, unstated))
    assert refused(follow, safe.reader(), safe.note(), safe.old) == ("LOG_SIGNATURE_MISSING", True)
    # Even for somebody to whom the operator gave it.
    with pytest.raises(Alarm) as caught:
        Watcher(StoreFiles(safe.store), Policy(logs=unstated.held()), tmp_path / "state").look(1)
    assert caught.value.code == "LOG_KEY_UNSTATED"


def test_one_algorithm_alone(safe: Safe, tmp_path: Path) -> None:
    new, handover = handed_over(safe)
    note = Note.parse(safe.note())
    for line in note.signatures:
        half = replace(note, signatures=(line,)).encode()
        assert refused(verify_checkpoint, half, new) == ("LOG_SIGNATURE_MISSING", True)
        assert refused(verify_checkpoint, half, safe.policy()) == ("LOG_SIGNATURE_MISSING", True)
    broken = replace(note.signatures[0], signature=bytes(len(note.signatures[0].signature)))
    bad = replace(note, signatures=(broken, note.signatures[1])).encode()
    assert refused(verify_checkpoint, bad, safe.policy()) == ("LOG_SIGNATURE_INVALID", False)
    # A handover that only one of the old keys signed.
    head, _, checkpoint = handover.partition(b"\n\n")
    signed = Note.parse(checkpoint)
    halved = replace(
        signed, signatures=tuple(line for line in signed.signatures if line.key_id != safe.old.logs[1].id)
    )
    assert refused(verify_handover, head + b"\n\n" + halved.encode(), safe.old) == (
        "LOG_SIGNATURE_MISSING",
        True,
    )
    # During the overlap the entries name both pairs: a checkpoint without one of them is not whole.
    with safe.database.reading() as connection:
        succession = read_succession(connection)
    both = safe.sign(5, *(safe.keys.find(keys) for keys in (new.logs, safe.old.logs)))
    check_signers(both, succession, "2026-11-22T12:00:00.000Z", safe.old)
    alone = safe.sign(5, safe.keys.find(safe.old.logs))
    assert refused(check_signers, alone, succession, "2026-11-22T12:00:00.000Z", safe.old) == (
        "LOG_SIGNATURE_MISSING",
        True,
    )


def test_statements_that_are_refused(safe: Safe) -> None:
    safe.grow()
    new, until = LedgerKeys.new(ORIGIN), safe.clock.now()
    good = change_body(safe.old.logs, new.held(), SEALS, until)
    entry = LogEntry(1, bytes(32), "2026-11-22T12:00:00.000Z", decode(safe.body(0)).event, good)  # type: ignore[union-attr]
    opened = decode(safe.body(0))
    assert isinstance(opened, LogEntry)

    def taken(body: dict[str, object]) -> None:
        succession = Succession([read_statement(opened)])
        succession.add(replace(entry, event="log.keys-changed", body=body))  # type: ignore[arg-type]

    taken(good)
    other = LedgerKeys.new("other.example/ledger/1")
    swapped = {"ed25519": new.ml_dsa_44.vkey, "ml-dsa-44": new.ed25519.vkey}
    for changed in (
        {"keys": None},
        {"keys": swapped},
        {"keys": {"ed25519": new.ed25519.vkey}},
        {"keys": change_body(safe.old.logs, other.held(), SEALS, until)["keys"]},
        {"keys": {"ed25519": new.ed25519.vkey, "ml-dsa-44": other.ml_dsa_44.vkey}},
        {"keys": opened.body["keys"]},
        {"replaces": change_body(new.held(), new.held(), SEALS, until)["replaces"]},
        {"replaces": 7},
        {"until": ""},
        {"until": "2026-11-22"},
        {"until": "2026-11-22T12:00:00Z"},
        {"until": 7},
    ):
        assert refused(taken, {**good, **changed}) == ("KEYS_CHANGE_INVALID", False)


def test_policies_that_say_how_far_a_key_signed(safe: Safe) -> None:
    vkey = safe.old.logs[0].vkey
    assert Policy.from_vkeys(f"{vkey}\n# a comment\n#last-size {vkey} 9\n").last_sizes == {vkey: 9}
    for line in (
        f"#last-size {vkey} 09",
        f"#last-size {vkey} -1",
        f"#last-size {vkey} 9\n#last-size {vkey} 9",
    ):
        assert refused(Policy.from_vkeys, f"{vkey}\n{line}\n")[0] == "POLICY_INVALID"
    assert refused(Policy.from_vkeys, f"#last-size {vkey} 9\n{vkey}\n")[0] == "POLICY_INVALID"


# --- audits


def published(safe: Safe, policy: Policy, since: Known | None = None) -> AuditReport:
    return audit_published(StoreFiles(safe.store), policy, since=since)


def found(report: AuditReport) -> list[tuple[str, bool]]:
    return [(item.code, item.indeterminate) for item in report.problems]


def test_audit_with_the_old_keys_alone(safe: Safe) -> None:
    safe.grow(300)
    early = published(safe, safe.old)
    assert (early.problems, early.keys_changed) == ([], ())
    known = Known(verify_checkpoint(safe.note(), safe.old))
    safe.rotate(DAY)
    for _ in range(3):
        for policy in (safe.old, safe.policy()):
            report = published(safe, policy)
            assert (report.problems, report.keys_changed) == ([], (301,))
            later = published(safe, policy, known)
            assert (later.problems, later.start, later.keys_changed) == ([], 256, (301,))
        safe.clock.time += DAY
        safe.grow()


def test_audit_finds_keys_that_were_not_to_sign(safe: Safe) -> None:
    new, _ = handed_over(safe)
    good = safe.note()
    retired, current = safe.keys.find(safe.old.logs), safe.keys.find(new.logs)
    for pairs, policy, code in (
        ((retired,), safe.old, "LOG_KEY_RETIRED"),
        ((retired, current), new, "LOG_KEY_RETIRED"),
        ((retired,), safe.policy(), "LOG_KEY_RETIRED"),
    ):
        safe.put(safe.sign(6, *pairs))
        assert found(published(safe, policy)) == [(code, False)]
    # In the middle of the overlap, one pair alone.
    (safe.path / "ledger/checkpoint").chmod(0o600)
    safe.put(good)
    assert published(safe, safe.old).ok
    unstated = LedgerKeys.new(ORIGIN)
    safe.put(safe.sign(6, unstated))
    assert found(published(safe, safe.old)) == [("LOG_SIGNATURE_MISSING", True)]
    assert found(published(safe, Policy(logs=unstated.held()))) == [("LOG_KEY_UNSTATED", False)]


def test_audit_of_an_overlap_that_only_the_old_keys_signed(safe: Safe) -> None:
    safe.grow(3)
    safe.rotate(DAY)
    safe.put(safe.sign(5, safe.keys.find(safe.old.logs)))
    assert found(published(safe, safe.old)) == [("LOG_SIGNATURE_MISSING", True)]


def test_command_lines(tmp_path: Path) -> None:
    """The whole story as an operator and an auditor live it."""
    data = tmp_path / "data"
    vault = open_vault(Settings(data=data), background=False)
    (tmp_path / "old.vkeys").write_text(vault.trust.vkeys_text)
    vault.close()
    runner = CliRunner()

    def run(*arguments: str) -> str:
        done = runner.invoke(build(), list(arguments))
        assert done.exit_code == 0, done.output
        return done.output

    trusted = ("--vkeys", str(tmp_path / "old.vkeys"))
    saved = str(tmp_path / "seen")
    watching = ("watch", str(data / "ledger"), *trusted, "--state", str(tmp_path / "state"), "--once")
    run("audit", str(data / "ledger"), *trusted, "--save", saved)
    run(*watching)
    assert "entry 1;" in run("keys", "rotate-ledger", "--data", str(data), "--overlap", "0")
    assert "KEYS CHANGED at entry 1" in run(*watching)
    assert "entry 2;" in run("keys", "rotate-ledger", "--data", str(data), "--overlap", "0")
    for _ in range(2):
        told = run("audit", str(data / "ledger"), *trusted, "--save", saved, "--since", saved)
        assert "keys changed at entry 2" in told
    assert '"keys_changed":[1,2]' in run("audit", str(data / "ledger"), *trusted, "--json")
    assert "KEYS CHANGED at entry 2" in run(*watching)
    assert "1 paires" in run("keys", "discard-retired", "--data", str(data))
    assert "everything holds" in run("audit", str(data))


# --- crashes and several processes


POINTS = ("keys.made", "keys.stated", "publish.before-handover", "publish.after-handover", "keys.published")
CHILD = """
import os, signal, sys
from pathlib import Path
from vault.core import faults
from vault.bootstrap import open_vault
from vault.settings import Settings
from datetime import timedelta

vault = open_vault(Settings(data=Path(sys.argv[1])), background=False)
faults.install(lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == sys.argv[2] else None)
vault.rotation.rotate(timedelta(days=1))
vault.close()
"""


@pytest.mark.parametrize("point", POINTS)
def test_a_change_killed_at_any_step_is_finished(tmp_path: Path, point: str) -> None:
    settings = Settings(data=tmp_path / "data")
    vault = open_vault(settings, background=False)
    old = vault.parts.trusted
    vault.close()
    # Publication has its own thread in a service: the one that is killed may be either.
    child = subprocess.run([sys.executable, "-c", CHILD, str(settings.data), point], check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    vault = open_vault(settings, background=False)
    try:
        changed = vault.rotation.rotate(timedelta(days=1))
        assert changed.resumed is (point != "keys.made")
        assert changed.seq == 1, "one change, not two"
        assert not (settings.data / "keys/ledger" / NEXT).exists()
        assert len(list((settings.data / "keys/ledger").glob(f"*/{ED25519_FILE}"))) == 1
        note = vault.log_file("checkpoint")
        assert verify_checkpoint(note, old).size == 2
        assert verify_checkpoint(note, vault.parts.trusted).size == 2
        assert verify_handover(vault.log_file(handover_path(old.logs[0])), old).statement.seq == 1
        assert [key.vkey for key in vault.parts.trusted.logs[:2]] == list(changed.vkeys)
    finally:
        vault.close()


def test_another_process_that_runs_signs_with_the_new_keys(safe: Safe) -> None:
    """It learns of them from the entries it publishes, in the transaction that reads the head."""
    safe.grow()
    folder = LedgerKeyFolder.open(safe.path / "keys", ORIGIN, create=False)
    other = Publisher(safe.database, safe.store, folder, safe.clock)
    other.publish()
    changed = safe.rotate(DAY)
    safe.writer.run(lambda tx: tx.append(bytes(32), bytes(32)))
    assert other.publish() == 4
    assert safe.signers() == ids(safe.policy())
    safe.clock.time += 2 * DAY
    safe.writer.run(lambda tx: tx.append(bytes(32), bytes(32)))
    assert other.publish() == 5
    assert {key.vkey for key in safe.policy().logs if key.id in safe.signers()} == set(changed.vkeys)


def test_a_change_that_is_made_twice_stands_once(safe: Safe) -> None:
    """A try that was given up and ends after all, then the next one: a second entry would stop every reader."""
    pair = safe.keys.make_next()
    until = safe.clock.now() + DAY

    def change(tx: LedgerTransaction) -> None:
        append_change(tx, pair.held(), SEALS, until)

    safe.writer.run(change)
    assert refused(safe.writer.run, change) == ("KEYS_CHANGE_INVALID", False)
    assert safe.rotate().resumed is True
    assert safe.grow() == 3


def test_a_second_try_beside_the_first_states_nothing(safe: Safe) -> None:
    pair = safe.keys.make_next()
    for _ in range(2):
        safe.rotation._append(pair, DAY)
    rotated = safe.rotate()
    assert (rotated.resumed, rotated.seq) == (True, 1)
    assert safe.grow() == 3


def test_one_change_at_a_time(safe: Safe) -> None:
    with safe.database.leading("keys"), pytest.raises(Conflict) as caught:
        safe.rotate()
    assert caught.value.code == "KEYS_CHANGING"


def test_no_third_pair_joins_two_that_overlap(safe: Safe) -> None:
    safe.grow()
    until = safe.rotate(DAY).until
    with pytest.raises(Conflict) as caught:
        safe.rotate(DAY)
    assert (caught.value.code, caught.value.params) == ("KEYS_OVERLAPPING", {"until": until})
    safe.clock.time += 2 * DAY
    assert safe.rotate(DAY).resumed is False
    assert len(safe.signers()) == 4


def test_a_change_without_overlap_ends_those_before(safe: Safe) -> None:
    """Keys that may be stolen: whoever holds the first pair is not believed for another month either."""
    safe.grow()
    safe.rotate(30 * DAY)
    second = safe.policy()
    safe.clock.time += DAY
    safe.grow()
    safe.clock.time += DAY
    changed = safe.rotate(timedelta(0))
    safe.clock.time += DAY
    size = safe.grow(2)
    third = safe.policy()
    assert safe.signers() == {key.id for key in third.logs[:2]}
    assert {vkey: third.last_sizes[vkey] for vkey in changed.vkeys if vkey in third.last_sizes} == {}
    assert all(third.last_sizes[key.vkey] == changed.seq + 1 for key in second.logs)
    # What the first pair signs in its announced month is refused.
    note = safe.sign(size, safe.keys.find(third.logs[:2]), safe.keys.find(safe.old.logs))
    with safe.database.reading() as connection:
        stated, last = read_succession(connection), safe.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert refused(check_signers, note, stated, last, replace(third, last_sizes={})) == (
        "LOG_KEY_RETIRED",
        False,
    )
    assert follow(safe.reader(), safe.note(), safe.old).checkpoint.size == size
    assert audit_database(safe.database, third).ok


def test_a_database_set_back_before_the_change_is_behind(safe: Safe) -> None:
    safe.grow()
    backup = Copy(address(safe.path), safe.path)
    safe.rotate(timedelta(0))
    safe.clock.time += DAY
    safe.grow()
    safe.close()
    backup.put_back()
    older = Safe(safe.path, clock=safe.clock)
    with pytest.raises(LedgerError) as caught:
        older.publisher.publish()
    assert caught.value.code == "LEDGER_BEHIND"
    older.close()


def test_retired_keys_are_discarded_and_only_they(safe: Safe) -> None:
    safe.grow()
    assert safe.rotation.discard_retired() == []
    safe.rotate(DAY)
    assert safe.rotation.discard_retired() == [], "both sign"
    safe.clock.time += 2 * DAY
    assert safe.rotation.discard_retired() == [], "the last checkpoint still bears both"
    safe.grow()
    assert safe.rotation.discard_retired() == [key.vkey for key in safe.old.logs]
    assert not (safe.path / "keys" / ED25519_FILE).exists()
    assert not (safe.path / "keys" / ML_DSA_FILE).exists()
    assert safe.rotation.discard_retired() == []
    again = LedgerKeyFolder.open(safe.path / "keys", ORIGIN, create=False)
    assert Publisher(safe.database, safe.store, again, safe.clock).publish() == 4
    assert safe.grow() == 5
    # A later pair goes with its folder, and what a crash left of one goes with the next call.
    safe.rotate(timedelta(0))
    safe.clock.time += DAY
    safe.grow()
    left = safe.path / "keys" / "0123456789abcdef"
    left.mkdir()
    (left / ML_DSA_FILE).write_bytes(b"half")
    assert len(safe.rotation.discard_retired()) == 2
    assert len([path for path in (safe.path / "keys").iterdir() if path.is_dir()]) == 1
    assert safe.grow() == 8
    for path in (safe.path / "keys").glob(f"*/{ED25519_FILE}"):
        path.unlink()
    with pytest.raises(SettingsRefused) as caught:
        LedgerKeyFolder.open(safe.path / "keys", ORIGIN, create=False)
    assert caught.value.code == "LEDGER_KEYS_MISSING"


def test_names_of_handovers_are_digests(safe: Safe) -> None:
    key = safe.old.logs[0]
    assert handover_path(key) == f"handover/{hashlib.sha256(key.vkey.encode()).hexdigest()}"
    safe.grow(300)
    safe.rotate()
    checkpoint = Checkpoint.parse(safe.note())
    with safe.database.reading() as connection:
        assert sum(1 for _ in entries(connection, 0, checkpoint.size)) == 302
