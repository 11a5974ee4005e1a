"""Audits of published files at every awkward size: since a checkpoint, by sample, unreachable, damaged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.errors import VaultError
from vault.evidence.errors import LedgerUnavailable
from vault.ledger.checkpoint import verify_checkpoint
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.files import ComputedTiles, LogReader, first_difference
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.published import Known, audit_published
from vault.ledger.sampled import audit_sample, undetected_share
from vault.ledger.tiles import Tile, changed_bundles, encode_bundle
from vault.ledger.tree import TreeHasher
from vault.ledger.watch import Alarm, Watcher

ORIGIN = "safe.example/ledger/1"
KEYS = LedgerKeys.new(ORIGIN)
POLICY = Policy.from_vkeys("\n".join(KEYS.vkeys))
MOST = 1_300
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIME = "2026-11-22T12:00:00.000Z"


def _bodies() -> list[bytes]:
    body = {"origin": ORIGIN, "generation": 1, "keys": {}, "previous": ""}
    found = [encode(LogEntry(0, GENESIS_PREV, TIME, LogEvent.OPENED, body))]
    for seq in range(1, MOST):
        found.append(encode_record(seq, leaf_hash(found[-1]), TIME, bytes(32), bytes([seq % 256]) * 32))
    return found


BODIES = _bodies()
LEAVES = [leaf_hash(body) for body in BODIES]


class Files(dict[str, bytes]):
    """Published files in memory, as a log of some size leaves them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        computed, hasher = ComputedTiles(), TreeHasher()
        for leaf in LEAVES[:size]:
            hasher.add(leaf)
            for level, index, hashes in computed.add(leaf):
                self[Tile(level, index).path] = hashes
        for level, index, hashes in computed.partial():
            self[Tile(level, index, len(hashes) // 32).path] = hashes
        for bundle in changed_bundles(0, size):
            self[bundle.path] = encode_bundle(
                BODIES[bundle.index * 256 :][: min(256, size - bundle.index * 256)]
            )
        self["checkpoint"] = KEYS.sign_checkpoint(size, hasher.root(), NOW)
        self.asked: list[str] = []

    def read(self, path: str, limit: int) -> bytes | None:
        self.asked.append(path)
        return self.get(path)


def known(size: int) -> Known:
    files = Files(size)
    return Known(verify_checkpoint(files["checkpoint"], POLICY), LogReader(files))


SIZES = st.one_of(
    st.integers(1, MOST), st.sampled_from([1, 2, 255, 256, 257, 511, 512, 513, 768, 1024, 1280])
)


@settings(max_examples=60)
@given(SIZES, SIZES)
def test_what_is_new_is_enough(one: int, other: int) -> None:
    old, new = min(one, other), max(one, other)
    files = Files(new)
    report = audit_published(files, POLICY, since=known(old))
    assert report.problems == []
    assert (report.size, report.start) == (new, (old - 1) // 256 * 256)
    assert report.root == audit_published(files, POLICY).root
    assert first_difference(known(old).copy or LogReader(files), old, LogReader(files), new) is None


def test_entries_before_are_not_read_again() -> None:
    files = Files(1_300)
    audit_published(files, POLICY, since=known(1_024))
    assert {path for path in files.asked if "entries" in path} == {
        *("tile/entries/003", "tile/entries/004", "tile/entries/005.p/20"),
    }


@settings(max_examples=40)
@given(st.integers(2, MOST), st.data())
def test_one_changed_octet_anywhere_is_found(size: int, data: st.DataObject) -> None:
    files = Files(size)
    path = data.draw(st.sampled_from(sorted(path for path in files if path != "checkpoint")))
    content = bytearray(files[path])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    files[path] = bytes(content)
    assert audit_published(files, POLICY).verdict == "FAILED"


def test_a_sample_says_what_it_is_worth() -> None:
    files = Files(1_300)
    report = audit_sample(files, POLICY, 59, seed=7)
    assert (report.verdict, report.checked, report.size) == ("PASSED", 59, 1_300)
    assert report.undetected_share == undetected_share(59) == pytest.approx(0.0495, abs=1e-4)
    assert undetected_share(0) == 1.0
    whole = audit_sample(files, POLICY, 5_000)
    assert (whole.checked, whole.undetected_share) == (1_300, None)


def test_a_sample_finds_what_it_meets() -> None:
    files = Files(600)
    path = "tile/entries/001"
    content = bytearray(files[path])
    content[-1:] = b"]"
    files[path] = bytes(content)
    report = audit_sample(files, POLICY, 600)
    assert {(item.code, item.entry) for item in report.problems} == {
        ("ENTRY_INVALID", 511),
        ("CHAIN_BROKEN", 512),
    }


def test_another_log_is_not_the_one_known() -> None:
    other = LedgerKeys.new("other.example/log")
    files = Files(10)
    files["checkpoint"] = other.sign_checkpoint(10, bytes(32), NOW)
    both = Policy.from_vkeys("\n".join([*KEYS.vkeys, *other.vkeys]))
    report = audit_published(files, both, since=known(10))
    assert [item.code for item in report.problems] == ["LOG_MISMATCH"]
    assert audit_published(files, POLICY).verdict == "INDETERMINATE"


@pytest.mark.parametrize("audit", [audit_published, lambda files, policy: audit_sample(files, policy, 5)])
def test_what_cannot_be_reached_is_not_a_lie(audit) -> None:
    class Gone(Files):
        def read(self, path: str, limit: int) -> bytes | None:
            if path == "checkpoint":
                return super().read(path, limit)
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", f"{path}: HTTP 503")

    report = audit(Gone(300), POLICY)
    assert report.verdict == "INDETERMINATE"
    assert {item.code for item in report.problems} == {"LEDGER_UNAVAILABLE"}


def test_a_watcher_tells_a_damaged_copy_from_a_lie(tmp_path) -> None:
    first = Watcher(Files(700), POLICY, tmp_path / "state")
    assert first.look(0.0).grown == 700
    first.keep()
    for path in ("tile/1/000.p/5", "tile/0/002", "tile/entries/004"):
        files = Files(1_300)
        files[path] = files[path][:1] + b"?" + files[path][2:]
        with pytest.raises(VaultError) as damaged:
            Watcher(files, POLICY, tmp_path / "state").look(1.0)
        assert not isinstance(damaged.value, Alarm), path
    assert Watcher(Files(1_300), POLICY, tmp_path / "state").look(1.0).grown == 600


@pytest.mark.parametrize("content", [b"", b"{}", b'{"v":2}', b"[]", b"\xff", b'{"v":1,"checkpoint":5}'])
def test_a_spoilt_state_is_not_a_new_beginning(tmp_path, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(VaultError) as refused:
        Watcher(Files(5), POLICY, tmp_path / "state")
    assert refused.value.code == "WATCH_STATE_INVALID"
