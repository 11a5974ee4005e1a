"""A change of the key-encryption key: while others write, killed anywhere, and an old key that is still needed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from storage.encryption import object_associated_data
from storage.errors import KeyRefused
from storage.key_files import KeyFileChanger, read_file, replace_file
from storage.keys import LocalKeyWrapper
from storage.wrapped import named_key
from tests.services.database import lose
from vault.bootstrap import open_parts, open_vault
from vault.cli.main import build
from vault.clock import SystemClock, rfc3339
from vault.core import faults
from vault.db import models
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Conflict, NotFound, SettingsRefused
from vault.records.changes import Change
from vault.sealing.encryption_rotation import GRACE, EncryptionRotation
from vault.sealing.rewrapping import COLUMN, OWNERS, Rewrapping, tables
from vault.service import Vault
from vault.settings import Settings

EACH = pytest.mark.usefixtures("each_database")
POINTS = (
    "encryption.added",
    "encryption.activated",
    "encryption.before-rows",
    "encryption.after-rows",
    "encryption.before-record",
    "encryption.after-record",
)


class Later(SystemClock):
    """A clock that can be moved on."""

    ahead = timedelta(0)

    def now(self):  # type: ignore[no-untyped-def]
        return super().now() + self.ahead


def settings_in(folder: Path) -> Settings:
    return Settings(data=folder / "data", publish_interval=0.05)


def key_path(vault: Vault) -> Path:
    return vault.settings.keys_folder / "key-encryption.key"


def rotation_of(vault: Vault, clock: SystemClock | None = None) -> EncryptionRotation:
    parts = vault.parts
    rewrapping = Rewrapping(parts.database, parts.keyring, parts.records)
    changer = KeyFileChanger(key_path(vault))
    return EncryptionRotation(parts.database, changer, rewrapping, clock or parts.clock)


def deposit(vault: Vault, key: str, content: bytes) -> str:
    holder = vault.personas.named("camille").actor
    new = NewDocument("camille", "Pièce", f"{key}.xml")
    return vault.submissions.deposit(holder, new, iter((content,)), Transfer(key)).document_id


def read(vault: Vault, document_id: str) -> bytes:
    holder = vault.personas.named("camille").actor
    return b"".join(vault.reading.original(holder, document_id, "").read(0, None))


def named(vault: Vault) -> set[bytes]:
    """Ids of every key-encryption key that a row, a recovery file or a row within one names."""
    found: set[bytes] = set()
    with vault.parts.database.reading() as connection:
        for table in tables():
            column = table.c[COLUMN]
            found |= {
                named_key(each) for each in connection.scalars(select(column).where(column.is_not(None)))
            }
    for name in vault.parts.records.names():
        own, records = vault.parts.records.opened(name)
        found.add(own)
        for change in map(Change.decode, records):
            rows = [row for _, row in (*change.inserts, *change.remains)] + [
                row for _, _, row in change.updates
            ]
            found |= {named_key(row[COLUMN]) for row in rows if isinstance(row.get(COLUMN), bytes)}
    return found


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    opened = open_vault(settings_in(tmp_path), background=False)
    yield opened
    faults.install(None)
    opened.close()


def test_every_table_with_a_wrapped_key_is_known() -> None:
    assert {table.name for table in tables()} == set(OWNERS)
    # An owner is told from the row's primary key alone.
    for table in tables():
        (primary,) = table.primary_key.columns
        value = b"\x01" * 32 if primary.name == "state_ix" else "x"
        assert OWNERS[table.name]({primary.name: value})


@EACH
def test_everything_is_wrapped_anew_and_no_object_is_touched(vault: Vault) -> None:
    first = deposit(vault, "a", b"<a/>")
    old = read_file(key_path(vault)).active
    objects = sorted(vault.parts.objects.addresses())
    with vault.parts.database.reading() as connection:
        rows = sum(
            connection.scalar(select(func.count()).where(table.c[COLUMN].is_not(None))) for table in tables()
        )
    done = rotation_of(vault).rotate()
    assert (done.old, done.resumed, done.done.findings) == ((old,), False, [])
    assert (done.done.rows, done.done.records) == (rows, len(list(vault.parts.records.names()))), "each once"
    assert named(vault) == {done.active} != {old}
    assert sorted(vault.parts.objects.addresses()) == objects
    assert read(vault, first) == b"<a/>"
    assert read(vault, deposit(vault, "b", b"<b/>")) == b"<b/>"
    assert named(vault) == {done.active}


def test_another_process_takes_part_without_being_told(vault: Vault, tmp_path: Path) -> None:
    document = deposit(vault, "a", b"<a/>")
    other = open_vault(settings_in(tmp_path), background=False)
    try:
        done = rotation_of(vault).rotate()
        assert read(other, document) == b"<a/>"
        deposit(other, "b", b"<b/>")
        assert named(vault) == {done.active}
    finally:
        other.close()


@EACH
def test_what_is_written_meanwhile_is_found(vault: Vault) -> None:
    stop, failures, written = threading.Event(), [], {}

    def issue(worker: int) -> None:
        number = 0
        while not stop.is_set():
            content = f"<a>{worker}-{number}</a>".encode()
            try:
                written[deposit(vault, f"{worker}-{number}", content)] = content
            except Exception as error:
                failures.append(error)
            number += 1

    threads = [threading.Thread(target=issue, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        done = rotation_of(vault).rotate()
    stop.set()
    for thread in threads:
        thread.join()
    rotation_of(vault)._rewrapping.run(done.active)
    assert not failures
    assert written
    assert named(vault) == {done.active}
    assert all(read(vault, document) == content for document, content in written.items())


def test_an_upload_that_began_before_is_wrapped_by_the_next_call(vault: Vault) -> None:
    """Its key was drawn before the change, its row came after the last look."""
    old = read_file(key_path(vault)).active
    wrapped: list[bytes] = []

    def late(point: str) -> None:
        if point == "pipeline.sealed" and not wrapped:
            wrapped.append(rotation_of(vault).rotate().active)

    faults.install(late)
    document = deposit(vault, "a", b"<a/>")
    faults.install(None)
    assert named(vault) == {old, wrapped[0]}
    clock = Later()
    clock.ahead = GRACE + timedelta(hours=1)
    with pytest.raises(Conflict) as caught:
        rotation_of(vault, clock).retire(old)
    assert caught.value.code == "KEY_IN_USE"
    done = rotation_of(vault).rotate()
    assert (done.resumed, done.active) == (True, wrapped[0]), "finished, and no third key"
    assert named(vault) == {done.active}
    assert read(vault, document) == b"<a/>"


CHILD = """
import os, signal, sys
from pathlib import Path
from vault.core import faults
from vault.bootstrap import open_vault
from vault.settings import Settings
sys.path.insert(0, sys.argv[3])
from tests.integration.test_encryption_rotation import rotation_of

