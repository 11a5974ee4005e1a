"""A log is retired and the next generation begins: nothing of the old one is lost, and nothing can be left out."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from api.app import create_app
from signing.trust import TrustStore
from storage.errors import StorageError
from vault.audit.contents import audit_safe
from vault.bootstrap import open_parts, open_vault
from vault.cli.main import build
from vault.db.engine import Database
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import LedgerError, SettingsRefused, VaultError
from vault.evidence.ledger_source import FolderLedger
from vault.evidence.verify import verify_file
from vault.ledger.audit import audit_agreement, audit_database
from vault.ledger.checkpoint import Checkpoint, verify_checkpoint
from vault.ledger.errors import LedgerProofRefused
from vault.ledger.files import LogReader
from vault.ledger.generations import check_previous, generation_of, predecessor, prefix_of
from vault.ledger.note import Note
from vault.ledger.policy import Policy
from vault.ledger.published import audit_published
from vault.ledger.receipt import parse_receipt, verify_receipt
from vault.ledger.retirement import read_notice
from vault.ledger.stored import entry_body
from vault.ledger.watch import Alarm, Watcher
from vault.maintenance.new_generation import Begun, begin_generation
from vault.service import Vault
from vault.settings import Settings

FIRST = "probans.example/ledger/1"
SECOND = "probans.example/ledger/2"


class Site:
    """A safe with some documents, which will lose its ledger."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.folder = folder
        self.ids: list[str] = []

    def settings(self, origin: str = FIRST) -> Settings:
        return Settings(data=self.data, origin=origin, publish_interval=0.02)

    def open(self, origin: str = FIRST) -> Vault:
        return open_vault(self.settings(origin), background=False)

    def fill(self, vault: Vault, count: int) -> None:
        camille = vault.personas.named("camille").actor
        for number in range(count):
            new = NewDocument("camille", "Pièce", f"piece-{number}.xml")
            content, transfer = b"<a>%d</a>" % len(self.ids), Transfer(f"k-{len(self.ids)}")
            outcome = vault.submissions.deposit(camille, new, iter((content,)), transfer)
            self.ids.append(outcome.document_id)

    def bundle(self, vault: Vault, document: str, name: str) -> Path:
        made = vault.reading.bundle(vault.personas.named("camille").actor, document, "")
        path = self.folder / name
        path.write_bytes(b"".join(made.read(0, None)))
        return path

    def begin(self, last: bytes | None = None) -> Begun:
        parts = open_parts(self.settings(SECOND), new_generation=True)
        try:
            return begin_generation(parts, FIRST, last)
        finally:
            parts.close()


