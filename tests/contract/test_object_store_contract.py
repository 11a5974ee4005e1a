"""The contract of `ObjectStore`, on every backend."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from storage.base import ObjectStore, Stored
from storage.errors import ObjectDamaged, ObjectMissing, RetentionActive, StorageUnavailable

DAY = timedelta(days=1)


def store_one(store: ObjectStore, data: bytes, until: datetime | None = None) -> Stored:
    [stored] = store.commit([store.put([data], until)])
    return stored


def whole(store: ObjectStore, address: str) -> bytes:
    return b"".join(store.read(address))


@pytest.mark.parametrize("size", [0, 1, 20_000, 3_000_000, 6_000_000])
def test_bytes_come_back_under_their_hash(object_store: ObjectStore, size: int) -> None:
    data = random.Random(size).randbytes(size)
    chunks = [data[start : start + 65_521] for start in range(0, size, 65_521)]
    staged = object_store.put(chunks)
    assert (staged.address, staged.size) == (hashlib.sha256(data).hexdigest(), size)
    assert object_store.commit([staged]) == [Stored(staged.address, size, None)]
    assert whole(object_store, staged.address) == data
    assert object_store.stat(staged.address) == Stored(staged.address, size, None)


def test_staged_bytes_are_not_readable(object_store: ObjectStore) -> None:
    staged = object_store.put([b"not yet"])
    with pytest.raises(ObjectMissing):
        object_store.read(staged.address)
    with pytest.raises(ObjectMissing):
        object_store.stat(staged.address)
    assert list(object_store.addresses()) == []
    object_store.discard([staged])


def test_ranges(object_store: ObjectStore) -> None:
    data = random.Random(1).randbytes(700_000)
    address = store_one(object_store, data).address
    for offset, length in [
        (0, None),
        (0, 0),
        (1, 1),
        (262_143, 2),
        (699_999, 1),
        (5, 699_995),
        (600_000, None),
    ]:
        end = None if length is None else offset + length
        assert b"".join(object_store.read(address, offset, length)) == data[offset:end]
    assert b"".join(object_store.read(address, 699_999, 10)) == data[699_999:]
    assert b"".join(object_store.read(address, 700_000, 1)) == b""
    assert b"".join(object_store.read(address, 800_000)) == b""


@pytest.mark.parametrize("arguments", [(-1, None), (0, -1)])
def test_negative_range_is_refused(object_store: ObjectStore, arguments: tuple[int, int | None]) -> None:
    address = store_one(object_store, b"x").address
    with pytest.raises(ValueError, match="not negative"):
        object_store.read(address, *arguments)


def test_reading_streams(object_store: ObjectStore) -> None:
    address = store_one(object_store, bytes(5_000_000)).address
    sizes = [len(chunk) for chunk in object_store.read(address)]
    assert sum(sizes) == 5_000_000
    assert max(sizes) <= 1 << 20


def test_reader_may_stop_midway(object_store: ObjectStore) -> None:
    address = store_one(object_store, bytes(1_000_000)).address
    reader = object_store.read(address)
    next(iter(reader))
    del reader
    object_store.delete(address)


@pytest.mark.parametrize(
    "address", ["0" * 64, "", "../../etc/passwd", "A" * 64, "é" * 64, "0" * 63 + "\n", "\0"]
)
def test_unknown_address(object_store: ObjectStore, address: str) -> None:
    actions: list[Callable[[], object]] = [
        lambda: object_store.read(address),
        lambda: object_store.stat(address),
        lambda: object_store.delete(address),
        lambda: object_store.extend(address, datetime(2040, 1, 1, tzinfo=UTC)),
    ]
    for action in actions:
        with pytest.raises(ObjectMissing) as refusal:
            action()
        assert refusal.value.code == "OBJECT_MISSING"


def test_committing_nothing(object_store: ObjectStore) -> None:
    assert object_store.commit([]) == []


def test_put_that_fails_midway_leaves_nothing(object_store: ObjectStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"the beginning"
        raise ConnectionResetError("client went away")

    with pytest.raises(ConnectionResetError):
        object_store.put(broken())
    assert list(object_store.addresses()) == []
    with pytest.raises(ObjectMissing):
        object_store.stat(hashlib.sha256(b"the beginning").hexdigest())


def test_discarded_bytes_cannot_be_committed(object_store: ObjectStore) -> None:
    staged = object_store.put([b"dropped"])
    object_store.discard([staged])
    object_store.discard([staged])
    with pytest.raises(StorageUnavailable):
        object_store.commit([staged])
    assert list(object_store.addresses()) == []


def test_same_bytes_twice_is_success(object_store: ObjectStore) -> None:
    first = store_one(object_store, b"same")
    assert store_one(object_store, b"same") == first
    both = object_store.commit([object_store.put([b"twin"]), object_store.put([b"tw", b"in"])])
    assert both[0] == both[1]
    assert sorted(object_store.addresses()) == sorted([first.address, both[0].address])


def test_commit_may_be_repeated(object_store: ObjectStore) -> None:
    staged = [object_store.put([b"a"]), object_store.put([b"b"])]
    assert object_store.commit(staged) == object_store.commit(staged)


def test_retention_is_never_kept_shorter(object_store: ObjectStore, clock) -> None:
    until = datetime(2055, 6, 7, 8, 9, 10, 123457, tzinfo=timezone(timedelta(hours=2)))
    stored = store_one(object_store, b"kept", until)
    assert stored.retain_until is not None
    assert until <= stored.retain_until <= until + clock.step
    assert object_store.stat(stored.address) == stored
    assert object_store.extend(stored.address, until) == stored


@pytest.mark.parametrize("until", [datetime(2050, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)])  # noqa: DTZ001
def test_senseless_retention_is_refused(object_store: ObjectStore, until: datetime) -> None:
    with pytest.raises(ValueError, match="retention"):
        object_store.put([b"x"], until)


def test_later_retention_wins(object_store: ObjectStore, clock) -> None:
    now = clock.now()
    assert store_one(object_store, b"x").retain_until is None
    assert store_one(object_store, b"x", now + 2 * DAY).retain_until == now + 2 * DAY
    assert store_one(object_store, b"x", now + DAY).retain_until == now + 2 * DAY
    assert store_one(object_store, b"x").retain_until == now + 2 * DAY
    stored = store_one(object_store, b"x", now + 3 * DAY)
    assert object_store.stat(stored.address).retain_until == now + 3 * DAY


def test_retention_is_lengthened_never_shortened(object_store: ObjectStore, clock) -> None:
    now = clock.now()
    address = store_one(object_store, b"x").address
    assert object_store.extend(address, now + DAY).retain_until == now + DAY
    assert object_store.extend(address, now + DAY).retain_until == now + DAY
    assert object_store.extend(address, now + 2 * DAY).retain_until == now + 2 * DAY
    with pytest.raises(RetentionActive) as refusal:
        object_store.extend(address, now + DAY)
    assert refusal.value.code == "RETENTION_ACTIVE"
    assert object_store.stat(address).retain_until == now + 2 * DAY


def test_retention_is_never_shortened_even_when_it_is_over(object_store: ObjectStore, clock) -> None:
    until = clock.now() + clock.short
    address = store_one(object_store, b"x", until).address
    clock.reach(until)
    with pytest.raises(RetentionActive):
        object_store.extend(address, until - timedelta(seconds=1))
    assert object_store.stat(address).retain_until == until


def test_deletion_waits_for_the_end_of_retention(object_store: ObjectStore, clock) -> None:
    until = clock.now() + clock.short
    stored = store_one(object_store, b"x", until)
    with pytest.raises(RetentionActive):
        object_store.delete(stored.address)
    clock.just_before(until)
    with pytest.raises(RetentionActive):
        object_store.delete(stored.address)
    assert whole(object_store, stored.address) == b"x"
    clock.reach(until)
    object_store.delete(stored.address)
    with pytest.raises(ObjectMissing):
        object_store.stat(stored.address)
    with pytest.raises(ObjectMissing):
        object_store.delete(stored.address)
    assert list(object_store.addresses()) == []
    assert store_one(object_store, b"x").retain_until is None


def test_deletion_without_retention(object_store: ObjectStore) -> None:
    address = store_one(object_store, b"x").address
    object_store.delete(address)
    with pytest.raises(ObjectMissing):
        object_store.read(address)


def test_many_threads(object_store: ObjectStore, clock) -> None:
    """32 threads commit own and shared objects; each is there as soon as its commit returns."""
    failures: list[BaseException] = []
    together = threading.Barrier(32)
    until = clock.now() + DAY

    def work(number: int) -> None:
        try:
            together.wait()
            for turn in range(8):
                own = os.urandom(500 + number)
                shared = f"shared {turn}".encode()
                staged = [object_store.put([own]), object_store.put([shared], until if number % 2 else None)]
                mine, ours = object_store.commit(staged)
                assert whole(object_store, mine.address) == own
                assert whole(object_store, ours.address) == shared
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    addresses = list(object_store.addresses())
    assert len(addresses) == len(set(addresses)) == 32 * 8 + 8
    for turn in range(8):
        address = hashlib.sha256(f"shared {turn}".encode()).hexdigest()
        assert object_store.stat(address).retain_until == until


def test_commit_delete_and_extend_at_once(object_store: ObjectStore, clock) -> None:
    """Whatever the order of deletions, an object committed or extended under retention stays."""
    until = clock.now() + DAY
    failures: list[BaseException] = []

    def guarded(action: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            for turn in range(60):
                try:
                    action(turn)
                except (ObjectMissing, RetentionActive):
                    pass
                except BaseException as failure:
                    failures.append(failure)

        return run

    def content(turn: int) -> bytes:
        return f"object {turn % 10}".encode()

    def keep(turn: int) -> None:
        stored = store_one(object_store, content(turn), until if turn >= 50 else None)
        if turn >= 50:
            assert object_store.stat(stored.address).retain_until == until

    def delete(turn: int) -> None:
        object_store.delete(hashlib.sha256(content(turn)).hexdigest())

    threads = [threading.Thread(target=guarded(action)) for action in (keep, keep, delete, delete)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(object_store.addresses())) == 10


def test_what_was_committed_is_no_oddity(object_store: ObjectStore, clock) -> None:
    for turn in range(3):
        for _ in range(2):
            store_one(object_store, f"object {turn}".encode(), clock.now() + DAY if turn else None)
    assert list(object_store.oddities()) == []


def test_damaged_octets_are_replaced_by_right_ones_only(object_store: ObjectStore, clock) -> None:
    """What stands right stays; its lock may become longer, never shorter."""
    until = clock.now() + 2 * DAY
    address = store_one(object_store, b"right", until).address
    with pytest.raises(ObjectDamaged):
        object_store.repair(address, [b"wrong"])
    assert object_store.repair(address, [b"ri", b"ght"], until - DAY).retain_until == until
    assert object_store.repair(address, [b"right"], until + DAY).retain_until == until + DAY
    assert whole(object_store, address) == b"right"
    with pytest.raises(ObjectMissing):
        object_store.repair(hashlib.sha256(b"other").hexdigest(), [b"other"])
    assert list(object_store.oddities()) == []


def test_durability_is_said(object_store: ObjectStore, backend: str) -> None:
    said = object_store.durability()
    assert said.note.endswith(".")
    # Of two sites that both keep what is acknowledged, one on a disk of ours suffices.
    assert said.survives_power_loss == (backend not in {"memory", "versitygw", "pair-versitygw"})
    assert said.immutable_for_operator is False


def test_staged_by_another_store(object_store: ObjectStore) -> None:
    from dataclasses import replace

    staged = object_store.put([b"x"])
    with pytest.raises(TypeError):
        object_store.commit([replace(staged, handle=object())])
    object_store.discard([staged])