vault = open_vault(Settings(data=Path(sys.argv[1])), background=False)
faults.install(lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == sys.argv[2] else None)
rotation_of(vault).rotate()
"""


@pytest.mark.parametrize("point", POINTS)
def test_a_change_killed_at_any_step_is_finished(tmp_path: Path, point: str) -> None:
    settings = settings_in(tmp_path)
    vault = open_vault(settings, background=False)
    documents = {deposit(vault, name, name.encode()): name.encode() for name in ("a", "b")}
    vault.close()
    repository = str(Path(__file__).parents[2])
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(settings.data), point, repository], check=False, timeout=120
    )
    assert child.returncode == -signal.SIGKILL
    vault = open_vault(settings, background=False)
    try:
        # Before anything is finished, everything can be read.
        assert {each: read(vault, each) for each in documents} == documents
        done = rotation_of(vault).rotate()
        assert done.resumed is True
        assert len(read_file(key_path(vault)).keys) == 2, "one change, not two"
        assert named(vault) == {done.active}
        assert {each: read(vault, each) for each in documents} == documents
        assert rotation_of(vault).rotate().resumed is False, "what is finished is not finished again"
    finally:
        vault.close()


@EACH
def test_a_key_is_taken_out_when_nothing_names_it(vault: Vault, tmp_path: Path) -> None:
    document = deposit(vault, "a", b"<a/>")
    old = read_file(key_path(vault)).active
    clock = Later()
    rotation = rotation_of(vault, clock)

    def code(name: bytes) -> str:
        with pytest.raises((Conflict, NotFound)) as caught:
            rotation.retire(name)
        return caught.value.code

    assert code(old) == "KEY_IN_USE", "it is the active one"
    assert code(b"8 octets") == "UNKNOWN_KEY"
    following = rotation.prepare()
    assert rotation.prepare() == following, "asked twice, one key"
    assert code(following) == "KEY_IN_USE"
    assert read_file(key_path(vault)).active == old
    assert rotation.rotate().active == following
    assert code(old) == "KEY_RECENT"
    clock.ahead = GRACE + timedelta(seconds=1)
    row = models.documents
    kept = old_wrap(vault, old, document)
    with vault.parts.database.writing() as connection:
        now = connection.scalar(select(row.c.wrapped_key).where(row.c.id == document))
        connection.execute(update(row).where(row.c.id == document).values(wrapped_key=kept))
    assert code(old) == "KEY_IN_USE", "a row names it"
    with vault.parts.database.writing() as connection:
        connection.execute(update(row).where(row.c.id == document).values(wrapped_key=now))
    rotation.retire(old)
    assert set(read_file(key_path(vault)).keys) == {following}
    assert read(vault, document) == b"<a/>"
    with pytest.raises(KeyRefused):
        vault.parts.keyring.open_key(document, kept)
    # A share code that nobody gave is refused as before: the decoy was wrapped by the old key.
    with pytest.raises(NotFound):
        vault.people.sharing.openings.open("AAAA-BBBB", "secret")


def old_wrap(vault: Vault, old: bytes, document: str) -> bytes:
    """The document's key as the old key would wrap it."""
    parts = vault.parts
    with parts.database.reading() as connection:
        row = models.documents
        wrapped = connection.scalar(select(row.c.wrapped_key).where(row.c.id == document))
    keys = read_file(key_path(vault)).keys
    key = parts.keyring.open_key(document, wrapped).key
    return LocalKeyWrapper(keys, old).wrap(key, object_associated_data(document, "key"))


