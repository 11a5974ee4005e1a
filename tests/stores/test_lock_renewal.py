"""The ledger outlasts its documents: its locks are lengthened before they end, at both sites."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
from storage.memory import MemoryLogStore
from storage.pair_log import PairLogStore
from storage.pair_sites import Site, Sites, SiteStores
from storage.retention import system_now
from storage.s3 import S3LogConfig, S3LogStore, S3RecordStore
from storage.s3_versions import Held, locked, of_key
from tests.services.versitygw import Gateway
from vault.ledger.finished import is_finished

pytestmark = pytest.mark.needs("versitygw")
OCTETS = "application/octet-stream"
KEPT = timedelta(days=10)


def logs(gateway: Gateway) -> tuple[S3LogConfig, S3LogStore, S3LogStore]:
    """Return a log store as it is today, and as it will be when more than half of its locks' time is over."""
    config = S3LogConfig(gateway.bucket(locked=True), gateway.bucket(locked=False), KEPT, is_finished)
    later = S3LogStore(gateway.client(), config, now=lambda: system_now() + timedelta(days=6))
    return config, S3LogStore(gateway.client(), config), later


def lock(gateway: Gateway, config: S3LogConfig, path: str) -> Held:
    client, key = gateway.client(), f"ledger/{path}"
    oldest = of_key(client, config.locked, key)[-1]
    return locked(client, config.locked, key, oldest.version)


def test_locks_that_are_half_over_are_lengthened(versitygw_server: Gateway) -> None:
    config, today, later = logs(versitygw_server)
    today.put_if_absent("tile/0/000", b"full", OCTETS)
    today.put_if_absent("2/tile/0/000", b"of the second generation", OCTETS)
    today.put_if_absent("tile/0/001.p/7", b"partial", OCTETS)
    today.compare_and_swap("checkpoint", None, b"1", "text/plain")
    # Who writes over a file makes a version that nobody reads: the first one's lock counts.
    versitygw_server.client().call("PUT", config.locked, "ledger/tile/0/000", body=b"forged")
    assert today.renew() == 0
    before = lock(versitygw_server, config, "tile/0/000").retain_until
    assert later.renew() == 2
    after = lock(versitygw_server, config, "tile/0/000").retain_until
    assert before is not None
    assert after is not None
    assert timedelta(days=5) < after - before < timedelta(days=7)
    assert later.renew() == 0
    assert later.get("tile/0/000") == b"full"


def test_at_both_sites(versitygw_server: Gateway, tmp_path: Path) -> None:
    _, today, later = logs(versitygw_server)
    today.put_if_absent("tile/0/000", b"full", OCTETS)
    folder = FilesystemLogStore(tmp_path / "ledger")
    folder.put_if_absent("tile/0/000", b"full", OCTETS)
    objects = FilesystemObjectStore(tmp_path / "objects")
    records = FilesystemRecordStore(tmp_path / "records")
    plain = S3RecordStore(versitygw_server.client(), "unused")
    first = SiteStores(objects, records, folder, records, lambda: None)
    second = SiteStores(objects, plain, later, plain, lambda: None)
    sites = Sites(Site("first", lambda: first), Site("second", lambda: second), writes="both")
    assert PairLogStore(sites).renew() == 1
    assert MemoryLogStore().renew() == folder.renew() == 0
    sites.close()
    objects.close()
