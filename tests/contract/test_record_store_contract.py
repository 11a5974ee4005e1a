"""The contract of `RecordStore`, on every backend."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from storage.base import RecordStore
from storage.errors import NameRefused, ObjectMissing


def test_write_replace_delete(record_store: RecordStore) -> None:
    record_store.write("doc_1", b"one")
    record_store.write("doc_1", b"two")
    assert record_store.read("doc_1") == b"two"
    record_store.delete("doc_1")
    record_store.delete("doc_1")
    with pytest.raises(ObjectMissing):
        record_store.read("doc_1")
    assert list(record_store.names()) == []


def test_every_copy_is_shown(record_store: RecordStore) -> None:
    assert list(record_store.copies("doc_1")) == []
    record_store.add("doc_1", b"one")
    assert set(record_store.copies("doc_1")) == {b"one"}
    record_store.write("doc_1", b"two")
    assert set(record_store.copies("doc_1")) == {b"two"}
    with pytest.raises(NameRefused):
        record_store.add("../x", b"one")
    assert list(record_store.copies("../x")) == []


def test_names_are_sorted(record_store: RecordStore) -> None:
    names = [f"doc_{number:03}" for number in range(300)]
    for name in reversed(names):
        record_store.write(name, name.encode())
    assert list(record_store.names()) == names
    assert all(record_store.read(name) == name.encode() for name in names)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".staging", "é", "a\n", "a\0", "x" * 129])
def test_bad_names(record_store: RecordStore, name: str) -> None:
    with pytest.raises(NameRefused):
        record_store.write(name, b"x")
    with pytest.raises(ObjectMissing):
        record_store.read(name)
    record_store.delete(name)
    assert list(record_store.names()) == []


def test_readers_see_old_or_new(record_store: RecordStore) -> None:
    values = [bytes([number]) * 50_000 for number in range(16)]
    record_store.write("shared", values[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(record_store.read("shared"))

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=record_store.write, args=("shared", value)) for value in values]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert seen <= set(values)
    assert record_store.read("shared") in values


def test_deleted_while_others_write_and_delete_the_same(record_store: RecordStore) -> None:
    failures: list[BaseException] = []

    def again_and_again(act: Callable[[], None]) -> None:
        try:
            for _ in range(40):
                act()
        except BaseException as error:
            failures.append(error)

    def write() -> None:
        record_store.write("shared", b"x" * 100)

    def delete() -> None:
        record_store.delete("shared")

    threads = [
        threading.Thread(target=again_and_again, args=(act,)) for act in (write, delete, delete, delete)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    record_store.delete("shared")
    assert list(record_store.names()) == []