def test_a_recovery_file_alone_keeps_a_key(vault: Vault) -> None:
    deposit(vault, "a", b"<a/>")
    old = read_file(key_path(vault)).active
    name = next(iter(vault.parts.records.names()))
    before = vault.parts.records._store.read(name)
    clock = Later()
    rotation = rotation_of(vault, clock)
    rotation.rotate()
    clock.ahead = 2 * GRACE
    vault.parts.records._store.write(name, before)
    with pytest.raises(Conflict) as caught:
        rotation.retire(old)
    assert (caught.value.code, caught.value.params["count"]) == ("KEY_IN_USE", 1)
    vault.parts.records._store.write(name, b"damaged")
    with pytest.raises(Conflict):
        rotation.retire(old)


def test_what_cannot_be_opened_is_told_and_does_not_stop_the_rest(vault: Vault) -> None:
    first, second = deposit(vault, "a", b"<a/>"), deposit(vault, "b", b"<b/>")
    row = models.documents
    with vault.parts.database.writing() as connection:
        damaged = connection.scalar(select(row.c.wrapped_key).where(row.c.id == first))
        connection.execute(update(row).where(row.c.id == first).values(wrapped_key=damaged[:-1] + b"\x00"))
    done = rotation_of(vault).rotate()
    assert [finding for finding in done.done.findings if first in finding]
    assert read(vault, second) == b"<b/>"
    again = rotation_of(vault).rotate()
    assert again.resumed is False, "what nobody can open does not keep a next change from beginning"


def test_destruction_beside_the_change_stays_destruction(vault: Vault) -> None:
    document = deposit(vault, "a", b"<a/>")
    parts = vault.parts

    def destroy(point: str) -> None:
        if point == "encryption.before-record":
            faults.install(None)
            for name in list(parts.records.names()):
                parts.records.rewrite(name, lambda data: Change.decode(data).document_id != document)
            row = models.documents
            with parts.database.writing() as connection:
                connection.execute(update(row).where(row.c.id == document).values(wrapped_key=None))

    faults.install(destroy)
    rotation_of(vault).rotate()
    records = [record for name in parts.records.names() for record in parts.records.read(name)]
    assert records
    assert not any(Change.decode(record).document_id == document for record in records)
    with parts.database.reading() as connection:
        row = models.documents
        assert connection.scalar(select(row.c.wrapped_key).where(row.c.id == document)) is None


