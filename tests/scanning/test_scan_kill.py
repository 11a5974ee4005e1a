"""`kill -9` of a process that looks at files: at each point the safe lies in one of two states, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scanning.conftest import scan_settings
from tests.scanning.test_scan_safe import audit, camille, deposit, issue, look, read, scan_of, topics
from tests.services.clamd import HARMLESS, Daemon
from vault.bootstrap import open_vault

pytestmark = pytest.mark.needs("clamd")
REPOSITORY = Path(__file__).resolve().parents[2]
# Runs the queue until the point kills it.
ROUND = """
import os, signal, sys
from pathlib import Path
from tests.scanning.conftest import scan_settings
from vault.core import faults
from vault.bootstrap import open_vault
folder, address, point = sys.argv[1:]
vault = open_vault(scan_settings(Path(folder), address), background=False)
faults.install(lambda name: os.kill(os.getpid(), signal.SIGKILL) if name == point else None)
vault.scans.scan_waiting()
"""


@pytest.mark.parametrize("point", ["scan.looked", "scan.recorded", "scan.settled"])
def test_killed_at_each_point(tmp_path: Path, daemon: Daemon, point: str) -> None:
    settings = scan_settings(tmp_path, daemon.address)
    vault = open_vault(settings, background=False)
    daemon.stop()
    act, bad = issue(vault, "a").document_id, deposit(vault, "b", HARMLESS).document_id
    vault.close()
    daemon.start()
    killed = subprocess.run(
        [sys.executable, "-c", ROUND, str(tmp_path), daemon.address, point],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    vault = open_vault(settings, background=False)
    try:
        audit(vault)
        settled = point == "scan.settled"
        assert (scan_of(vault, act)[0], scan_of(vault, bad)[0]) == (
            ("clean", "infected") if settled else ("pending", "pending")
        )
        assert look(vault) == (0 if settled else 2)
        assert read(vault, camille(vault), act) == b"un acte"
        assert read(vault, camille(vault), bad) == "DOCUMENT_INFECTED"
        assert topics(vault, act) == ["document.received", "document.published"]
        assert topics(vault, bad) == ["document.received", "scan.infected"]
        audit(vault)
    finally:
        vault.close()
