"""Backends under contract: every fixture here gives, in turn, each backend of a port."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import filesystem_objects
from storage.base import LogStore, ObjectStore, RecordStore
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
from storage.memory import MemoryLogStore, MemoryObjectStore, MemoryRecordStore
from storage.pair import PairObjectStore
from storage.pair_catching import pay
from storage.pair_log import PairLogStore
from storage.pair_owed import notes
from storage.pair_records import PairRecordStore
from storage.pair_sites import Site, Sites, SiteStores
from storage.retention import system_now
from storage.s3 import S3LogConfig, S3LogStore, S3ObjectsConfig, S3ObjectStore, S3RecordStore
from tests.services.versitygw import Gateway
from vault.ledger.finished import is_finished


class SetClock:
    """A clock that stands still until a test moves it.

    Attributes:
        step: to which backends round retention dates up.
        short: a retention that a test can wait for.
    """

    step = timedelta(0)
    short = timedelta(days=1)

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def just_before(self, moment: datetime) -> None:
        self.time = moment - timedelta(microseconds=1)

    def reach(self, moment: datetime) -> None:
        self.time = moment


class RealClock:
    """The machine's: a service that locks objects asks nobody else."""

    step = timedelta(seconds=1)
    short = timedelta(seconds=2)

    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0) + self.step

    def just_before(self, moment: datetime) -> None:
        assert datetime.now(UTC) < moment

    def reach(self, moment: datetime) -> None:
        # Rounded up when it was set, and down when it is judged.
        time.sleep(max(0.0, (moment + self.step - datetime.now(UTC)).total_seconds()))


class SecondsClock(SetClock):
    """One whose stores keep whole seconds: two sites say the same date."""

    step = timedelta(seconds=1)


VERSITYGW = pytest.param("versitygw", marks=pytest.mark.needs("versitygw"))
PAIRS = (
    "pair-filesystem",
    pytest.param("pair-mixed", marks=pytest.mark.needs("versitygw")),
    pytest.param("pair-versitygw", marks=pytest.mark.needs("versitygw")),
)


@dataclass
class Pair:
    """Two sites of an empty pair."""

    objects: PairObjectStore
    log: PairLogStore
    records: PairRecordStore


@contextmanager
def pair_of(
    kind: str, request: pytest.FixtureRequest, folder: Path, now: Callable[[], datetime]
) -> Iterator[Pair]:
    """Open a pair: of folders, of gateways' buckets, or of one of each."""
    closing: list[Callable[[], None]] = []

    def on_disk(name: str) -> SiteStores:
        objects = FilesystemObjectStore(folder / name, now=now)
        closing.append(objects.close)
        return SiteStores(
            objects,
            FilesystemRecordStore(folder / f"{name}-records"),
            FilesystemLogStore(folder / f"{name}-ledger"),
            FilesystemRecordStore(folder / f"{name}-owed"),
            lambda: None,
        )

    def in_buckets() -> SiteStores:
        gateway: Gateway = request.getfixturevalue("versitygw_server")
        locked, plain, client = gateway.bucket(locked=True), gateway.bucket(locked=False), gateway.client()
        objects = S3ObjectStore(client, S3ObjectsConfig(locked, folder, parts_above=5 << 20))
        closing.append(objects.close)
        return SiteStores(
            objects,
            S3RecordStore(client, plain),
            S3LogStore(client, S3LogConfig(locked, plain, timedelta(days=1), is_finished)),
            S3RecordStore(client, plain, "owed/"),
            lambda: None,
        )

    first = in_buckets() if kind != "pair-filesystem" else on_disk("first")
    second = in_buckets() if kind == "pair-versitygw" else on_disk("second")
    sites = Sites(Site("first", lambda: first), Site("second", lambda: second), writes="both")
    yield Pair(PairObjectStore(sites, folder), PairLogStore(sites), PairRecordStore(sites))
    for site in sites.each:
        with site.asked() as stores:
            for owed in list(notes(stores.owed)):  # of what was refused at the first site
                assert owed.kind in {"log", "log-swapped"}
                pay(sites, site, owed, young_s=0)
    assert sites.owed() == {"first": 0, "second": 0}
    sites.close()
    for close in closing:
        close()


@pytest.fixture(params=["filesystem", "filesystem-named", "memory", VERSITYGW, *PAIRS])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def clock(backend: str) -> SetClock | RealClock:
    if backend in {"versitygw", "pair-mixed", "pair-versitygw"}:
        return RealClock()
    return SecondsClock() if backend == "pair-filesystem" else SetClock()


@pytest.fixture
def object_store(
    backend: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: SetClock | RealClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ObjectStore]:
    if backend == "memory":
        yield MemoryObjectStore(now=clock.now)
        return
    if backend == "versitygw":
        gateway: Gateway = request.getfixturevalue("versitygw_server")
        config = S3ObjectsConfig(gateway.bucket(locked=True), tmp_path, parts_above=5 << 20)
        in_bucket = S3ObjectStore(gateway.client(), config)
        yield in_bucket
        in_bucket.close()
        return
    if backend.startswith("pair-"):
        with pair_of(backend, request, tmp_path, clock.now) as pair:
            yield pair.objects
        return
    if backend == "filesystem-named":  # file systems without O_TMPFILE
        monkeypatch.setattr(filesystem_objects, "can_stage_unnamed", lambda _: False)
    store = FilesystemObjectStore(tmp_path / "store", now=clock.now)
    yield store
    store.close()


@pytest.fixture(params=["filesystem", "memory", VERSITYGW, *PAIRS])
def log_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogStore]:
    if request.param.startswith("pair-"):
        with pair_of(request.param, request, tmp_path, system_now) as pair:
            yield pair.log
        return
    if request.param == "versitygw":
        gateway: Gateway = request.getfixturevalue("versitygw_server")
        yield S3LogStore(
            gateway.client(),
            S3LogConfig(
                gateway.bucket(locked=True), gateway.bucket(locked=False), timedelta(days=1), is_finished
            ),
        )
        return
    yield MemoryLogStore() if request.param == "memory" else FilesystemLogStore(tmp_path / "store")


@pytest.fixture(params=["filesystem", "memory", VERSITYGW, *PAIRS])
def record_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    if request.param.startswith("pair-"):
        with pair_of(request.param, request, tmp_path, system_now) as pair:
            yield pair.records
        return
    if request.param == "versitygw":
        gateway: Gateway = request.getfixturevalue("versitygw_server")
        yield S3RecordStore(gateway.client(), gateway.bucket(locked=False))
        return
    yield MemoryRecordStore() if request.param == "memory" else FilesystemRecordStore(tmp_path / "store")