@EACH
def test_a_safe_is_recovered_from_records_of_after_the_change(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    vault = open_vault(settings, background=False)
    clock = Later()
    try:
        document = deposit(vault, "a", b"<a/>")
        old = read_file(key_path(vault)).active
        rotation = rotation_of(vault, clock)
        rotation.rotate()
        clock.ahead = 2 * GRACE
        rotation.retire(old)
    finally:
        vault.close()
    lose(settings.database_address)
    parts = open_parts(settings)
    try:
        report = parts.recovery().run(SystemClock())
    finally:
        parts.close()
    assert report.findings == []
    vault = open_vault(settings, background=False)
    try:
        assert read(vault, document) == b"<a/>"
    finally:
        vault.close()


@EACH
def test_one_change_at_a_time(vault: Vault) -> None:
    with vault.parts.database.leading("encryption"), pytest.raises(Conflict) as caught:
        rotation_of(vault).rotate()
    assert caught.value.code == "KEYS_CHANGING"


def test_the_command(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    vault = open_vault(settings, background=False)
    document = deposit(vault, "a", b"<a/>")
    path = key_path(vault)
    old = read_file(path).active
    vault.close()

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(
            build(["keys"]), ["keys", "rotate-encryption", "--data", str(settings.data), *arguments]
        )
        assert result.exit_code == code, result.output
        return result.output

    assert "--add-only" in run("--add-only")
    assert read_file(path).active == old
    assert old.hex() in run()
    run("--retire", old.hex(), code=1)
    run("--retire", "no hex", code=2)
    read_back = read_file(path)
    assert read_back.active != old
    long_ago = rfc3339(SystemClock().now() - 2 * GRACE)
    replace_file(path, replace(read_back, activated=long_ago))
    assert "sauvegardes" in run("--retire", old.hex())
    assert set(read_file(path).keys) == {read_back.active}
    vault = open_vault(settings, background=False)
    try:
        assert read(vault, document) == b"<a/>"
    finally:
        vault.close()


def test_an_old_copy_at_another_site_is_renewed_and_keeps_the_key(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit(vault, "a", b"<a/>")
    old = read_file(key_path(vault)).active
    store = vault.parts.records._store
    name = next(iter(vault.parts.records.names()))
    elsewhere = {name: store.read(name)}
    rotation, clock = rotation_of(vault), Later()
    rotation.rotate()
    copies, write = store.copies, store.write

    def written(each: str, data: bytes) -> None:
        elsewhere.pop(each, None)
        write(each, data)

    monkeypatch.setattr(store, "copies", lambda each: [*copies(each), *filter(None, [elsewhere.get(each)])])
    monkeypatch.setattr(store, "write", written)
    clock.ahead = 2 * GRACE
    with pytest.raises(Conflict) as caught:
        rotation_of(vault, clock).retire(old)
    assert caught.value.code == "KEY_IN_USE"
    assert rotation.rotate().resumed is True
    elsewhere[name] = b"damaged"
    assert rotation.rotate().resumed is True, "a copy that is damaged is written from the one that is not"
    assert elsewhere == {}
    rotation_of(vault, clock).retire(old)


def test_keys_of_another_safe_are_refused_at_the_start(tmp_path: Path) -> None:
    """Its ledger keys are right, so nothing else would say it before a document cannot be read."""
    settings, other = settings_in(tmp_path / "a"), settings_in(tmp_path / "b")
    for each in (settings, other):
        open_vault(each, background=False).close()
    path = settings.keys_folder / "key-encryption.key"
    own = path.read_bytes()
    path.write_bytes((other.keys_folder / "key-encryption.key").read_bytes())
    with pytest.raises(SettingsRefused) as caught:
        open_vault(settings, background=False)
    assert (caught.value.code, "nothing of this safe" in str(caught.value)) == ("KEYS_UNUSABLE", True)
    path.write_bytes(own)
    open_vault(settings, background=False).close()