def verdict(path: Path, vault: Vault, ledger: Path | None = None):
    return verify_file(
        path,
        trust=TrustStore.from_pem(vault.trust.roots_pem),
        tsa_trust=None,
        policy=Policy.parse(vault.trust.policy),
        ledger=FolderLedger(ledger) if ledger else None,
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    return Site(tmp_path)


def test_origins_and_places() -> None:
    assert [generation_of(origin) for origin in (FIRST, SECOND, "a/b", "a/12", "a/0", "a/100")] == [
        1,
        2,
        1,
        12,
        1,
        1,
    ]
    assert [predecessor(origin) for origin in (FIRST, SECOND, "a/b", "a/12")] == [None, FIRST, None, "a/11"]
    assert [prefix_of(origin) for origin in (FIRST, SECOND, "a/b")] == ["", "2/", ""]


def test_the_next_generation_holds_every_document_and_the_old_one_stays(site: Site) -> None:
    vault = site.open()
    site.fill(vault, 3)
    vault.rotation.rotate(timedelta(0))
    site.fill(vault, 2)
    bundle = site.bundle(vault, site.ids[0], "first.asice")
    receipt = vault.reading.receipt(vault.personas.named("camille").actor, site.ids[1], "", 5)
    assert receipt is not None
    with vault.parts.database.reading() as connection:
        body = entry_body(connection, parse_receipt(receipt).index)
    assert body is not None
    policy = Policy.parse(vault.trust.policy)
    vault.close()
    last = verify_checkpoint((site.data / "ledger/checkpoint").read_bytes(), policy)
    before = {path: path.read_bytes() for path in (site.data / "ledger").rglob("*") if path.is_file()}
    begun = site.begin()
    assert (begun.origin, begun.retired, begun.previous) == (SECOND, FIRST, last.size)
    assert begun.restated == last.size - 1
    assert begun.recovery.findings == []
    # Not an octet of the old log has changed.
    assert all(path.read_bytes() == data for path, data in before.items())
    # The first setting no longer fits.
    with pytest.raises(LedgerError) as caught:
        site.open()
    assert caught.value.code == "LEDGER_ORIGIN_MISMATCH"
    vault = site.open(SECOND)
    try:
        site.fill(vault, 2)
        both = Policy.parse(vault.trust.policy)
        assert {key.name for key in both.logs} == {FIRST, SECOND}
        # What was handed out before holds, with the old trust and with the new.
        for trusted in (policy, both):
            assert verify_receipt(receipt, body, trusted).checkpoint.origin == FIRST
        assert verdict(bundle, vault).exit_code == 0
        assert verdict(bundle, vault, site.data / "ledger").exit_code == 0
        # What is asked for again is proven by the new log, whole.
        judged = verdict(site.bundle(vault, site.ids[0], "second.asice"), vault, site.data / "ledger/2")
        assert judged.exit_code == 0, judged.as_json()
        assert judged.ledger is not None
        assert judged.ledger.origin == SECOND
        # Both are served, each at its place; each is sound, and so is the safe.
        assert Checkpoint.parse(vault.log_file("checkpoint")).size == last.size
        assert Checkpoint.parse(vault.log_file("2/checkpoint")).origin == SECOND
        for folder in ("ledger", "ledger/2"):
            assert audit_published(FolderLedger(site.data / folder), both).problems == []
        parts = vault.parts
        assert audit_database(parts.database, both).problems == []
        assert audit_agreement(parts.database, parts.log).problems == []
        assert audit_safe(parts.database, parts.keyring, parts.objects, parts.records).problems == []
        notice = Note.parse(vault.log_file("retired"))
        assert notice.text.decode().splitlines()[:3] == ["probans/retired/v1", FIRST, str(last.size)]
        client = TestClient(create_app(vault), base_url="http://127.0.0.1")
        for path in ("checkpoint", "2/checkpoint", "retired", "2/tile/0/000.p/" + str(_size(vault))):
            assert client.get(f"/ledger/{path}").content == vault.log_file(path)
        assert client.get("/ledger/checkpoint").headers["cache-control"] == "no-cache"
        assert client.get("/ledger/2/checkpoint").headers["cache-control"] == "no-cache"
        for path in ("1/checkpoint", "02/checkpoint", "2/2/checkpoint", "2/", "3/checkpoint"):
            assert client.get(f"/ledger/{path}").status_code == 404
        assert client.get("/v1/trust").json()["ledger"] == "/ledger/2/"
    finally:
        vault.close()
    # Called again it begins nothing.
    assert site.begin().restated == 0


def _size(vault: Vault) -> int:
    return Checkpoint.parse(vault.log_file("2/checkpoint")).size


def test_a_database_that_is_gone_with_its_published_entries(site: Site) -> None:
    """Rows and an entry bundle are lost: recovery cannot rebuild, records alone begin the next generation."""
    vault = site.open()
    site.fill(vault, 3)
    site.bundle(vault, site.ids[0], "first.asice")
    vault.close()
    for path in site.data.glob("probans.db*"):
        path.unlink()
    for path in (site.data / "ledger/tile/entries").rglob("*"):
        if path.is_file():
            path.unlink()
    parts = open_parts(site.settings())
    try:
        with pytest.raises((VaultError, StorageError)):
            parts.recovery().run(parts.clock)
    finally:
        parts.close()
    begun = site.begin()
    assert (begun.restated, begun.recovery.appended >= 4) == (0, True)
    vault = site.open(SECOND)
    try:
        for document in site.ids:
            judged = verdict(site.bundle(vault, document, "again.asice"), vault, site.data / "ledger/2")
            assert judged.exit_code == 0, judged.as_json()
        parts = vault.parts
        assert audit_safe(parts.database, parts.keyring, parts.objects, parts.records).problems == []
    finally:
        vault.close()


def test_what_is_refused(site: Site) -> None:
    vault = site.open()
    site.fill(vault, 1)
    vault.close()
    # A later generation does not begin by itself, neither here nor in an empty folder.
    with pytest.raises(LedgerError) as caught:
        site.open(SECOND)
    assert caught.value.code == "LEDGER_ORIGIN_MISMATCH"
    with pytest.raises(SettingsRefused):
        open_vault(Settings(data=site.folder / "empty", origin=SECOND))
    for origin, retired in (
        (SECOND, SECOND),
        (SECOND, "other/ledger/1"),
        ("probans.example/ledger/3", FIRST),
    ):
        parts = open_parts(site.settings(origin), new_generation=True)
        try:
            with pytest.raises(LedgerError) as caught:
                begin_generation(parts, retired)
            assert caught.value.code == "GENERATION_MISMATCH"
            assert f"PROBANS_ORIGIN is {origin}" in caught.value.detail
        finally:
            parts.close()
    # Without any checkpoint of the old log there is nothing to go on from.
    (site.data / "ledger/checkpoint").unlink()
    database = Database.open(f"sqlite:///{site.data / 'probans.db'}", site.data / "run")
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoints")
    database.close()
    with pytest.raises(LedgerError) as caught:
        site.begin()
    assert caught.value.code == "PREVIOUS_MISSING"


# --- attacks


def test_a_generation_that_leaves_published_entries_out(site: Site) -> None:
    """The operator goes on from an older checkpoint: whoever kept a newer one finds it."""
    vault = site.open()
    site.fill(vault, 1)
    vault.publisher.publish()
    vault.close()
    shutil.copytree(site.data, site.folder / "yesterday")
    vault = site.open()
    site.fill(vault, 2)
    vault.publisher.publish()
    policy = Policy.parse(vault.trust.policy)
    vkeys = vault.trust.vkeys_text
    vault.close()
    kept = site.folder / "kept"
    shutil.copytree(site.data / "ledger", kept)
    (site.folder / "old.vkeys").write_text(vkeys)
    runner = CliRunner()

    def run(*arguments: str) -> tuple[int, str]:
        done = runner.invoke(build(), list(arguments))
        return done.exit_code, done.output

    state = str(site.folder / "first.state")
    watch_first = ("watch", str(kept), "--vkeys", str(site.folder / "old.vkeys"), "--state", state, "--once")
    assert run(*watch_first)[0] == 0
    known = verify_checkpoint((kept / "checkpoint").read_bytes(), policy)
    # Database and stores of yesterday: two entries that were published are hidden.
    honest = Site(site.folder / "honest")
    shutil.copytree(site.data, honest.data)
    shutil.rmtree(site.data)
    shutil.copytree(site.folder / "yesterday", site.data)
    assert site.begin().previous < known.size
    assert honest.begin().previous == known.size
    for place, code, status in ((site, "PREVIOUS_OUTDATED", 1), (honest, "", 0)):
        parts = open_parts(place.settings(SECOND))
        text = parts.trusted.vkeys_text()
        parts.close()
        (place.folder / "both.vkeys").write_text(text)
        ledger = str(place.data / "ledger/2")
        trusted = ("--vkeys", str(place.folder / "both.vkeys"))
        for previous in (str(kept), str(kept / "checkpoint"), state):
            ended, told = run("audit", ledger, *trusted, "--previous", previous)
            assert (ended, code in told) == (status, True)
            fresh = str(place.folder / f"second-{Path(previous).name}.state")
            ended, told = run("watch", ledger, *trusted, "--previous", previous, "--state", fresh, "--once")
            assert (ended, code in told) == (status, True)
    # An older copy than the one it closes says nothing either way.
    older = str(site.folder / "yesterday/ledger/checkpoint")
    ended, told = run("audit", str(honest.data / "ledger/2"), *trusted, "--previous", older)
    assert (ended, "PREVIOUS_UNPROVEN" in told) == (3, True)
    # With the checkpoint that somebody kept, the operator can make it good.
    again = Site(site.folder / "again")
    shutil.copytree(site.folder / "yesterday", again.data)
    assert again.begin(last=(kept / "checkpoint").read_bytes()).previous == known.size


def test_watchers_of_the_old_log_are_told(site: Site) -> None:
    vault = site.open()
    site.fill(vault, 1)
    policy = Policy.parse(vault.trust.policy)
    vault.close()
    old = site.data / "ledger"
    shutil.copytree(old, site.folder / "yesterday")
    vault = site.open()
    site.fill(vault, 1)
    vault.close()
    shutil.copytree(site.data, site.folder / "other" / "data")
    watcher = Watcher(FolderLedger(old), policy, site.folder / "state")
    assert watcher.look(1).retired is None
    watcher.keep()
    begun = site.begin()
    notice = watcher.look(2).retired
    assert notice is not None
    assert (notice.origin, notice.size, notice.successor, notice.prefix) == (
        FIRST,
        begun.previous,
        SECOND,
        "2/",
    )
    # One that nobody trusted signed says nothing, whatever it is made of.
    signed = (old / "retired").read_bytes()
    (old / "retired").chmod(0o600)
    for forged in (
        b"",
        b"x",
        signed[:-20],
        signed.replace(SECOND.encode(), b"evil.example/ledger/2"),
        b"\xff" * 99,
    ):
        (old / "retired").write_bytes(forged)
        assert watcher.look(3).retired is None
    # One that ends the log before where it stands is a lie that the old key signed.
    other = Site(site.folder / "other")
    for name in ("checkpoint", "tile"):
        path = other.data / "ledger" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        source = site.folder / "yesterday" / name
        shutil.copytree(source, path) if source.is_dir() else shutil.copy2(source, path)
    database = Database.open(f"sqlite:///{other.data / 'probans.db'}", other.data / "run")
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM checkpoints")
    database.close()
    assert other.begin().previous < begun.previous
    (old / "retired").write_bytes((other.data / "ledger/retired").read_bytes())
    with pytest.raises(Alarm) as caught:
        watcher.look(4)
    assert caught.value.code == "PREVIOUS_OUTDATED"


def test_a_generation_of_another_history(site: Site, tmp_path: Path) -> None:
    vault = site.open()
    site.fill(vault, 1)
    vault.close()
    begun = site.begin()
    parts = open_parts(site.settings(SECOND))
    reader, policy = LogReader(FolderLedger(site.data / "ledger/2")), parts.trusted
    parts.close()
    newest = verify_checkpoint(reader.checkpoint(), policy)
    known = verify_checkpoint((site.data / "ledger/checkpoint").read_bytes(), policy)
    check_previous(reader, newest, known)
    for changed, code in (
        ({"root": bytes(32)}, "PREVIOUS_MISMATCH"),
        ({"origin": "other/ledger/1"}, "PREVIOUS_MISSING"),
        ({"size": begun.previous + 1}, "PREVIOUS_OUTDATED"),
    ):
        with pytest.raises(LedgerProofRefused) as caught:
            check_previous(reader, newest, replace(known, **changed))  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.indeterminate) == (code, False)
    # The first generation goes on from nothing.
    with pytest.raises(LedgerProofRefused) as caught:
        check_previous(LogReader(FolderLedger(site.data / "ledger")), known, known)
    assert caught.value.code == "PREVIOUS_MISSING"


