"""Changes and their recovery files, document keys, keyed digests: each changed octet or swapped row is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import KeyRefused, ObjectDamaged, ObjectMissing
from storage.filesystem import FilesystemRecordStore
from storage.keys import LocalKeyWrapper
from vault.core.keyring import Keyring
from vault.errors import LedgerError
from vault.records.book import RecordBook
from vault.records.changes import RECORD, SEQ, Change
from vault.recovery.records import group_start

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
VALUES = st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=20).filter(lambda t: t.isprintable()) | (
    st.binary(max_size=40)
) | st.sampled_from([SEQ, RECORD])  # fmt: skip
ROWS = st.dictionaries(NAMES, VALUES, max_size=5)


@given(
    st.builds(
        Change,
        document_id=NAMES,
        tag=st.binary(min_size=32, max_size=32) | st.just(b""),
        commitment=st.binary(min_size=32, max_size=32) | st.just(b""),
        inserts=st.lists(st.tuples(NAMES, ROWS), max_size=4).map(tuple),
        updates=st.lists(st.tuples(NAMES, ROWS, ROWS), max_size=3).map(tuple),
        deletes=st.lists(st.tuples(NAMES, ROWS), max_size=3).map(tuple),
    )
)
def test_a_change_comes_back_as_it_was(change: Change) -> None:
    assert Change.decode(change.encode()) == change


@given(st.binary(max_size=200))
def test_other_octets_are_no_change(data: bytes) -> None:
    with pytest.raises(LedgerError, match="recovery record"):
        Change.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"null",
        b"{}",
        b'{"v":2}',
        b'{"v":1,"document":"d","tag":"zz","commitment":"","inserts":[],"updates":[],"deletes":[]}',
        b'{"v":1,"document":"d","tag":"","commitment":"","inserts":[["t"]],"updates":[],"deletes":[]}',
        b'{"v":1,"document":"d","tag":"","commitment":"","inserts":[["t",[]]],"updates":[],"deletes":[]}',
        b'{"v":1,"document":"d","tag":"","commitment":"","inserts":[["t",{"a":{}}]],"updates":[],"deletes":[]}',
        b'{"v":1,"document":"d","tag":"","commitment":"","inserts":0,"updates":[],"deletes":[]}',
    ],
)
def test_json_of_another_shape_is_no_change(data: bytes) -> None:
    with pytest.raises(LedgerError) as caught:
        Change.decode(data)
    assert caught.value.code == "RECORD_INVALID"


@pytest.fixture
def wrapper(tmp_path: Path) -> LocalKeyWrapper:
    return LocalKeyWrapper.create(tmp_path / "kek")


@pytest.fixture
def store(tmp_path: Path) -> FilesystemRecordStore:
    return FilesystemRecordStore(tmp_path / "records")


@pytest.fixture
def book(store: FilesystemRecordStore, wrapper: LocalKeyWrapper) -> RecordBook:
    return RecordBook(store, wrapper)


def test_records_come_back_in_order_and_lie_encrypted(book: RecordBook, store: FilesystemRecordStore) -> None:
    book.write("f", [b"premier", b"", b"troisieme" * 1000])
    assert book.read("f") == [b"premier", b"", b"troisieme" * 1000]
    assert b"premier" not in store.read("f")
    with pytest.raises(ObjectMissing):
        book.read("h")


def test_any_octet_changed_and_any_cut_is_seen(book: RecordBook, store: FilesystemRecordStore) -> None:
    records = [b"premier", b"second"]
    book.write("f", records)
    whole = store.read("f")
    for place in range(len(whole)):
        for bit in (1, 128):
            changed = bytearray(whole)
            changed[place] ^= bit
            store.write("f", bytes(changed))
            with pytest.raises((ObjectDamaged, KeyRefused)):
                book.read("f")
    for length in range(len(whole)):
        store.write("f", whole[:length])
        with pytest.raises((ObjectDamaged, KeyRefused)):
            book.read("f")
    for longer in (whole + b"\0", whole + whole[-30:]):
        store.write("f", longer)
        with pytest.raises(ObjectDamaged):
            book.read("f")


def test_files_and_records_cannot_be_swapped(book: RecordBook, store: FilesystemRecordStore) -> None:
    book.write("f", [b"aaaa", b"bbbb"])
    book.write("g", [b"cccc", b"dddd"])
    f, g = store.read("f"), store.read("g")
    store.write("g", f)
    with pytest.raises(KeyRefused):
        book.read("g")
    size = len(f) - 2 * (4 + 1 + 12 + 4 + 16)
    head, first, second = f[:size], f[size : size + 37], f[size + 37 :]
    for mixed in (
        head + second + first,
        head + first + first,
        head + second,
        head + g[size:],
        g[:size] + first + second,
    ):
        store.write("f", mixed)
        with pytest.raises((ObjectDamaged, KeyRefused)):
            book.read("f")


def test_rewriting_keeps_what_is_wished_under_a_new_key(
    book: RecordBook, store: FilesystemRecordStore
) -> None:
    book.write("f", [b"a", b"b", b"c"])
    before = store.read("f")
    assert book.rewrite("f", lambda record: record != b"b")
    assert book.read("f") == [b"a", b"c"]
    assert store.read("f")[6:60] != before[6:60]
    kept = store.read("f")
    assert not book.rewrite("f", lambda record: True)
    assert store.read("f") == kept
    assert book.rewrite("f", lambda record: False)
    assert list(book.names()) == []
    assert not book.rewrite("f", lambda record: False)


def test_names_tell_where_a_group_began() -> None:
    assert group_start("0000000000000042-20260101000000000-abcdef") == 42
    assert group_start("0000000000000000-aa") == 0
    for other in ("safe_00000000000000000000000000", "administration-mairie", "12-ab", "0000000000000042-"):
        assert group_start(other) is None


@pytest.fixture
def keyring(wrapper: LocalKeyWrapper) -> Keyring:
    return Keyring(wrapper, b"k" * 32)


def test_a_key_opens_for_its_own_row_only(keyring: Keyring) -> None:
    first, second = keyring.new_key("doc_a"), keyring.new_key("doc_b")
    assert keyring.open_key("doc_a", first.wrapped) == first
    for swapped in (
        ("doc_a", second.wrapped),
        ("doc_b", first.wrapped),
        ("doc_a", b""),
        ("doc_a", b"\1" * 69),
    ):
        with pytest.raises(KeyRefused):
            keyring.open_key(*swapped)


def test_a_value_opens_for_its_own_row_and_column_only(keyring: Keyring) -> None:
    first, second = keyring.new_key("doc_a"), keyring.new_key("doc_b")
    sealed = first.seal("private", b"secret")
    assert first.open("private", sealed) == b"secret"
    for key, role in ((first, "opening-status-0"), (second, "private")):
        with pytest.raises(ObjectDamaged):
            key.open(role, sealed)
    assert b"secret" not in repr(first).encode()
    assert first.key.hex() not in repr(first)
    assert repr(first.key) not in repr(first)


@given(st.lists(st.text(max_size=8), max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_keyed_digests_are_equal_only_for_equal_values(one: list[str], other: list[str]) -> None:
    keyring = Keyring(_NoWrapper(), b"k" * 32)
    same = [value.encode("utf-8", "surrogatepass") for value in one] == [
        value.encode("utf-8", "surrogatepass") for value in other
    ]
    first = keyring.index("kind", *(value.encode("utf-8", "surrogatepass") for value in one))
    second = keyring.index("kind", *(value.encode("utf-8", "surrogatepass") for value in other))
    assert (first == second) is same
    assert first != keyring.index("other", *(value.encode("utf-8", "surrogatepass") for value in one))
    assert first != Keyring(_NoWrapper(), b"l" * 32).index(
        "kind", *(value.encode("utf-8", "surrogatepass") for value in one)
    )


class _NoWrapper:
    def wrap(self, key: bytes, associated_data: bytes) -> bytes:
        raise AssertionError

    def unwrap(self, wrapped: bytes, associated_data: bytes) -> bytes:
        raise AssertionError
