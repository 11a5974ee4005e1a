"""Public tools that we did not write accept the ledger as it is served, and refuse it after one changed octet."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from api.app import create_app
from vault.bootstrap import open_vault
from vault.evidence.ledger_source import WebLedger
from vault.ledger.published import audit_published
from vault.ledger.tiles import changed_tiles
from vault.service import Vault
from vault.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
JUDGES = ROOT / ".cache" / "judges"
WRITERS = 64
# Each with an octet inside what it says: a hash, an entry, a hash two levels up, a root.
DAMAGE = {
    "tile": ("tile/0/002", 1000),
    "bundle": ("tile/entries/003", 777),
    "upper tile": ("tile/1/", 100),
    "checkpoint": ("checkpoint", None),
}


@dataclass
class Served:
    """A log served over HTTP.

    Attributes:
        url: its prefix, without slash at the end.
        folder: its files.
        trust: folder with `ledger.vkeys` (all keys) and `ed25519.vkey`.
        vault: the service.
        size: number of entries.
    """

    url: str
    folder: Path
    trust: Path
    vault: Vault
    size: int


@contextmanager
def served(data: Path, count: int) -> Iterator[Served]:
    """Write a log by 64 threads at once, publish it and serve it as the product does."""
    vault = open_vault(Settings(data=data, publish_interval=0.1))
    writer = vault.lifecycle._ledger

    def write(times: int) -> None:
        for _ in range(times):
            drawn = secrets.token_bytes(64)
            writer.run(lambda tx, drawn=drawn: tx.append(drawn[:32], drawn[32:]))

    with ThreadPoolExecutor(WRITERS) as pool:
        shares = [count // WRITERS + (number < count % WRITERS) for number in range(WRITERS)]
        list(pool.map(write, shares))
    assert vault.publisher.wait(count + 1, 60.0)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = uvicorn.Server(uvicorn.Config(create_app(vault), log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    trust = data.parent / "trust"
    trust.mkdir()
    (trust / "ledger.vkeys").write_text("".join(f"{vkey}\n" for vkey in vault.trust.vkeys))
    (trust / "ed25519.vkey").write_text(f"{vault.trust.vkeys[0]}\n")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/ledger"
    try:
        yield Served(url, data / "ledger", trust, vault, count + 1)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        vault.close()


def run(*command: str | Path, limit: float = 120) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, "no answer in time"
    return done.returncode, done.stdout + done.stderr


def tessera_fsck(log: Served) -> str:
    """Return "" or why it refuses; it ends with 0 even when it fails, so its line decides."""
    origin = log.vault.settings.origin
    arguments = [
        f"--storage_url={log.url}/",
        f"--public_key={log.trust / 'ed25519.vkey'}",
        f"--origin={origin}",
    ]
    _, output = run(JUDGES / "tessera-fsck", *arguments, "--ui=false", "--N=16", limit=60 + log.size / 500)
    return "" if "Successfully fsck'd log" in output else output


def tlog_scales(log: Served) -> str:
    check = ROOT / "tools" / "judges" / "tlog-scales" / "check.py"
    python = JUDGES / "tlog-scales" / "bin" / "python"
    code, output = run(python, check, log.url, log.trust / "ledger.vkeys", limit=60 + log.size / 50)
    return "" if code == 0 and f"accepted {log.size}" in output else output or "silent"


def aics_tlog(log: Served) -> str:
    """Its command line proves single entries; those of the damaged bundle and tile are among them."""
    program = JUDGES / "aics-tlog" / "bin" / "aics-tlog"
    common = [
        "--tiles",
        log.url,
        "--vkey-file",
        log.trust / "ed25519.vkey",
        "--origin",
        log.vault.settings.origin,
    ]
    code, output = run(program, "verify-checkpoint", *common)
    if code != 0:
        return output or "silent"
    for index in (0, 512 + 31, 3 * 256 + 2, log.size - 1):
        entry = log.trust / f"entry-{index}"
        entry.unlink(missing_ok=True)
        arguments = ["verify-inclusion", *common, "--index", str(index), "--entry-out", entry]
        code, output = run(program, *arguments)
        if code != 0 or not entry.is_file():
            return output or "silent"
    return ""


def own(log: Served) -> str:
    report = audit_published(WebLedger(log.url), log.vault.parts.policy)
    return "" if report.ok and report.size == log.size else str(report.problems)


TOOLS = [
    pytest.param(tessera_fsck, marks=pytest.mark.needs("tessera-fsck")),
    pytest.param(tlog_scales, marks=pytest.mark.needs("tlog-scales")),
    pytest.param(aics_tlog, marks=pytest.mark.needs("aics-tlog")),
    own,
]
Tool = Callable[[Served], str]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("tools") / "data", 2_000) as opened:
        yield opened


@contextmanager
def damaged(log: Served, what: str) -> Iterator[None]:
    """Change one octet of a file, and put it back."""
    name, at = DAMAGE[what]
    if name.endswith("/"):
        # The last tile of that level, which nothing above repeats.
        name = max(tile for tile in changed_tiles(0, log.size) if tile.level == 1).path
    path = log.folder / name
    before = path.read_bytes()
    content = bytearray(before)
    # In a checkpoint: the first character of the root, kept within base64.
    at = content.index(b"\n", content.index(b"\n") + 1) + 1 if at is None else at
    content[at] = ord("A") if content[at] == ord("B") else ord("B")
    assert content != before
    path.chmod(0o600)
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_log_is_accepted(tool: Tool, log: Served) -> None:
    assert tool(log) == ""


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("tool", TOOLS)
def test_one_changed_octet_is_refused(tool: Tool, what: str, log: Served) -> None:
    with damaged(log, what):
        assert tool(log) != ""


@pytest.mark.soak("ledger-tools")
@pytest.mark.timeout(3600)
def test_a_large_log(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    count = int(os.environ.get("SOAK_COUNT", "100000"))
    begun = time.monotonic()
    with served(tmp_path / "data", count) as log:
        record_property(
            "figure", f"{log.size} entries by {WRITERS} threads: {time.monotonic() - begun:.1f} s"
        )
        for tool in (tessera_fsck, tlog_scales, aics_tlog, own):
            if tool is not own and not (JUDGES / tool.__name__.replace("_", "-")).exists():
                record_property("figure", f"{tool.__name__}: not here")
                continue
            begun = time.monotonic()
            assert tool(log) == "", tool.__name__
            record_property("figure", f"{tool.__name__} accepts it: {time.monotonic() - begun:.1f} s")
            for what in DAMAGE:
                with damaged(log, what):
                    assert tool(log) != "", (tool.__name__, what)
            record_property(
                "figure", f"{tool.__name__} refuses it with one octet changed: {', '.join(DAMAGE)}"
            )