CHILD = """
import os, signal, sys
from pathlib import Path
from vault.core import faults
from vault.bootstrap import open_parts
from vault.ledger.watch import Alarm, Watcher
from vault.maintenance.new_generation import begin_generation
from vault.settings import Settings

parts = open_parts(Settings(data=Path(sys.argv[1]), origin=sys.argv[3]), new_generation=True)
faults.install(lambda point: os.kill(os.getpid(), signal.SIGKILL) if point == sys.argv[2] else None)
begin_generation(parts, "probans.example/ledger/1")
"""


@pytest.mark.parametrize(
    "point",
    [
        "generation.before-commit",
        "generation.after-commit",
        "publish.before-checkpoint",
        "publish.after-checkpoint",
    ],
)
def test_a_beginning_killed_at_any_step_is_finished(site: Site, point: str) -> None:
    vault = site.open()
    site.fill(vault, 2)
    vault.close()
    command = [sys.executable, "-c", CHILD, str(site.data), point, SECOND]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    if point == "generation.before-commit":
        site.open().close()  # nothing has happened: the first generation goes on
    begun = site.begin()
    assert begun.restated == (begun.previous - 1 if point == "generation.before-commit" else 0)
    vault = site.open(SECOND)
    try:
        assert verdict(site.bundle(vault, site.ids[1], "a.asice"), vault).exit_code == 0
        assert vault.log_file("retired")
    finally:
        vault.close()


