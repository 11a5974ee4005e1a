"""Backends under contract: every fixture here gives, in turn, each backend of a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import filesystem_objects
from storage.base import LogStore, ObjectStore, RecordStore
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
from storage.memory import MemoryLogStore, MemoryObjectStore, MemoryRecordStore


class SetClock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, step: timedelta) -> None:
        self.time += step


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=["filesystem", "filesystem-named", "memory"])
def object_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryObjectStore(now=clock.now)
        return
    if request.param == "filesystem-named":  # file systems without O_TMPFILE
        monkeypatch.setattr(filesystem_objects, "can_stage_unnamed", lambda _: False)
    store = FilesystemObjectStore(tmp_path / "store", now=clock.now)
    yield store
    store.close()


@pytest.fixture(params=[FilesystemLogStore, MemoryLogStore])
def log_store(request: pytest.FixtureRequest, tmp_path: Path) -> LogStore:
    return _open(request.param, tmp_path)


@pytest.fixture(params=[FilesystemRecordStore, MemoryRecordStore])
def record_store(request: pytest.FixtureRequest, tmp_path: Path) -> RecordStore:
    return _open(request.param, tmp_path)


def _open(backend: Callable[..., object], folder: Path) -> object:
    return backend() if backend.__name__.startswith("Memory") else backend(folder / "store")
