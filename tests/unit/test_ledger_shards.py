"""An audit in pieces, blind pieces or other processes finds exactly what one entry after another does."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.errors import VaultError
from vault.evidence.errors import LedgerUnavailable
from vault.evidence.ledger_source import FolderLedger
from vault.ledger import chain, joining, shards
from vault.ledger.chain import ChainVerifier
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.files import ComputedTiles, LogReader
from vault.ledger.findings import AuditReport
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.published import Work, audit_published
from vault.ledger.shards import Shard, Walked, compare_tile
from vault.ledger.tiles import Tile, changed_bundles, encode_bundle

ORIGIN = "safe.example/ledger/1"
KEYS = LedgerKeys.new(ORIGIN)
POLICY = Policy.from_vkeys("\n".join(KEYS.vkeys))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIME = "2026-11-22T12:00:00.000Z"
EARLIER = "2026-11-22T11:00:00.000Z"
MOST = 1_500


def bodies_of(size: int, broken: dict[int, str] | None = None, origin: str = ORIGIN) -> list[bytes]:
    """Entries that follow one another, but for those that are broken in a way that is signed."""
    body = {"origin": origin, "generation": 1, "keys": {}, "previous": ""}
    found = [encode(LogEntry(0, GENESIS_PREV, TIME, LogEvent.OPENED, body))]
    for seq in range(1, size):
        how, prev = (broken or {}).get(seq, ""), leaf_hash(found[-1])
        if how == "opened":
            found.append(encode(LogEntry(seq, prev, TIME, LogEvent.OPENED, body)))
        elif how == "rotated":
            found.append(encode(LogEntry(seq, prev, TIME, LogEvent.KEYS_CHANGED, {})))
        else:
            found.append(
                encode_record(
                    seq + (how == "number"),
                    bytes(32) if how == "before" else prev,
                    EARLIER if how == "time" else TIME,
                    bytes(32),
                    bytes([seq % 256]) * 32,
                )
            )
        if how == "form":
            found[-1] = found[-1].replace(b'"v":1', b'"v":2')
    return found


def published(bodies: list[bytes]) -> dict[str, bytes]:
    """The files of a log that signs these entries, whatever they are."""
    files: dict[str, bytes] = {}
    computed, size = ComputedTiles(), len(bodies)
    for body in bodies:
        files |= {Tile(level, index).path: row for level, index, row in computed.add(leaf_hash(body))}
    files |= {Tile(level, index, len(row) // 32).path: row for level, index, row in computed.partial()}
    for bundle in changed_bundles(0, size):
        start = bundle.index * 256
        files[bundle.path] = encode_bundle(bodies[start : start + bundle.width])
    files["checkpoint"] = KEYS.sign_checkpoint(size, computed.root(), NOW)
    return files


SOUND = published(bodies_of(MOST))


class Files(dict[str, bytes]):
    """Published files in memory."""

    def read(self, path: str, limit: int) -> bytes | None:
        return self.get(path)


def one_by_one(files: Files) -> AuditReport:
    """The audit as it is described: each entry after the one before, each tile as it is complete."""
    report, reader = AuditReport(), LogReader(files)
    verifier, computed = ChainVerifier(), ComputedTiles()
    try:
        for seq, body in reader.from_bundle(0, MOST):
            report.tiles += seq % 256 == 0
            _, leaf = verifier.add(body)
            for level, index, hashes in computed.add(leaf):
                report.tiles += 1
                report.problems += compare_tile(reader, Tile(level, index), hashes)
    except VaultError as error:
        index = verifier.size // 256
        with suppress(VaultError):
            width = min(256, MOST - index * 256)
            row = b"".join(map(leaf_hash, reader.entries(index, width)))
            found = compare_tile(reader, Tile(0, index, width), row)
            report.problems += [item for item in found if item.entry is not None]
        report.add_error(error, f"entry {verifier.size}", check="chain", entry=verifier.size)
    report.size, report.root = verifier.size, verifier.root()
    if verifier.size == MOST:
        for level, index, hashes in computed.partial():
            report.tiles += 1
            report.problems += compare_tile(reader, Tile(level, index, len(hashes) // 32), hashes)
        if report.root != Checkpoint.parse(files["checkpoint"]).root:
            report.add("ROOT_MISMATCH", "", "", "", check="tree")
    return report


def blind(pieces: list[Shard], processes: int) -> Iterator[Walked]:
    """What other processes do, here: no piece knows the one before."""
    for piece in pieces:
        yield shards.walk(piece)


def audited(files: Files, monkeypatch: pytest.MonkeyPatch, shard: int, processes: int) -> AuditReport:
    with monkeypatch.context() as patch:
        patch.setattr(joining, "SHARD", shard)
        patch.setattr(joining, "walk_in_processes", blind)
        return audit_published(files, POLICY, work=Work(processes))


def told(report: AuditReport) -> tuple[object, ...]:
    # Whether a change of keys is a good one is asked of the log as a whole, once its entries are joined.
    problems = [(item.code, item.entry, item.check) for item in report.problems if item.check != "keys"]
    return problems, report.size, report.root, report.tiles


def damages() -> st.SearchStrategy[Files]:
    """Published files with up to three things wrong, from an octet to what only a lying log can sign."""
    signed = st.dictionaries(
        st.one_of(st.integers(1, MOST - 1), st.sampled_from([255, 256, 257, 511, 512, 768, 1024])),
        st.sampled_from(["opened", "rotated", "number", "before", "time", "form"]),
        max_size=2,
    )

    @st.composite
    def build(draw: st.DrawFn) -> Files:
        broken = draw(signed)
        files = Files(published(bodies_of(MOST, broken)) if broken else SOUND)
        for _ in range(draw(st.integers(0, 2))):
            path = draw(st.sampled_from(sorted(path for path in files if path != "checkpoint")))
            if draw(st.booleans()):
                del files[path]
            else:
                content = bytearray(files[path])
                content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
                files[path] = bytes(content)
        return files

    return build()


@settings(max_examples=60)
@given(files=damages(), shard=st.sampled_from([256, 512, 768]))
def test_pieces_find_what_one_walk_finds(files: Files, shard: int) -> None:
    monkeypatch = pytest.MonkeyPatch()
    expected = one_by_one(files)
    for processes in (1, 2):
        assert told(audited(files, monkeypatch, shard, processes)) == told(expected)


def test_the_entry_whose_octets_were_changed_is_named_not_the_one_that_no_longer_follows_it() -> None:
    files = Files(SOUND)
    bodies = LogReader(files).entries(2, 256)
    bodies[2] = bodies[2][:15] + b"0" * 64 + bodies[2][79:]
    assert bodies[2] != LogReader(files).entries(2, 256)[2]
    files["tile/entries/002"] = encode_bundle(bodies)
    problems = audit_published(files, POLICY).problems
    assert [(item.code, item.entry) for item in problems] == [("TILE_MISMATCH", 514), ("CHAIN_BROKEN", 515)]
    assert problems[0].found == leaf_hash(LogReader(Files(SOUND)).entries(2, 256)[2]).hex()


def into(folder: Path, files: dict[str, bytes]) -> FolderLedger:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return FolderLedger(folder)


def test_other_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "SHARD", 256)
    steps: list[tuple[int, int]] = []
    sound = into(tmp_path / "sound", SOUND)
    report = audit_published(sound, POLICY, progress=lambda *step: steps.append(step), work=Work(2))
    assert (report.problems, report.size) == ([], MOST)
    assert told(report) == told(audit_published(sound, POLICY))
    assert steps[0] == (256, MOST)
    assert steps[-1] == (MOST, MOST)
    broken = into(tmp_path / "broken", published(bodies_of(MOST, {512: "time", 700: "form"})))
    report = audit_published(broken, POLICY, work=Work(2))
    assert [(item.code, item.entry) for item in report.problems] == [("CHAIN_BROKEN", 512)]
    assert told(report) == told(audit_published(broken, POLICY))


def test_another_log_s_entries_are_found_by_pieces_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece in the middle knows the origin from the checkpoint: it says nothing of what entry 0 names."""
    files = Files(published(bodies_of(MOST, origin="other.example/ledger/1")))
    for processes in (1, 2):
        report = audited(files, monkeypatch, 256, processes)
        assert [(item.code, item.entry) for item in report.problems] == [("ORIGIN_MISMATCH", 0)]


