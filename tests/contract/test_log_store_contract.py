"""The contract of `LogStore`, on every backend."""

from __future__ import annotations

import threading

import pytest

from storage.base import LogStore
from storage.errors import LogConflict, NameRefused, ObjectMissing

TEXT = "text/plain; charset=utf-8"
BAD_PATHS = [
    "",
    "/checkpoint",
    "../checkpoint",
    "tile/../../x",
    "tile/./x",
    "tile//x",
    "tile/",
    ".lock",
    ".staging/x",
    "tile/.hidden",
    "a b",
    "a\0b",
    "a\\b",
    "é",
    "a\n",
    "x" * 129,
    "/".join(["a"] * 17),
]


def test_written_once(log_store: LogStore) -> None:
    log_store.put_if_absent("tile/0/x001/234", b"tile", "application/octet-stream")
    log_store.put_if_absent("tile/0/x001/234", b"tile", "application/octet-stream")
    with pytest.raises(LogConflict) as refusal:
        log_store.put_if_absent("tile/0/x001/234", b"other", "application/octet-stream")
    assert refusal.value.code == "LOG_CONFLICT"
    assert log_store.get("tile/0/x001/234") == b"tile"


def test_empty_file_is_not_an_absent_one(log_store: LogStore) -> None:
    log_store.put_if_absent("empty", b"", TEXT)
    assert log_store.get("empty") == b""
    with pytest.raises(LogConflict):
        log_store.compare_and_swap("empty", None, b"x", TEXT)
    log_store.compare_and_swap("empty", b"", b"x", TEXT)
    assert log_store.get("empty") == b"x"


def test_compare_and_swap(log_store: LogStore) -> None:
    with pytest.raises(LogConflict):
        log_store.compare_and_swap("checkpoint", b"0", b"1", TEXT)
    log_store.compare_and_swap("checkpoint", None, b"1", TEXT)
    log_store.compare_and_swap("checkpoint", b"1", b"2", TEXT)
    for old in (None, b"1", b"22", b""):
        with pytest.raises(LogConflict):
            log_store.compare_and_swap("checkpoint", old, b"3", TEXT)
    assert log_store.get("checkpoint") == b"2"


@pytest.mark.parametrize("path", BAD_PATHS)
def test_bad_paths(log_store: LogStore, path: str) -> None:
    with pytest.raises(NameRefused) as refusal:
        log_store.put_if_absent(path, b"x", TEXT)
    assert refusal.value.code == "NAME_REFUSED"
    with pytest.raises(NameRefused):
        log_store.compare_and_swap(path, None, b"x", TEXT)
    with pytest.raises(ObjectMissing):
        log_store.get(path)
    log_store.remove(path)
    assert list(log_store.list()) == []


def test_missing(log_store: LogStore) -> None:
    with pytest.raises(ObjectMissing):
        log_store.get("checkpoint")
    log_store.put_if_absent("tile/0/000", b"x", TEXT)
    for path in ("tile", "tile/0", "tile/0/000/1"):
        with pytest.raises(ObjectMissing):
            log_store.get(path)
    log_store.remove("tile/0/001")
    log_store.remove("other/0/001")


def test_a_path_is_a_file_or_a_folder(log_store: LogStore) -> None:
    log_store.put_if_absent("tile/0/000", b"x", TEXT)
    for path in ("tile", "tile/0", "tile/0/000/1", "tile/0/000/1/2"):
        with pytest.raises(LogConflict):
            log_store.put_if_absent(path, b"y", TEXT)
        with pytest.raises(LogConflict):
            log_store.compare_and_swap(path, None, b"y", TEXT)
    assert list(log_store.list()) == ["tile/0/000"]


def test_listing_is_sorted_and_by_prefix(log_store: LogStore) -> None:
    paths = [
        "tile/0/000.p/1",
        "tile/0/000.p/12",
        "tile/0/000",
        "tile/0/x001/000",
        "tile/1/000",
        "tile-1",
        "checkpoint",
    ]
    for path in paths:
        log_store.put_if_absent(path, path.encode(), TEXT)
    assert list(log_store.list()) == sorted(paths)
    for prefix in (
        "tile",
        "tile/",
        "tile/0",
        "tile/0/000",
        "tile/0/000.p/",
        "tile/0/000.p/1",
        "check",
        "nothing/",
        "../",
    ):
        assert list(log_store.list(prefix)) == sorted(path for path in paths if path.startswith(prefix)), (
            prefix
        )


def test_removal(log_store: LogStore) -> None:
    log_store.put_if_absent("tile/0/000.p/7", b"x", TEXT)
    log_store.remove("tile/0/000.p/7")
    log_store.remove("tile/0/000.p/7")
    assert list(log_store.list()) == []
    log_store.put_if_absent("tile/0/000.p/7", b"y", TEXT)
    assert log_store.get("tile/0/000.p/7") == b"y"


def test_one_writer_wins(log_store: LogStore) -> None:
    """32 threads put different bytes: one succeeds, the others are told."""
    outcomes: list[str] = []
    together = threading.Barrier(32)

    def work(number: int) -> None:
        together.wait()
        try:
            log_store.put_if_absent("tile/0/000", str(number).encode(), TEXT)
        except LogConflict:
            outcomes.append("refused")
        else:
            outcomes.append(str(number))

    _run(work, 32)
    [winner] = [outcome for outcome in outcomes if outcome != "refused"]
    assert len(outcomes) == 32
    assert log_store.get("tile/0/000") == winner.encode()


def test_counting_by_compare_and_swap(log_store: LogStore) -> None:
    log_store.put_if_absent("head", b"0", TEXT)

    def work(_: int) -> None:
        done = 0
        while done < 5:
            old = log_store.get("head")
            try:
                log_store.compare_and_swap("head", old, str(int(old) + 1).encode(), TEXT)
            except LogConflict:
                continue
            done += 1

    _run(work, 8)
    assert log_store.get("head") == b"40"


def _run(work, count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