def test_keys_of_the_log_that_ended_count_for_what_they_signed(site: Site) -> None:
    """A stolen key that was replaced signs no other history of an ended log either; one never stated signs nothing."""
    vault = site.open()
    old = list(Policy.parse(vault.trust.policy).logs)
    site.fill(vault, 1)
    for _ in range(3):
        vault.rotation.rotate(timedelta(0))
        site.fill(vault, 1)
    vault.publisher.publish()
    before = Policy.parse(vault.trust.policy)
    assert before.last_sizes.keys() == {key.vkey for key in before.logs[2:]}
    vault.parts.ledger_keys.make_next()
    vault.close()
    site.begin()
    vault = site.open(SECOND)
    try:
        policy = Policy.parse(vault.trust.policy)
    finally:
        vault.close()
    assert policy.log_keys(FIRST) == before.log_keys(FIRST)
    assert policy.last_sizes == before.last_sizes
    assert set(policy.log_keys(FIRST)) > set(old)
    # Who trusts the last keys of the old log alone is told of its end too.
    reader = LogReader(FolderLedger(site.data / "ledger"))
    assert read_notice(reader, Policy(logs=before.logs[:2]), FIRST) is not None


def test_a_later_generation_is_recovered(site: Site) -> None:
    """What stands for a change of keys of the generation before states none."""
    vault = site.open()
    vault.rotation.rotate(timedelta(0))
    site.fill(vault, 1)
    vault.close()
    site.begin()
    vault = site.open(SECOND)
    site.fill(vault, 1)
    vault.publisher.publish_last()  # the service's own thread may be at it
    size = _size(vault)
    policy = vault.trust.policy
    vault.close()
    for path in site.data.glob("probans.db*"):
        path.unlink()
    parts = open_parts(site.settings(SECOND))
    try:
        assert parts.recovery().run(parts.clock).findings == []
    finally:
        parts.close()
    vault = site.open(SECOND)
    try:
        site.fill(vault, 1)
        vault.publisher.publish_last()
        assert _size(vault) == size + 1
        assert vault.trust.policy == policy
    finally:
        vault.close()