def test_a_size_that_nobody_could_hold_takes_no_memory() -> None:
    files = Files({**SOUND, "checkpoint": KEYS.sign_checkpoint(2**62, bytes(32), NOW)})
    tracemalloc.start()
    try:
        for processes in (1, 2):
            report = audit_published(files, POLICY, work=Work(processes))
            assert [item.code for item in report.problems] == ["OBJECT_MISSING"]
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("processes", [1, 2])
def test_more_entries_of_the_log_itself_than_any_log_has(
    monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    """Readers keep them all: a log that is made of nothing else would take a reader's memory."""
    monkeypatch.setattr(chain, "MAX_STATED", 300)
    monkeypatch.setattr(joining, "MAX_STATED", 300)
    files = Files(published(bodies_of(MOST, dict.fromkeys(range(1, MOST), "rotated"))))
    for shard in (256, 1024):
        report = audited(files, monkeypatch, shard, processes)
        assert [(item.code, item.entry) for item in report.problems] == [("CHAIN_BROKEN", 300)]


class Deadly(Files):
    """A source that kills every other process it is sent to."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (9,)


def test_a_process_that_dies_is_never_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "SHARD", 256)
    report = audit_published(Deadly(SOUND), POLICY, work=Work(2))
    assert [(item.code, item.entry) for item in report.problems] == [("AUDIT_INTERRUPTED", 0)]
    assert (report.verdict, report.size) == ("INDETERMINATE", 0)


def test_what_cannot_be_sent_is_read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    class Local(Files):
        def __reduce__(self) -> str:
            raise TypeError("not to be sent")

    monkeypatch.setattr(joining, "SHARD", 256)
    assert audit_published(Local(SOUND), POLICY, work=Work(2)).ok


def test_what_cannot_be_reached_in_the_middle_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flaky(Files):
        def __init__(self, failures: int) -> None:
            super().__init__(SOUND)
            self.failures = failures

        def read(self, path: str, limit: int) -> bytes | None:
            if path == "tile/entries/004" and self.failures:
                self.failures -= 1
                raise LedgerUnavailable("LEDGER_UNAVAILABLE", "HTTP 503")
            return super().read(path, limit)

    monkeypatch.setattr(joining, "SHARD", 256)
    monkeypatch.setattr(joining, "walk_in_processes", blind)
    for work in (Work(), Work(2)):
        assert audit_published(Flaky(1), POLICY, work=work).ok
        report = audit_published(Flaky(2), POLICY, work=work)
        assert (report.verdict, report.size) == ("INDETERMINATE", 1024)
