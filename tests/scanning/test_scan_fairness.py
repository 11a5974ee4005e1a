"""A file that the engine cannot bear holds up no other one; what was seen long ago counts for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from sqlalchemy import select

from storage.errors import StorageUnavailable
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
from vault.db import models
from vault.errors import Unavailable
from vault.scanning.base import ScannerDown
from vault.scanning.clamav import Clamd
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


def test_one_that_the_store_does_not_give_now_holds_up_no_other(
    opened: Opened, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = opened(daemon.address)
    daemon.stop()
    away = [deposit(vault, f"a{number}", b"away %d" % number).document_id for number in range(2)]
    sound = deposit(vault, "sound", b"sound").document_id
    daemon.start()
    with vault.parts.database.reading() as connection:
        table = models.objects.c
        query = select(table.address).where(table.document_id.in_(away))
        gone = set(connection.scalars(query))
    real = vault.parts.objects.read

    def read_it(address: str, *rest: int) -> Iterator[bytes]:
        if address in gone:
            raise StorageUnavailable("an error of the disk")
        return real(address, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(vault.parts.objects, "read", read_it)
        assert vault.scans is not None
        vault.scans.scan_waiting()
        assert scan_of(vault, sound) == ("clean", "")
        assert {scan_of(vault, each) for each in away} == {("pending", "unreadable")}
        # With all of it away it is the store, not these files.
        daemon.stop()
        more = [deposit(vault, f"m{number}", b"more %d" % number).document_id for number in range(4)]
        daemon.start()
        broken.setattr(vault.parts.objects, "read", lambda address, *rest: read_it(min(gone)))
        with pytest.raises(Unavailable) as caught:
            vault.scans.scan_waiting()
        assert caught.value.code == "STORAGE_UNAVAILABLE"
    assert look(vault) == 6
    assert {scan_of(vault, each) for each in (*away, *more)} == {("clean", "")}
