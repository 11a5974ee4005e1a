"""An audit that was cut short goes on where it was and says the same; nobody else's state serves it."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from vault.cli.main import build
from vault.errors import LedgerError
from vault.evidence.errors import LedgerUnavailable
from vault.evidence.ledger_source import FolderLedger
from vault.ledger import joining
from vault.ledger.audit_state import StateFile
from vault.ledger.checkpoint import verify_checkpoint
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.files import ComputedTiles, LogReader
from vault.ledger.findings import AuditReport
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.published import Known, Work, audit_published
from vault.ledger.tiles import Tile, changed_bundles, encode_bundle

ORIGIN = "safe.example/ledger/1"
KEYS = LedgerKeys.new(ORIGIN)
POLICY = Policy.from_vkeys("\n".join(KEYS.vkeys))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIME = "2026-11-22T12:00:00.000Z"
MOST = 1_500
PIECES = 3 * 16_384 + 700


def bodies_of(size: int, tag: bytes = bytes(32), origin: str = ORIGIN) -> list[bytes]:
    body = {"origin": origin, "generation": 1, "keys": {}, "previous": ""}
    found = [encode(LogEntry(0, GENESIS_PREV, TIME, LogEvent.OPENED, body))]
    for seq in range(1, size):
        found.append(encode_record(seq, leaf_hash(found[-1]), TIME, tag, bytes([seq % 256]) * 32))
    return found


class Files(dict[str, bytes]):
    """Published files in memory, that end the run like a kill when a certain one is read."""

    def __init__(self, bodies: list[bytes], keys: LedgerKeys = KEYS) -> None:
        super().__init__()
        computed = ComputedTiles()
        for body in bodies:
            self |= {Tile(level, index).path: row for level, index, row in computed.add(leaf_hash(body))}
        self |= {Tile(level, index, len(row) // 32).path: row for level, index, row in computed.partial()}
        for bundle in changed_bundles(0, len(bodies)):
            start = bundle.index * 256
            self[bundle.path] = encode_bundle(bodies[start : start + bundle.width])
        self["checkpoint"] = keys.sign_checkpoint(len(bodies), computed.root(), NOW)
        self.asked: list[str] = []
        self.deadly = ""

    def read(self, path: str, limit: int) -> bytes | None:
        self.asked.append(path)
        if path == self.deadly:
            raise KeyboardInterrupt
        return self.get(path)

    def into(self, folder: Path) -> FolderLedger:
        for path, data in self.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return FolderLedger(folder)


BODIES = bodies_of(MOST)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of one bundle, so that a small log has many."""
    monkeypatch.setattr(joining, "SHARD", 256)


def cut_short(files: Files, work: Work, path: str, since: Known | None = None) -> None:
    files.deadly = path
    with pytest.raises(KeyboardInterrupt):
        audit_published(files, POLICY, since=since, work=work)
    files.deadly = ""
    files.asked.clear()


def known(bodies: list[bytes]) -> Known:
    files = Files(bodies)
    return Known(verify_checkpoint(files["checkpoint"], POLICY), LogReader(files))


def told(report: AuditReport) -> tuple[object, ...]:
    return report.problems, report.size, report.root, report.start, report.checked, report.tiles


