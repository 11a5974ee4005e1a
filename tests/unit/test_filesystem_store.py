"""The filesystem stores beyond the contract: failures of the disk, crashes, groups, other processes."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage import filesystem_disk, filesystem_objects, filesystem_staging
from storage.errors import ObjectDamaged, ObjectMissing, StorageUnavailable
from storage.filesystem import (
    FilesystemConfig,
    FilesystemLogStore,
    FilesystemObjectStore,
    FilesystemRecordStore,
)
from storage.filesystem_group import GroupCommit

UNTIL = datetime(2050, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["unnamed", "named"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FilesystemObjectStore]:
    if request.param == "named":
        monkeypatch.setattr(filesystem_objects, "can_stage_unnamed", lambda _: False)
    opened = FilesystemObjectStore(tmp_path / "store")
    yield opened
    opened.close()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# As they are before any test changes them.
WHOLE: dict[str, Callable[..., Any]] = {
    name: getattr(os, name) for name in ("write", "fsync", "fchmod", "utime", "link", "mkdir")
}


def descriptor_count(folder: Path) -> int:
    """Return how many descriptors of this process are of files in a folder: whatever else lives in it opens others."""
    gc.collect()  # what other tests left
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            count += str(each.readlink()).startswith(f"{folder}/")
    return count


def failing(name: str, number: int) -> Callable[..., Any]:
    """A system call that fails, but not for a service that other tests left running in this process."""
    whole = WHOLE[name]

    def call(*arguments: object, **named: object) -> Any:
        if threading.current_thread().name.startswith("probans-"):
            return whole(*arguments, **named)
        raise OSError(number, os.strerror(number))

    return call


def test_layout_mode_and_date(store: FilesystemObjectStore, tmp_path: Path) -> None:
    [stored] = store.commit([store.put([b"x"], UNTIL)])
    [path] = files(tmp_path / "store")
    assert path == tmp_path / "store/objects" / stored.address[:2] / stored.address
    assert path.stat().st_mode & 0o7777 == 0o440
    assert path.stat().st_mtime == UNTIL.timestamp()
    assert path.stat().st_nlink == 1
    [free] = store.commit([store.put([b"y"])])
    assert (path.parent.parent / free.address[:2] / free.address).stat().st_mtime_ns == 0


def test_foreign_files_are_ignored(store: FilesystemObjectStore, tmp_path: Path) -> None:
    [stored] = store.commit([store.put([b"x"])])
    objects = tmp_path / "store/objects"
    (objects / "README").write_text("x")
    (objects / stored.address[:2] / "note.txt").write_text("x")
    (objects / stored.address[:2] / stored.address.upper()).write_text("x")
    (objects / "zz").mkdir()
    (objects / "zz" / stored.address).write_text("x")
    assert list(store.addresses()) == [stored.address]


def test_neither_links_nor_folders_are_objects(store: FilesystemObjectStore, tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_text("secret")
    link, folder = "ab" + "0" * 62, "ab" + "1" * 62
    (tmp_path / "store/objects/ab").mkdir()
    (tmp_path / "store/objects/ab" / link).symlink_to(target)
    (tmp_path / "store/objects/ab" / folder).mkdir()
    for address in (link, folder):
        with pytest.raises(ObjectMissing):
            store.read(address)
        with pytest.raises((ObjectMissing, StorageUnavailable)):
            store.delete(address)
    assert target.read_text() == "secret"


def test_an_object_of_another_size_stands_there(store: FilesystemObjectStore, tmp_path: Path) -> None:
    [stored] = store.commit([store.put([b"whole"])])
    [path] = files(tmp_path / "store")
    path.chmod(0o640)
    path.write_bytes(b"who")
    good = store.put([b"other"])
    with pytest.raises(ObjectDamaged) as refusal:
        store.commit([good, store.put([b"whole"])])
    assert refusal.value.code == "OBJECT_DAMAGED"
    assert store.stat(good.address).size == 5  # its neighbour in the group is there
    assert path.read_bytes() == b"who"
    assert store.stat(stored.address).size == 3


def test_an_object_that_shrinks_while_it_is_read(store: FilesystemObjectStore, tmp_path: Path) -> None:
    [stored] = store.commit([store.put([bytes(1_000_000)])])
    [path] = files(tmp_path / "store")
    reader = store.read(stored.address)
    next(reader)
    os.truncate(path, 300_000)
    with pytest.raises(ObjectDamaged):
        list(reader)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("call", ["write", "fchmod", "utime"])
def test_put_on_a_failing_disk_leaves_nothing(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    descriptors = descriptor_count(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(call, number))
        with pytest.raises(StorageUnavailable) as refusal:
            store.put([b"x"])
    assert refusal.value.code == "STORAGE_UNAVAILABLE"
    assert files(tmp_path / "store") == []
    assert descriptor_count(tmp_path) == descriptors


@pytest.mark.parametrize("staged_objects", [1, 5])
def test_failed_flush_of_a_file_is_never_a_success_later(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staged_objects: int
) -> None:
    """After a failed fsync the kernel answers the next one with success, though the bytes are lost."""
    staged = [store.put([bytes([number])]) for number in range(staged_objects)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing("fsync", errno.ENOSPC))
        with pytest.raises(StorageUnavailable):
            store.commit(staged)
    assert list(store.addresses()) == []
    with pytest.raises(StorageUnavailable, match="put them again"):
        store.commit(staged)
    store.discard(staged)
    assert (
        len(store.commit([store.put([bytes([number])]) for number in range(staged_objects)]))
        == staged_objects
    )


def test_after_an_input_output_error_nothing_is_promised_any_more(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [before] = store.commit([store.put([b"before"])])
    staged = store.put([b"x"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing("fsync", errno.EIO))
        with pytest.raises(StorageUnavailable):
            store.commit([staged])
    with pytest.raises(StorageUnavailable, match="restart"):
        store.commit([store.put([b"another"])])
    with pytest.raises(StorageUnavailable):
        store.extend(before.address, UNTIL)
    assert b"".join(store.read(before.address)) == b"before"
    again = FilesystemObjectStore(tmp_path / "store")
    assert len(again.commit([again.put([b"x"]), again.put([b"another"])])) == 2


def test_failed_flush_of_a_folder(store: FilesystemObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    staged = store.put([b"x"])
    with monkeypatch.context() as patch:
        whole = os.fsync
        patch.setattr(
            os, "fsync", lambda fd: whole(fd) if not _is_folder(fd) else failing("fsync", errno.ENOSPC)(fd)
        )
        with pytest.raises(StorageUnavailable):
            store.commit([staged])
    flushed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: flushed.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
        [stored] = store.commit([staged])  # repeating is harmless, and flushes all of it again
    assert any(path.endswith(stored.address) for path in flushed)
    assert any(path.endswith("/objects") for path in flushed)
    assert any(path.endswith(f"/objects/{stored.address[:2]}") for path in flushed)


def _is_folder(fd: int) -> bool:
    return Path(f"/proc/self/fd/{fd}").is_dir()


@pytest.mark.parametrize("call", ["link", "mkdir"])
def test_failed_naming(store: FilesystemObjectStore, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    staged = store.put([b"x"])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(call, errno.ENOSPC))
        with pytest.raises(StorageUnavailable):
            store.commit([staged])
    assert list(store.addresses()) == []
    [stored] = store.commit([staged])
    assert b"".join(store.read(stored.address)) == b"x"


def test_a_date_the_file_system_cannot_hold(
    store: FilesystemObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.utime
    limit = 2**31 * 10**9
    with monkeypatch.context() as patch:
        patch.setattr(filesystem_staging.os, "utime", lambda fd, ns: whole(fd, ns=(0, min(limit, ns[1]))))
        with pytest.raises(StorageUnavailable, match="retention"):
            store.put([b"x"], UNTIL)
        store.discard([store.put([b"x"], datetime(2037, 1, 1, tzinfo=UTC))])


def test_unreadable_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for backend in (FilesystemObjectStore, FilesystemLogStore, FilesystemRecordStore):
        with pytest.raises(StorageUnavailable):
            backend(tmp_path / "file" / "store")


@pytest.mark.parametrize("instead", [False, True])
def test_nothing_is_written_in_the_place_of_a_volume_that_went_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: bool
) -> None:
    volume, gone = tmp_path / "volume", tmp_path / "unmounted"
    objects = FilesystemObjectStore(volume / "objects")
    log, records = FilesystemLogStore(volume / "log"), FilesystemRecordStore(volume / "records")
    staged = objects.put([b"x"])
    write_temporary = filesystem_disk.Disk.write_temporary

    def leave() -> None:
        volume.rename(gone)
        if instead:
            # An opening under way when it left may have made all of it anew.
            for name in ("objects/staging", "objects/objects", "log/.staging", "records/.staging"):
                (volume / name).mkdir(parents=True)

    def written_then_left(disk: filesystem_disk.Disk, data: bytes, mode: int) -> str:
        path = write_temporary(disk, data, mode)
        leave()
        return path

    def come_back() -> None:
        assert [path for path in files(volume) if path.name != ".lock"] == []
        shutil.rmtree(volume, ignore_errors=True)
        gone.rename(volume)

    monkeypatch.setattr(filesystem_disk.Disk, "write_temporary", written_then_left)
    writes: list[Callable[[], object]] = [
        lambda: log.put_if_absent("tile/0/000", b"x", ""),
        lambda: log.compare_and_swap("checkpoint", None, b"x", ""),
        lambda: records.write("doc", b"x"),
    ]
    for write in writes:
        with pytest.raises(StorageUnavailable):
            write()
        come_back()
    leave()
    with pytest.raises(StorageUnavailable):
        objects.commit([staged])
    come_back()
    objects.commit([staged])
    assert b"".join(objects.read(staged.address)) == b"x"
    objects.close()


@pytest.mark.parametrize("instead", [False, True])
@pytest.mark.parametrize("kind", ["objects", "log", "records"])
def test_nothing_counts_as_absent_in_the_place_of_a_volume_that_went_away(
    tmp_path: Path, kind: str, instead: bool
) -> None:
    volume, gone = tmp_path / "volume", tmp_path / "unmounted"
    reads: list[Callable[[], object]]
    if kind == "objects":
        objects = FilesystemObjectStore(volume)
        [stored] = objects.commit([objects.put([b"x"])])
        name, listed, remove = stored.address, objects.addresses, objects.delete
        reads = [
            lambda: objects.read(name),
            lambda: objects.stat(name),
            lambda: objects.extend(name, UNTIL),
            lambda: objects.repair(name, [b"x"]),
        ]
    elif kind == "log":
        log = FilesystemLogStore(volume)
        name, listed, remove = "tile/0/000", log.list, log.remove
        log.put_if_absent(name, b"x", "")
        reads = [lambda: log.get(name), lambda: list(log.list("tile/0/"))]
    else:
        records = FilesystemRecordStore(volume)
        name, listed, remove = "doc", records.names, records.delete
        records.write(name, b"x")
        reads = [lambda: records.read(name), lambda: records.copies(name)]
    for ask in (*reads, lambda: list(listed()), lambda: remove(name)):
        volume.rename(gone)
        if instead:
            volume.mkdir()
        with pytest.raises(StorageUnavailable):
            ask()
        shutil.rmtree(volume, ignore_errors=True)
        gone.rename(volume)
        assert list(listed()) == [name]
    remove(name)
    assert list(listed()) == []


def test_a_store_keeps_its_folder_open_as_long_as_it_is_used(tmp_path: Path) -> None:
    def holders() -> int:
        links = Path("/proc/self/fd").iterdir()
        return sum(link.is_symlink() and link.readlink() == tmp_path / "records" for link in links)

    store = FilesystemRecordStore(tmp_path / "records")
    store.write("doc", b"x")
    # Only a folder that is in use keeps its number on every file system, and with the number it is known again.
    assert holders() == 1
    del store
    gc.collect()
    assert holders() == 0


def test_log_and_records_on_a_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, records = FilesystemLogStore(tmp_path / "log"), FilesystemRecordStore(tmp_path / "records")
    log.compare_and_swap("checkpoint", None, b"1", "")
    records.write("doc", b"1")
    actions: list[Callable[[], None]] = [
        lambda: log.put_if_absent("tile", b"x", ""),
        lambda: log.compare_and_swap("checkpoint", b"1", b"2", ""),
        lambda: records.write("doc", b"2"),
    ]
    for call in ("write", "fsync", "fchmod"):
        for action in actions:
            with monkeypatch.context() as patch:
                patch.setattr(os, call, failing(call, errno.ENOSPC))
                with pytest.raises(StorageUnavailable):
                    action()
    assert list(log.list()) == ["checkpoint"]
    assert (log.get("checkpoint"), records.read("doc")) == (b"1", b"1")
    assert files(tmp_path / "log/.staging") == files(tmp_path / "records/.staging") == []


def test_discard_and_forgetting_close_descriptors(store: FilesystemObjectStore, tmp_path: Path) -> None:
    descriptors = descriptor_count(tmp_path)
    staged = [store.put([b"x"]) for _ in range(5)]
    assert descriptor_count(tmp_path) == descriptors + 5
    store.discard(staged[:2])
    del staged
    assert descriptor_count(tmp_path) == descriptors
    store.commit([store.put([bytes([number])]) for number in range(5)])
    assert descriptor_count(tmp_path) == descriptors
    assert files(tmp_path / "store/staging") == []


CRASH = """
import os, signal, sys
from pathlib import Path
from storage import filesystem_objects
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore, FilesystemRecordStore
root = Path(sys.argv[1])
if sys.argv[2] == "named":
    filesystem_objects.can_stage_unnamed = lambda disk: False
