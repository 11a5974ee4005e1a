"""Backends under contract: every fixture here gives, in turn, each backend of a port."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import filesystem_objects
from storage.base import LogStore, ObjectStore, RecordStore
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
from storage.memory import MemoryLogStore, MemoryObjectStore, MemoryRecordStore
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


VERSITYGW = pytest.param("versitygw", marks=pytest.mark.needs("versitygw"))


@pytest.fixture(params=["filesystem", "filesystem-named", "memory", VERSITYGW])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def clock(backend: str) -> SetClock | RealClock:
    return RealClock() if backend == "versitygw" else SetClock()


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
    if backend == "filesystem-named":  # file systems without O_TMPFILE
        monkeypatch.setattr(filesystem_objects, "can_stage_unnamed", lambda _: False)
    store = FilesystemObjectStore(tmp_path / "store", now=clock.now)
    yield store
    store.close()


@pytest.fixture(params=["filesystem", "memory", VERSITYGW])
def log_store(request: pytest.FixtureRequest, tmp_path: Path) -> LogStore:
    if request.param == "versitygw":
        gateway: Gateway = request.getfixturevalue("versitygw_server")
        return S3LogStore(
            gateway.client(),
            S3LogConfig(
                gateway.bucket(locked=True), gateway.bucket(locked=False), timedelta(days=1), is_finished
            ),
        )
    return MemoryLogStore() if request.param == "memory" else FilesystemLogStore(tmp_path / "store")


@pytest.fixture(params=["filesystem", "memory", VERSITYGW])
def record_store(request: pytest.FixtureRequest, tmp_path: Path) -> RecordStore:
    if request.param == "versitygw":
        gateway: Gateway = request.getfixturevalue("versitygw_server")
        return S3RecordStore(gateway.client(), gateway.bucket(locked=False))
    return MemoryRecordStore() if request.param == "memory" else FilesystemRecordStore(tmp_path / "store")
