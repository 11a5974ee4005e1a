"""A file that the engine cannot bear holds up no other one; what was seen long ago counts for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.scanning.test_scan_safe import (
    allowance,
    camille,
    deposit,
    look,
    read,
    resigned,
    scan_of,
)
from tests.services.clamd import EICAR, LATER, Daemon
from vault.scan_clamav import Clamd
from vault.scanning import ScannerDown
from vault.service import Vault

pytestmark = pytest.mark.needs("clamd")
Opened = Callable[..., Vault]


def test_a_file_that_the_engine_cannot_bear_holds_up_no_second_look(
    opened: Opened, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Clamd.scan

    def scan(self: Clamd, chunks: Iterable[bytes]) -> str:
        octets = b"".join(chunks)
        if b"unbearable" in octets:
            raise ScannerDown("SCANNER_DOWN", "TimeoutError")
        return real(self, (octets,))

    monkeypatch.setattr(Clamd, "scan", scan)
    vault = opened(daemon.address, rescan_per_minute=6000)
    clean = deposit(vault, "clean", LATER).document_id
    worse = [deposit(vault, f"worse{n}", b"unbearable %d" % n).document_id for n in range(17)]
    assert scan_of(vault, clean) == ("clean", "")
    assert {scan_of(vault, each) for each in worse} == {("pending", "engine-down")}
    resigned(vault, daemon, 2, {"Eicar": EICAR, "Later": LATER})
    assert vault.scans is not None
    for _ in range(4):
        allowance(vault)
        vault.scans.scan_waiting()
    assert scan_of(vault, clean) == ("infected", "")
    assert {scan_of(vault, each) for each in worse} == {("pending", "too-complex")}


def test_a_process_that_slept_takes_back_no_newer_verdict(opened: Opened, daemon: Daemon) -> None:
    vault = opened(daemon.address)
    assert vault.scans is not None
    document = deposit(vault, "d", LATER).document_id
    began = vault.scans._look(document, "ClamAV older")
    resigned(vault, daemon, 2, {"Eicar": EICAR, "Later": LATER})
    allowance(vault)
    assert look(vault) == 1
    assert scan_of(vault, document) == ("infected", "")
    # The one that looked with older signatures wakes, and writes what it found.
    vault.scans._settle([began])
    assert scan_of(vault, document) == ("infected", "")
    assert read(vault, camille(vault), document) == "DOCUMENT_INFECTED"