store = FilesystemObjectStore(root / "objects")
log, records = FilesystemLogStore(root / "log"), FilesystemRecordStore(root / "records")
store.commit([store.put([b"kept"])])
staged = store.put([b"lost"])
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "log":
    os.link = die
    log.put_if_absent("tile/0/000", b"x", "")
elif sys.argv[3] == "records":
    os.replace = os.rename = die
    Path.replace = die
    records.write("doc", b"x")
os.fsync = die
store.commit([staged])
"""


@pytest.mark.parametrize("staging", ["named", "unnamed"])
@pytest.mark.parametrize("where", ["objects", "log", "records"])
def test_a_crash_leaves_only_what_the_sweep_removes(tmp_path: Path, staging: str, where: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), staging, where],
        check=False,
        cwd=Path(filesystem_objects.__file__).parent.parent,
        timeout=60,
    )
    assert ended.returncode == -9
    store = FilesystemObjectStore(tmp_path / "objects")
    log, records = FilesystemLogStore(tmp_path / "log"), FilesystemRecordStore(tmp_path / "records")
    assert [b"".join(store.read(address)) for address in store.addresses()] == [b"kept"]
    assert [*log.list(), *records.names()] == []
    stores = {"objects": store, "log": log, "records": records}
    assert stores[where].sweep_staging(timedelta(hours=1)) == 0  # it may be an upload that still runs
    time.sleep(0.02)
    expected = {
        "objects": int(staging == "named"),
        "log": int(where == "log"),
        "records": int(where == "records"),
    }
    assert {name: each.sweep_staging(timedelta(0)) for name, each in stores.items()} == expected
    assert [path.name for path in files(tmp_path) if "staging" in str(path)] == []


WRITER = """
import sys
from pathlib import Path
from storage.filesystem import FilesystemLogStore, FilesystemObjectStore
from storage.errors import LogConflict
store, log = FilesystemObjectStore(Path(sys.argv[1]) / "store"), FilesystemLogStore(Path(sys.argv[1]) / "log")
for turn in range(40):
    store.commit([store.put([b"%d" % turn]), store.put([b"%d %s" % (turn, sys.argv[2].encode())])])