@settings(max_examples=40)
@given(st.data())
def test_the_verdict_is_that_of_one_run(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size = data.draw(st.sampled_from([700, 1280, MOST]))
    files = Files(BODIES[:size])
    for path in data.draw(st.lists(st.sampled_from(sorted(files.keys() - {"checkpoint"})), max_size=2)):
        content = bytearray(files[path])
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1
        files[path] = bytes(content)
    since = known(BODIES[: data.draw(st.integers(1, size))]) if data.draw(st.booleans()) else None
    state = StateFile(tmp_path_factory.mktemp("state") / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "SHARD", 256)
        expected = audit_published(files, POLICY, since=since)
        read = [path for path in files.asked if "entries" in path]
        files.deadly = data.draw(st.sampled_from(read[len(read) // 2 :]))
        try:
            found = audit_published(files, POLICY, since=since, work=Work(state=state))
        except KeyboardInterrupt:
            files.deadly = ""
            found = audit_published(files, POLICY, since=since, work=Work(state=state))
    assert told(found) == told(expected)
    assert not state.path.exists()


@pytest.mark.usefixtures("small")
def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    files, work = Files(BODIES), Work(state=StateFile(tmp_path / "state"))
    cut_short(files, work, "tile/entries/003")
    assert audit_published(files, POLICY, work=work).ok
    assert {path for path in files.asked if "entries" in path} == {
        *("tile/entries/003", "tile/entries/004", "tile/entries/005.p/220"),
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_the_log_may_have_grown_meanwhile(tmp_path: Path) -> None:
    work = Work(state=StateFile(tmp_path / "state"))
    cut_short(Files(BODIES[:1000]), work, "tile/entries/002")
    grown = Files(BODIES)
    report = audit_published(grown, POLICY, work=work)
    assert (report.problems, report.size, report.checked) == ([], MOST, MOST)
    assert "tile/entries/001" not in grown.asked


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [900, MOST])
def test_a_fork_or_cut_meanwhile_is_found_and_stays_found(tmp_path: Path, size: int) -> None:
    work = Work(state=StateFile(tmp_path / "state"))
    cut_short(Files(BODIES[:1000]), work, "tile/entries/002")
    other = Files(bodies_of(size, tag=b"\x01" * 32))
    code = "LEDGER_FORKED" if size == MOST else "LEDGER_TRUNCATED"
    for _ in range(2):
        assert [item.code for item in audit_published(other, POLICY, work=work).problems] == [code]


@pytest.mark.usefixtures("small")
def test_a_state_with_any_octet_changed_is_refused(tmp_path: Path) -> None:
    files, state = Files(BODIES), StateFile(tmp_path / "state")
    cut_short(files, Work(state=state), "tile/entries/003")
    content = state.path.read_bytes()
    assert (state.path.stat().st_mode & 0o777) == 0o600
    for at in range(len(content)):
        state.path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(LedgerError) as refused:
            state.read()
        assert refused.value.code == "AUDIT_STATE_INVALID"
    for spoilt in (b"", b"{}", content[:-1], content + b" ", b"\xff" * 100):
        state.path.write_bytes(spoilt)
        with pytest.raises(LedgerError):
            audit_published(files, POLICY, work=Work(state=state))
    state.path.write_bytes(content)
    assert audit_published(files, POLICY, work=Work(state=state)).ok


@pytest.mark.usefixtures("small")
def test_a_state_that_lies_about_the_tree_does_not_lead_to_the_root(tmp_path: Path) -> None:
    """Whoever writes the file with its digest can still not pass other entries off: the root tells."""
    files, state = Files(BODIES), StateFile(tmp_path / "state")
    cut_short(files, Work(state=state), "tile/entries/003")
    position = state.read()
    assert position is not None
    state.write(replace(position, edge=bytes(len(position.edge))))
    codes = {item.code for item in audit_published(files, POLICY, work=Work(state=state)).problems}
    assert "ROOT_MISMATCH" in codes
    for wrong in ({"last_leaf": bytes(32)}, {"last_time": "2027-01-01T00:00:00.000Z"}):
        state.write(replace(position, **wrong))
        assert audit_published(files, POLICY, work=Work(state=state)).verdict == "FAILED"


NO_PROBLEM = {"code": "A", "where": "B", "expected": "C", "found": "D"}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "wrong",
    [
        # Beyond the log: nothing would be left to read, and the root never asked for.
        {"size": 65_536, "edge": base64.b64encode(bytes(32)).decode()},
        {"size": 65_536, "edge": base64.b64encode(bytes(32)).decode(), "seen_size": 2**64},
        {"size": -256},
        {"size": 700},
        {"size": 512},
        {"edge": ""},
        {"start": -256},
        {"start": 1024},
        {"seen_size": -5},
        {"seen_root": "AA=="},
        {"last_leaf": "AA=="},
        {"last_time": "2027"},
        {"files": -1},
        {"stated": [base64.b64encode(b"{}").decode()]},
        {"problems": [{**NO_PROBLEM, "code": 1}]},
        {"problems": [{**NO_PROBLEM, "entry": "x"}]},
        {"problems": [{**NO_PROBLEM, "other": "x"}]},
    ],
    ids=str,
)
def test_a_state_that_no_audit_wrote_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    files, state = Files(BODIES), StateFile(tmp_path / "state")
    cut_short(files, Work(state=state), "tile/entries/003")
    raw = json.loads(state.path.read_bytes().partition(b"\n")[2])
    data = json.dumps({**raw, **wrong}).encode()
    state.path.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
    with pytest.raises(LedgerError) as refused:
        audit_published(files, POLICY, work=Work(state=state))
    assert refused.value.code == "AUDIT_STATE_INVALID"


@pytest.mark.usefixtures("small")
def test_the_state_of_another_audit_is_refused(tmp_path: Path) -> None:
    files, work = Files(BODIES), Work(state=StateFile(tmp_path / "state"))
    cut_short(files, work, "tile/entries/003")
    with pytest.raises(LedgerError) as refused:
        audit_published(files, POLICY, since=known(BODIES[:300]), work=work)
    assert (refused.value.code, "another checkpoint" in refused.value.detail) == ("AUDIT_STATE_INVALID", True)
    keys = LedgerKeys.new("other.example/log")
    other = Files(bodies_of(600, origin="other.example/log"), keys)
    with pytest.raises(LedgerError) as refused:
        audit_published(other, Policy.from_vkeys("\n".join(keys.vkeys)), work=work)
    assert (refused.value.code, ORIGIN in refused.value.detail) == ("AUDIT_STATE_INVALID", True)


@pytest.mark.usefixtures("small")
def test_what_cannot_be_reached_is_gone_on_with_later(tmp_path: Path) -> None:
    class Away(Files):
        away = True

        def read(self, path: str, limit: int) -> bytes | None:
            if self.away and path == "tile/entries/004":
                raise LedgerUnavailable("LEDGER_UNAVAILABLE", "HTTP 503")
            return super().read(path, limit)

    files, work = Away(BODIES), Work(state=StateFile(tmp_path / "state"))
    assert audit_published(files, POLICY, work=work).verdict == "INDETERMINATE"
    files.away = False
    files.asked.clear()
    assert audit_published(files, POLICY, work=work).ok
    assert "tile/entries/003" not in files.asked
    del files["tile/entries/004"]
    assert audit_published(files, POLICY, work=work).verdict == "FAILED"
    assert not (tmp_path / "state").exists(), "a file that is not there is a finding, and the end"


STUCK = """
import sys, time
from multiprocessing import parent_process
from pathlib import Path
from vault.evidence.errors import LedgerUnavailable
from vault.evidence.ledger_source import FolderLedger
from vault.ledger.audit_state import StateFile
from vault.ledger.policy import Policy
from vault.ledger.published import Work, audit_published

# Where there is another process, it takes the first two pieces, and this one what comes after.
PLACE = "100" if parent_process() else "150" if sys.argv[2] == "1" else "none"

class Stuck(FolderLedger):
    def read(self, path, limit):
        if path == f"tile/entries/{PLACE}":
            time.sleep(1000)
        return super().read(path, limit)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    policy = Policy.from_vkeys((folder / "vkeys").read_bytes())
    work = Work(int(sys.argv[2]), StateFile(folder / "state"))
    audit_published(Stuck(folder / "log"), policy, work=work)
"""


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    Files(bodies_of(PIECES)).into(folder / "log")
    (folder / "vkeys").write_text("\n".join(KEYS.vkeys))
    (folder / "stuck.py").write_text(STUCK)
    return folder


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(what: object, limit: float = 30.0) -> None:
    end = time.monotonic() + limit
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_in_the_middle_it_goes_on_and_reports_the_same(long_log: Path, processes: int) -> None:
    state = long_log / "state"
    run = subprocess.Popen([sys.executable, long_log / "stuck.py", long_log, str(processes)])
    wait_for(state.exists)
    others = children(run.pid)
    assert bool(others) is (processes == 2)
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in others))
    assert StateFile(state).read().size in {16_384, 32_768}  # type: ignore[union-attr]

    def audit(*arguments: object) -> tuple[int, object]:
        command = ["audit", long_log / "log", "--vkeys", long_log / "vkeys", "--json", *arguments]
        done = CliRunner().invoke(build(), [str(word) for word in command])
        return done.exit_code, json.loads(done.stdout)

    assert audit("--state", state, "--processes", processes) == audit("--processes", 1)
    assert not state.exists()


def test_the_command_says_what_is_wrong_with_a_state(long_log: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"{}")
    command = ["audit", long_log / "log", "--vkeys", long_log / "vkeys"]
    words = [str(word) for word in (*command, "--state", tmp_path / "state")]
    done = CliRunner().invoke(build(), words)
    assert (done.exit_code, "AUDIT_STATE_INVALID" in done.output) == (2, True)
    assert CliRunner().invoke(build(), [*words, "--sample", "5"]).exit_code == 2
