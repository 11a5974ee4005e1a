"""Files that an operator replaces for a service that runs under another name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from signing.cabinet_table import write_file
from storage.errors import StorageUnavailable
from storage.key_files import KeyFileChanger
from storage.key_token_file import TokenKeyFile, read_token_file, write_token_file
from storage.keys import LocalKeyWrapper

SERVICE = (10_001, 10_002)


@pytest.fixture
def closed_umask() -> Iterator[None]:
    former = os.umask(0o077)
    yield
    os.umask(former)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Let every file look as if it belonged to the service; return to whom new ones are given."""
    found: list[tuple[int, int]] = []
    true_stat = Path.stat

    def stat(path: Path, **how: bool) -> os.stat_result:
        fields = list(true_stat(path, **how))
        fields[4:6] = SERVICE
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr(os, "fchown", lambda _fd, owner, group: found.append((owner, group)))
    return found


def test_a_changed_key_file_stays_the_service_s(tmp_path: Path, given: list[tuple[int, int]]) -> None:
    path = tmp_path / "key-encryption.key"
    LocalKeyWrapper.create(path)
    KeyFileChanger(path).add()
    assert given == [SERVICE]


def test_a_key_file_that_would_be_closed_to_the_service_is_not_changed(
    tmp_path: Path, given: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key-encryption.key"
    LocalKeyWrapper.create(path)
    before = path.read_bytes()

    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(StorageUnavailable):
        KeyFileChanger(path).add()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("closed_umask")
def test_what_names_keys_can_be_read_by_the_service(tmp_path: Path, given: list[tuple[int, int]]) -> None:
    path, place = tmp_path / "key-encryption.key", {"module": "m", "pin_file": "pin", "token": "t"}
    for _ in range(2):
        write_token_file(path, TokenKeyFile(place, frozenset({bytes(8)}), bytes(8)))
    assert given == [SERVICE]
    assert read_token_file(path).active == bytes(8)
    write_file(tmp_path / "cabinet.json", b"{}", 0o644)
    write_file(tmp_path / "key.p12", b"")
    modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert modes == {"key-encryption.key": 0o644, "cabinet.json": 0o644, "key.p12": 0o600}
