"""Sealed values, wrapped keys and the key file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.encryption import LocalKeyWrapper, new_key, open_value, seal_value
from storage.errors import KeyRefused, ObjectDamaged, StorageUnavailable

KEY = new_key()
KEK = {b"kek-0001": bytes(range(32)), b"kek-0002": bytes(range(1, 33))}


@given(st.binary(max_size=300), st.binary(max_size=50))
def test_values_come_back(plain: bytes, associated_data: bytes) -> None:
    value = seal_value(plain, KEY, associated_data)
    assert len(value) == 1 + 12 + len(plain) + 16
    assert open_value(value, KEY, associated_data) == plain


def test_value_changed_in_any_octet_or_cut() -> None:
    value = seal_value(b"name", KEY, b"column")
    for position in range(len(value)):
        changed = bytearray(value)
        changed[position] ^= 1
        for bad in (bytes(changed), value[:position], value + b"\0"):
            with pytest.raises(ObjectDamaged):
                open_value(bad, KEY, b"column")


def test_value_under_other_key_or_column() -> None:
    value = seal_value(b"name", KEY, b"column")
    for key, column in ((KEY, b"other"), (new_key(), b"column"), (KEY[:31], b"column"), (b"", b"column")):
        with pytest.raises(ObjectDamaged):
            open_value(value, key, column)
    with pytest.raises(ValueError, match="32"):
        seal_value(b"name", KEY[:16], b"column")


def test_wrapped_form() -> None:
    wrapper = LocalKeyWrapper(KEK, b"kek-0001")
    wrapped = wrapper.wrap(KEY, b"doc_1")
    assert wrapped[:9] == b"\x01kek-0001"
    assert len(wrapped) == 1 + 8 + 12 + 32 + 16
    assert wrapper.unwrap(wrapped, b"doc_1") == KEY
    assert wrapper.wrap(KEY, b"doc_1") != wrapped


def test_swapped_wrapped_keys_are_refused() -> None:
    wrapper = LocalKeyWrapper(KEK, b"kek-0001")
    rows = {name: wrapper.wrap(new_key(), name) for name in (b"doc_1", b"doc_2")}
    for name, other in ((b"doc_1", b"doc_2"), (b"doc_2", b"doc_1")):
        with pytest.raises(KeyRefused) as refusal:
            wrapper.unwrap(rows[other], name)
        assert refusal.value.code == "KEY_REFUSED"


def test_wrapped_key_changed_in_any_octet_or_cut() -> None:
    wrapper = LocalKeyWrapper(KEK, b"kek-0001")
    wrapped = wrapper.wrap(KEY, b"doc_1")
    for position in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[position] ^= 3  # turns the id of the first key into that of the second
        for bad in (bytes(changed), wrapped[:position], wrapped + b"\0"):
            with pytest.raises(KeyRefused):
                wrapper.unwrap(bad, b"doc_1")


def test_old_keys_still_unwrap() -> None:
    old = LocalKeyWrapper(KEK, b"kek-0001").wrap(KEY, b"doc_1")
    new = LocalKeyWrapper(KEK, b"kek-0002")
    assert new.active == b"kek-0002"
    assert new.unwrap(old, b"doc_1") == KEY
    with pytest.raises(KeyRefused):
        LocalKeyWrapper({b"kek-0002": KEK[b"kek-0002"]}, b"kek-0002").unwrap(old, b"doc_1")


@pytest.mark.parametrize(
    ("keys", "active"),
    [
        ({}, b"kek-0001"),
        (KEK, b"kek-0003"),
        ({b"kek": bytes(32)}, b"kek"),
        ({b"kek-0001": bytes(16)}, b"kek-0001"),
    ],
)
def test_senseless_keys(keys: dict[bytes, bytes], active: bytes) -> None:
    with pytest.raises(KeyRefused):
        LocalKeyWrapper(keys, active)


def test_keys_are_not_shown() -> None:
    shown = repr(LocalKeyWrapper(KEK, b"kek-0001"))
    assert b"kek-0001".hex() in shown
    assert all(key.hex() not in shown and repr(key) not in shown for key in KEK.values())


def test_key_file(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "kek.json"
    made = LocalKeyWrapper.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["kek.json"]
    assert LocalKeyWrapper.load(path).unwrap(made.wrap(KEY, b"d"), b"d") == KEY


def test_key_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kek.json"
    made: list[LocalKeyWrapper] = []
    refused: list[KeyRefused] = []

    def create() -> None:
        try:
            made.append(LocalKeyWrapper.create(path))
        except KeyRefused as refusal:
            refused.append(refusal)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert LocalKeyWrapper.load(path).active == made[0].active
    assert [each.name for each in tmp_path.iterdir()] == ["kek.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek.json"
    LocalKeyWrapper.create(path)
    path.chmod(mode)
    with pytest.raises(KeyRefused, match="owner alone"):
        LocalKeyWrapper.load(path)


GOOD = {"active": "00" * 8, "format": "probans/key-encryption-keys/v1", "keys": {"00" * 8: "11" * 32}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        json.dumps({**GOOD, "format": "probans/key-encryption-keys/v2"}).encode(),
        json.dumps({**GOOD, "more": 1}).encode(),
        json.dumps({**GOOD, "keys": []}).encode(),
        json.dumps({**GOOD, "keys": {"00" * 8: 5}}).encode(),
        json.dumps({**GOOD, "keys": {"00" * 8: "11" * 16}}).encode(),
        json.dumps({**GOOD, "active": None}).encode(),
        json.dumps({**GOOD, "active": "01" * 8}).encode(),
        json.dumps({"active": "", "keys": {}}).encode(),
    ],
)
def test_damaged_key_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyRefused):
        LocalKeyWrapper.load(path)


def test_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        LocalKeyWrapper.load(tmp_path / "none")
