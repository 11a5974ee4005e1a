"""Destroyed means gone: from the database file, its log, the recovery records; and races with readers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from storage.errors import StorageUnavailable
from vault.bootstrap import open_vault
from vault.db import models
from vault.domain.documents import NewDocument, Outcome
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, Unavailable, VaultError
from vault.service import Vault
from vault.settings import Settings

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    opened = open_vault(Settings(data=tmp_path / "data", retention_days=0, publish_interval=0.02))
    yield opened
    opened.close()


def deposit(vault: Vault, key: str = "k", content: bytes = b"une piece") -> Outcome:
    new = NewDocument("camille", "Titre secret", "p.txt")
    holder = vault.personas.named("camille").actor
    return vault.submissions.deposit(holder, new, iter((content,)), Transfer(key))


def destroy(vault: Vault, document_id: str) -> int:
    return vault.lifecycle.destroy(vault.personas.named("exploitant").actor, document_id)


def wrapped_key(vault: Vault, document_id: str) -> bytes:
    table = models.documents
    with vault.parts.database.reading() as connection:
        found = connection.scalar(select(table.c.wrapped_key).where(table.c.id == document_id))
    assert isinstance(found, bytes)
    return found


def holds_key(vault: Vault, document_id: str) -> bool:
    """Tell whether a recovery record still holds the document's key."""
    records = (data for name in vault.parts.records.names() for data in vault.parts.records.read(name))
    return any(document_id.encode() in data and b'"wrapped_key":{"b64"' in data for data in records)


def files_with(folder: Path, octets: bytes) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and octets in file.read_bytes()]


def test_no_file_holds_the_wrapped_key_after_a_destruction(vault: Vault, each_database: str) -> None:
    document_id = deposit(vault).document_id
    key = wrapped_key(vault, document_id)
    data = vault.settings.data
    # PostgreSQL's own files are elsewhere; what becomes of it there, `PostgresqlBackend.scrub` says.
    if each_database == "sqlite":
        assert files_with(data, key) == ["probans.db-wal"] or "probans.db" in files_with(data, key)
    destroy(vault, document_id)
    assert files_with(data, key) == []


def test_a_destruction_that_could_not_rewrite_the_records_is_finished_when_repeated(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    document_id = deposit(vault).document_id

    def full(*_: object) -> bool:
        raise StorageUnavailable("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(vault.parts.records, "rewrite", full)
        with pytest.raises(Unavailable, match="no space"):
            destroy(vault, document_id)
    assert destroy(vault, document_id) > 0
    assert not holds_key(vault, document_id)
    with pytest.raises(Conflict, match="STATE_CONFLICT"):
        destroy(vault, document_id)


@pytest.mark.parametrize("instead", [False, True])
def test_a_destruction_is_not_finished_while_the_records_are_away(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, instead: bool
) -> None:
    """In the place of a volume that is not mounted there is no record; the volume brings it back."""
    document_id = deposit(vault).document_id
    folder = vault.settings.data / "records"
    forget = vault.lifecycle._forget

    def forget_while_away(document: str) -> None:
        folder.rename(folder.with_name("unmounted"))
        if instead:
            folder.mkdir()
        try:
            forget(document)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name("unmounted").rename(folder)

    with monkeypatch.context() as patched:
        patched.setattr(vault.lifecycle, "_forget", forget_while_away)
        with pytest.raises(Unavailable, match="the store"):
            destroy(vault, document_id)
    assert holds_key(vault, document_id)
    assert vault.lifecycle.finish_destructions() == 1
    assert not holds_key(vault, document_id)
    assert vault.lifecycle.finish_destructions() == 0


def test_a_document_under_retention_is_not_destroyed(tmp_path: Path) -> None:
    vault = open_vault(Settings(data=tmp_path / "data"), background=False)
    try:
        document_id = deposit(vault).document_id
        with pytest.raises(Conflict, match="RETENTION_ACTIVE"):
            destroy(vault, document_id)
        assert wrapped_key(vault, document_id)
    finally:
        vault.close()


def after(monkeypatch: pytest.MonkeyPatch, target: object, name: str, then: Callable[[], object]) -> None:
    """Run something once, right after the next call of a method."""
    method = getattr(target, name)
    pending = [then]

    def replacement(*args: object, **named: object) -> object:
        result = method(*args, **named)
        if pending:
            pending.pop()()
        return result

    monkeypatch.setattr(target, name, replacement)


@pytest.mark.parametrize("what", ["original", "bundle", "describe", "receipt"])
def test_a_document_destroyed_while_it_is_read_gives_a_plain_refusal_or_its_octets(
    vault: Vault, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    document_id = deposit(vault).document_id
    holder = vault.personas.named("camille").actor
    # After the entry of the read is durable, before anything is fetched.
    after(monkeypatch, vault.reading._journal, "note", lambda: destroy(vault, document_id))
    with suppress(NotFound):  # anything else is a failure
        if what == "receipt":
            vault.reading.receipt(holder, document_id, "", 1.0)
        elif what == "describe":
            vault.reading.describe(holder, document_id, "")
        else:
            download = getattr(vault.reading, what)(holder, document_id, "")
            b"".join(download.read(0, None))
    with pytest.raises(NotFound):
        vault.reading.original(holder, document_id, "")


def test_readers_and_a_destroyer_at_once_see_only_octets_or_refusals(vault: Vault) -> None:
    document_id = deposit(vault).document_id
    holder = vault.personas.named("camille").actor
    wrong: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                download = vault.reading.original(holder, document_id, "")
                assert b"".join(download.read(0, None)) == b"une piece"
                vault.reading.bundle(holder, document_id, "")
            except VaultError:
                pass
            except BaseException as error:  # what must not be seen
                wrong.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    destroy(vault, document_id)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_a_document_destroyed_while_it_is_healed_stays_destroyed(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    from timestamping.errors import AuthorityUnavailable

    authority = vault.authority
    assert authority is not None

    def down(imprint: bytes) -> object:
        raise AuthorityUnavailable("down")

    vault.healer.close()
    with monkeypatch.context() as patched:
        patched.setattr(authority, "token", down)
        document_id = deposit(vault).document_id
    after(monkeypatch, authority, "token", lambda: destroy(vault, document_id))
    pipeline = vault.healer._pipeline
    pipeline.seal_waiting(document_id)
    table = models.documents
    with vault.parts.database.reading() as connection:
        row = connection.execute(select(table).where(table.c.id == document_id)).mappings().one()
    assert (row["status"], row["wrapped_key"], row["sealing"]) == ("destroyed", None, "waiting")