done = 0
while done < 20:
    try:
        old = log.get("head")
        log.compare_and_swap("head", old, b"%d" % (int(old) + 1), "")
        done += 1
    except LogConflict:
        pass
"""


def test_several_processes(tmp_path: Path) -> None:
    FilesystemLogStore(tmp_path / "log").put_if_absent("head", b"0", "")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number)],
            cwd=Path(filesystem_objects.__file__).parent.parent,
        )
        for number in range(3)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(list(FilesystemObjectStore(tmp_path / "store").addresses())) == 40 + 3 * 40
    assert FilesystemLogStore(tmp_path / "log").get("head") == b"60"
    assert files(tmp_path / "log/.staging") == files(tmp_path / "store/staging") == []


def test_closed_store(store: FilesystemObjectStore) -> None:
    staged = [store.put([b"a"]), store.put([b"b"])]
    store.close()
    with pytest.raises(StorageUnavailable):
        store.commit(staged)


@pytest.mark.parametrize(
    "change", [{"sync_threads": 0}, {"sync_threads": 65}, {"gather_seconds": -1}, {"max_group": 0}]
)
def test_senseless_settings(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="sync_threads"):
        replace(FilesystemConfig(), **change)


class Groups:
    """Runs groups slowly, noting their sizes."""

    def __init__(self, seconds: float, window: float, limit: int = 64) -> None:
        self.sizes: list[int] = []
        self.seconds = seconds
        self.commit: GroupCommit[int, int] = GroupCommit(self.run, window, limit)

    def run(self, items: list[int]) -> list[int]:
        self.sizes.append(len(items))
        time.sleep(self.seconds)
        return [item * 2 for item in items]


def _all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_a_lone_caller_does_not_wait() -> None:
    groups = Groups(0, window=5)
    start = time.monotonic()
    for number in range(20):
        assert groups.commit.submit([number]) == [number * 2]
    assert time.monotonic() - start < 1
    assert groups.sizes == [1] * 20


def test_a_crowd_is_served_in_groups() -> None:
    groups = Groups(0.005, window=0.02)
    results: list[list[int]] = []

    def work(number: int) -> None:
        for _ in range(10):
            results.append(groups.commit.submit([number, number + 100]))
            assert results[-1][0] % 2 == 0

    _all([threading.Thread(target=work, args=(number,)) for number in range(8)])
    assert sorted(results) == sorted([number * 2, number * 2 + 200] for number in range(8) for _ in range(10))
    assert sum(groups.sizes) == 160
    assert len(groups.sizes) < 40


def test_waiting_ends_with_the_window() -> None:
    groups = Groups(0.01, window=0.5)
    _all([threading.Thread(target=groups.commit.submit, args=([number],)) for number in range(6)])
    start = time.monotonic()
    groups.commit.submit([1])
    assert time.monotonic() - start < 5
    start = time.monotonic()
    groups.commit.submit([1])  # the crowd is gone, and known to be gone
    assert time.monotonic() - start < 0.45


def test_groups_have_a_limit_and_a_caller_stays_whole() -> None:
    groups = Groups(0.01, window=0.002, limit=4)
    _all([threading.Thread(target=groups.commit.submit, args=([number] * 3,)) for number in range(6)])
    assert groups.sizes == [3] * 6
    assert groups.commit.submit(list(range(100))) == [item * 2 for item in range(100)]


def test_an_interrupted_leader_harms_only_its_group() -> None:
    interrupted = threading.Event()

    def run(items: list[int]) -> list[int]:
        time.sleep(0.02)
        if 13 in items and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return items

    commit: GroupCommit[int, int] = GroupCommit(run, 0.002, 2)
    outcomes: list[str] = []

    def work(number: int) -> None:
        try:
            assert commit.submit([number]) == [number]
            outcomes.append("done")
        except StorageUnavailable:
            outcomes.append("again")
        except KeyboardInterrupt:
            outcomes.append("interrupted")

    _all([threading.Thread(target=work, args=(number,)) for number in range(8, 20)])
    assert outcomes.count("interrupted") == 1
    assert outcomes.count("again") <= 1
    assert outcomes.count("done") >= 10
    assert commit.submit([13]) == [13]
