"""The adapter and a real clamd: verdicts, limits, and every way in which it may not answer."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scanning.conftest import hidden_in_pdf, pdf_with, zip_with
from tests.services.clamd import EICAR, HARMLESS, LATER, Daemon
from vault.domain.states import Scan
from vault.errors import Refused
from vault.intake import Spooled
from vault.scanning.antivirus import Antivirus
from vault.scanning.base import NotScanned, Reason, ScannerDown
from vault.scanning.clamav import Clamd, ClamdConfig
from vault.scanning.contents import Contents

pytestmark = pytest.mark.needs("clamd")
Spool = Callable[[bytes], Spooled]


def reached(daemon: Daemon, timeout: float = 5.0) -> Clamd:
    return Clamd(ClamdConfig(daemon.address, 1.0, timeout))


def whole(daemon: Daemon, folder: Path, timeout: float = 5.0) -> Antivirus:
    return Antivirus(reached(daemon, timeout), Contents(folder), "pending")


def test_clean_and_infected(clamd_daemon: Daemon) -> None:
    for clamd in (reached(clamd_daemon), Clamd(ClamdConfig(str(clamd_daemon.socket)))):
        assert clamd.version().startswith("ClamAV ")
        clamd.prove()
        assert clamd.scan((b"harmless",)) == ""
        assert clamd.scan(()) == ""
        assert clamd.scan((EICAR,)) == "Probans.Test.Eicar.UNOFFICIAL"
        assert clamd.scan((b"x" * 70_000, HARMLESS[:9], HARMLESS[9:])) == "Probans.Test.Harmless.UNOFFICIAL"
        assert clamd.scan((zip_with(b"text", zip_with(HARMLESS)),)) == "Probans.Test.Harmless.UNOFFICIAL"


def test_past_the_limit_is_not_clean(clamd_daemon: Daemon) -> None:
    clamd = reached(clamd_daemon)
    for chunks in ((b"x" * (8 << 20),), (b"x" * (9 << 20), HARMLESS), (b"x" * 65_536 for _ in range(2_000))):
        size = 8 << 20
        if isinstance(chunks, tuple) and sum(map(len, chunks)) <= size:
            assert clamd.scan(chunks) == ""
            continue
        with pytest.raises(NotScanned) as caught:
            clamd.scan(chunks)
        assert caught.value.reason is Reason.LARGE


def test_what_clamd_passes_over_is_found(clamd_daemon: Daemon, spool: Spool, tmp_path: Path) -> None:
    hidden = hidden_in_pdf(HARMLESS)
    assert reached(clamd_daemon).scan((hidden,)) == "", (
        "clamd finds it now: is taking files out still needed?"
    )
    antivirus = whole(clamd_daemon, tmp_path)
    for octets in (
        hidden,
        pdf_with(hidden),
        hidden_in_pdf(zip_with(b"x", HARMLESS)),
        hidden_in_pdf(hidden),
        zip_with(b"x", zip_with(hidden)),
        zip_with(hidden),
        pdf_with(zip_with(b"x", HARMLESS)),
        zip_with(HARMLESS),
    ):
        with spool(octets) as spooled:
            verdict = antivirus.look(spooled)
            assert (verdict.scan, verdict.found) == (Scan.INFECTED, "Probans.Test.Harmless.UNOFFICIAL")
            with pytest.raises(Refused, match="SCAN_INFECTED"):
                antivirus.judge(spooled)
    with spool(pdf_with(b"harmless", zip_with(b"harmless"))) as spooled:
        assert antivirus.look(spooled).scan is Scan.CLEAN


def test_blind_engines_count_as_down(daemon: Daemon, tmp_path: Path, spool: Spool) -> None:
    daemon.sign(2, {"Other": b"not the test file"})
    daemon.reload()
    antivirus = whole(daemon, tmp_path)
    until(lambda: "/2/" in reached(daemon).version())
    with pytest.raises(ScannerDown) as caught:
        antivirus.engine()
    assert (caught.value.code, antivirus.state.up) == ("SCANNER_BLIND", False)
    with spool(b"x") as spooled:
        assert antivirus.judge(spooled).reason == Reason.DOWN
    daemon.stop()
    daemon.options = ["AlertExceedsMax no"]
    daemon.sign(3, {"Eicar": EICAR})
    daemon.start()
    with pytest.raises(ScannerDown, match="AlertExceedsMax") as caught:
        antivirus.engine(anew=True)
    assert caught.value.code == "SCANNER_BLIND"
    daemon.stop()
    daemon.options = ["AlertExceedsMax yes"]
    daemon.start()
    assert "/3/" in antivirus.engine(anew=True)
    assert antivirus.state.up


def test_down_hanging_and_back(daemon: Daemon, tmp_path: Path, spool: Spool) -> None:
    antivirus = whole(daemon, tmp_path, timeout=1.0)
    with spool(b"harmless") as spooled:
        assert antivirus.judge(spooled).scan is Scan.CLEAN
        daemon.pause()
        try:
            began = time.monotonic()
            verdict = antivirus.judge(spooled)
            assert (verdict.scan, verdict.reason, verdict.engine) == (Scan.PENDING, Reason.DOWN, "")
            assert time.monotonic() - began < 4
            # For a moment nobody else waits for it.
            began = time.monotonic()
            assert antivirus.judge(spooled).reason == Reason.DOWN
            assert time.monotonic() - began < 0.5
        finally:
            daemon.resume()
        antivirus.engine(anew=True)
        assert antivirus.judge(spooled).scan is Scan.CLEAN
        daemon.stop()
        until(lambda: antivirus.judge(spooled).reason == Reason.DOWN)
        assert not antivirus.state.up
        daemon.start()
        until(lambda: antivirus.judge(spooled).scan is Scan.CLEAN)


def test_killed_in_the_middle_of_a_file(daemon: Daemon) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 100_000
        daemon.stop()
        yield from (b"x" * 100_000 for _ in range(20))

    with pytest.raises(ScannerDown):
        reached(daemon).scan(chunks())


def test_new_signatures_have_another_name(daemon: Daemon) -> None:
    clamd = reached(daemon)
    before = clamd.version()
    assert clamd.scan((LATER,)) == ""
    daemon.sign(2, {"Eicar": EICAR, "Later": LATER})
    daemon.reload()
    until(lambda: clamd.version() != before)
    assert clamd.scan((LATER,)) == "Probans.Test.Later.UNOFFICIAL"


def test_thirty_two_at_once(clamd_daemon: Daemon, tmp_path: Path, spool: Spool) -> None:
    antivirus = whole(clamd_daemon, tmp_path)
    wrong: list[object] = []

    def look(number: int) -> None:
        octets, expected = (
            (b"harmless %d" % number, Scan.CLEAN)
            if number % 3
            else (b"%d" % number + HARMLESS, Scan.INFECTED)
        )
        for _ in range(8):
            with spool(octets) as spooled:
                verdict = antivirus.look(spooled)
            if verdict.scan is not expected:
                wrong.append((number, verdict))

    threads = [threading.Thread(target=look, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_stays_flat(clamd_daemon: Daemon) -> None:
    clamd = reached(clamd_daemon)
    clamd.scan(b"x" * 65_536 for _ in range(16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clamd.scan(b"x" * 65_536 for _ in range(120))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096  # kibibytes, of 7.5 MiB


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that follows by itself."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)
