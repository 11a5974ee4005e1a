"""A safe moves from its folder to PostgreSQL and an S3 service, killed on the way, and goes on there."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, inspect, select
from typer.testing import CliRunner

from storage.filesystem import FilesystemLogStore
from tests.e2e.conftest import Plan
from tests.e2e.harness.judge import check_ledger, check_objects, check_records, send
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.stack import Place, on_servers, run
from tests.e2e.harness.town import Life, check, live, opened
from tests.integration.test_key_cabinet import MAIRIE, PROVIDERS, furnish, holder, issue
from tests.services.authority import Authority
from tests.services.postgresql import Server
from tests.services.versitygw import Gateway
from vault.bootstrap import open_parts
from vault.cli.main import build
from vault.core import faults
from vault.db import models
from vault.db.bulk import insert_rows
from vault.db.copying import _PARENTS_FIRST, copy_tables
from vault.db.engine import Database
from vault.errors import LedgerError, SettingsRefused
from vault.ledger.policy import Policy
from vault.maintenance.moved import Note, Stage, alone_in, read_note, using, write_note
from vault.settings import Settings

POINTS = {
    "move.begun": 1,
    "move.claimed": 1,
    "move.object": 40,
    "move.record": 5,
    "move.copied": 1,
    "move.rows": 1,
    "move.committed": 1,
}


def migrate(data: Path, place: Place, *more: str) -> subprocess.CompletedProcess[str]:
    return run("migrate", "--from", str(data), "--to", str(place.file), *more)


def moved(data: Path, place: Place, *more: str) -> dict[str, Any]:
    done = migrate(data, place, "--with-keys", "--json", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def killed(data: Path, place: Place, point: str, passage: int) -> None:
    trapped = (sys.executable, "-m", "tests.e2e.harness.mover", point, str(passage))
    done = run("--from", str(data), "--to", str(place.file), "--with-keys", program=trapped)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    assert f"killed at {point}" in done.stdout


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Life]:
    """A folder with 60 documents in all states; tests work on copies."""
    data = tmp_path_factory.mktemp("lived") / "data"
    return data, live(Settings.from_file(None).model_copy(update={"data": data}), 60)


@pytest.fixture
def safe(lived: tuple[Path, Life], tmp_path: Path) -> Path:
    """A copy of the folder; modification times are retention dates, so they are kept."""
    return Path(shutil.copytree(lived[0], tmp_path / "old" / "data"))


def refused(settings: Settings) -> str:
    """The code with which a service does not start."""
    with pytest.raises((SettingsRefused, LedgerError)) as caught, opened(settings):
        pass
    return caught.value.code


def at(data: Path, **changes: object) -> Settings:
    return Settings.from_file(None).model_copy(update={"data": data, **changes})


@pytest.mark.needs("postgresql")
@pytest.mark.needs("versitygw")
def test_a_safe_moves_to_servers_and_goes_on_there(
    lived: tuple[Path, Life],
    safe: Path,
    tmp_path: Path,
    postgresql_server: Server,
    versitygw_server: Gateway,
    figure: Callable[[str], None],
) -> None:
    life, begun = lived[1], time.monotonic()
    place = on_servers(postgresql_server, versitygw_server, tmp_path / "new", "moved")
    try:
        killed(safe, place, "move.object", 60)
        assert refused(at(safe)) == "SAFE_MOVED"
        assert refused(place.settings) == "LEDGER_BEHIND", "nor does it start in the new place"
        killed(safe, place, "move.rows", 1)
        assert refused(place.settings) == "LEDGER_BEHIND"
        said = moved(safe, place)
        assert said["verdict"] == "PASSED", said
        assert refused(at(safe)) == "SAFE_MOVED"
        assert moved(safe, place)["already"]
        assert migrate(safe, place, "--undo").returncode == 1
        took = time.monotonic() - begun
        # Everything is there, byte by byte and in meaning; the ledger goes on, and the numbers of rows with it.
        with opened(at_copy(lived[0], tmp_path)) as before, opened(place.settings) as after:
            assert same_objects(before.parts, after.parts) > 100
            assert send(after, Sample(9001, is_act=False)).seq >= said["size"]
        check(place.settings, life, tmp_path)
        with opened(place.settings) as vault:
            policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
            assert check_ledger(vault, policy) > said["size"]
            check_objects(vault)
            check_records(vault)
            assert vault.parts.database.engine.dialect.name == "postgresql"
        audited = run("audit", str(place.settings.data), "--json", place=place)
        assert audited.returncode == 0, audited.stdout + audited.stderr
        assert json.loads(audited.stdout)["verdict"] == "PASSED"
        figure(
            f"moved {len(life.documents)} documents, {said['rows']} rows, {said['size']} entries to PostgreSQL and S3, "
            f"killed twice, in {took:.1f} s with the audits"
        )
    finally:
        postgresql_server.drop("moved")


def at_copy(lived: Path, tmp_path: Path) -> Settings:
    return at(Path(shutil.copytree(lived, tmp_path / "before")))


def published(settings: Settings) -> dict[str, bytes]:
    log = FilesystemLogStore(settings.data / "ledger")
    return {path: log.get(path) for path in log.list()}


def same_objects(before: Any, after: Any) -> int:
    """Demand that both stores hold the same objects under the same locks; return how many."""
    ours = sorted(before.objects.addresses())
    assert sorted(after.objects.addresses()) == ours
    for address in ours:
        old, new = before.objects.stat(address), after.objects.stat(address)
        assert new.size == old.size
        if old.retain_until and old.retain_until.year > 2030:
            assert new.retain_until
            assert 0 <= (new.retain_until - old.retain_until).total_seconds() <= 1
    return len(ours)


@pytest.mark.parametrize(("point", "passage"), POINTS.items())
def test_killed_anywhere_the_same_command_goes_on(
    lived: tuple[Path, Life], safe: Path, tmp_path: Path, point: str, passage: int
) -> None:
    place = Place.at(tmp_path / "new")
    killed(safe, place, point, passage)
    assert refused(at(safe)) == "SAFE_MOVED"
    # Before the rows are committed it does not start there; afterwards it does, whatever the note says.
    if point == "move.committed":
        with opened(place.settings) as vault:
            assert send(vault, Sample(9001, is_act=False)).seq
    elif point != "move.begun":
        assert refused(place.settings) == "LEDGER_BEHIND"
    assert moved(safe, place)["verdict"] == "PASSED"
    check(place.settings, lived[1], tmp_path, bundles=3)


def words(*arguments: str) -> tuple[int, str]:
    """Run `probans migrate` in this process; return its exit code and what it said."""
    done = CliRunner().invoke(build(["migrate"]), ["migrate", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found = re.search(r"\[([A-Z_]+)\]", done.stderr)
    return done.exit_code, found[1] if found else done.stderr + done.stdout


def told(data: Path, place: Place, *more: str) -> tuple[int, str]:
    return words("--from", str(data), "--to", str(place.file), *more)


def test_what_would_hinder_is_said_before_anything_is_done(safe: Path, tmp_path: Path) -> None:
    place = Place.at(tmp_path / "new")
    assert told(safe, place) == (1, "MOVE_KEYS_MISSING")
    place.settings.keys_folder.mkdir(parents=True, exist_ok=True)
    (place.settings.keys_folder / "index.key").write_bytes(bytes(32))
    assert told(safe, place, "--with-keys") == (1, "MOVE_KEYS_DIFFER")
    assert (place.settings.keys_folder / "index.key").read_bytes() == bytes(32), "none is written over"
    assert told(safe, Place.at(tmp_path / "other", origin="elsewhere/ledger/1")) == (1, "MOVE_ORIGIN")
    assert told(safe, Place.at(tmp_path / "same", data=safe)) == (1, "SETTINGS_REFUSED")
    with using(safe):
        assert told(safe, place, "--with-keys") == (1, "SAFE_IN_USE")
    with alone_in(safe):
        assert refused(at(safe)) == "SAFE_IN_USE"
    assert words("--from", str(safe), "--undo") == (1, "MOVE_NOT_BEGUN")
    assert words("--from", str(tmp_path), "--to", str(place.file)) == (1, "MOVE_UNSUPPORTED")
    fresh = tmp_path / "fresh"
    shutil.copytree(safe / "keys", fresh / "keys")
    Database.open(f"sqlite:///{fresh}/probans.db", fresh / "run").migrate()
    assert told(fresh, place, "--with-keys") == (1, "MOVE_UNSUPPORTED"), "it has no ledger"
    older = Database.open(at(safe).database_address, safe / "run")
    older.downgrade("-1")
    older.close()
    (place.settings.keys_folder / "index.key").unlink()
    assert told(safe, place, "--with-keys") == (1, "MOVE_VERSIONS")
    assert not (safe / "moved.json").exists()
    with opened(at(safe)) as vault:
        assert send(vault, Sample(9001, is_act=False)).seq


def in_production(authority: Authority, folder: Path) -> Place:
    """A place in production with a cabinet, all on this machine."""
    folder.mkdir()
    table = authority.cabinet(folder / "cabinet", MAIRIE)
    (folder / "secret").write_text("a secret of the provider, long enough\n")
    (folder / "secret").chmod(0o600)
    (folder / "providers.toml").write_text(PROVIDERS)
    return Place.at(
        folder,
        environment="production",
        keys=folder / "keys",
        address="https://coffre.example",
        identity_providers=folder / "providers.toml",
        key_cabinet=table,
        key_roots=table.parent / "roots.pem",
    )


@pytest.fixture
def authority() -> Iterator[Authority]:
    authority = Authority()
    yield authority
    authority.close()


def test_a_safe_in_production_moves_with_its_cabinet(authority: Authority, tmp_path: Path) -> None:
    """Its keys lie elsewhere, so its own settings are named; seals stay where they are."""
    old = in_production(authority, tmp_path / "old")
    open_parts(old.settings, first_keys=True).close()
    with opened(old.settings) as vault:
        furnish(vault)
        document = issue(vault, MAIRIE, b"<acte/>").document_id
        read_before = b"".join(vault.reading.original(holder(vault), document, "").read(0, None))
    cabinet = {"key_cabinet": old.settings.key_cabinet, "key_roots": old.settings.key_roots}
    named = old.settings.model_dump(include={"environment", "address", "identity_providers"})
    new = Place.at(tmp_path / "new", keys=tmp_path / "new-keys", **named, **cabinet)
    assert told(old.settings.data, new, "--with-keys") == (1, "KEYS_MISSING"), "where are the old ones?"
    assert not (old.settings.data / "moved.json").exists()
    code, said = told(old.settings.data, new, "--from-settings", str(old.file))
    assert (code, said) == (1, "MOVE_KEYS_MISSING")
    code, said = told(old.settings.data, new, "--with-keys", "--from-settings", str(old.file))
    assert code == 0, said
    assert refused(old.settings) == "SAFE_MOVED"
    assert not (tmp_path / "new-keys" / "pki").exists()
    with opened(new.settings) as vault:
        assert b"".join(vault.reading.original(holder(vault), document, "").read(0, None)) == read_before
        assert issue(vault, MAIRIE, b"<acte>2</acte>", "k2").status_code == 201


def test_what_development_keys_sealed_is_not_decided_in_production(
    lived: tuple[Path, Life], safe: Path, authority: Authority, tmp_path: Path
) -> None:
    place = in_production(authority, tmp_path / "new")
    code, said = told(safe, place, "--with-keys")
    assert code == 3, said
    assert not {"pki", "personas.json", "dev-identity.pem"} & {
        path.name for path in place.settings.keys_folder.iterdir()
    }
    done = CliRunner().invoke(build(["migrate"]), ["migrate", "--from", str(safe), "--to", str(place.file)])
    assert "already moved" in done.stdout.lower()
    with opened(place.settings) as vault:
        assert vault.parts.database.revision()


def test_production_without_a_proof_of_its_store_is_refused(safe: Path, tmp_path: Path) -> None:
    place = Place.at(tmp_path / "new", environment="production", tsa_url="https://tsa.example/")
    assert told(safe, place, "--with-keys") == (1, "SETTINGS_REFUSED")
    assert not (safe / "moved.json").exists()


def test_a_later_generation_moves_with_those_before_it(safe: Path, tmp_path: Path) -> None:
    origin = "probans.example/ledger/2"
    begin = ("recover", "--data", str(safe), "--new-generation", "probans.example/ledger/1")
    done = run(*begin, place=Place.at(tmp_path / "second", data=safe, origin=origin))
    assert done.returncode == 0, done.stdout + done.stderr
    with opened(at(safe, origin=origin)) as vault:
        send(vault, Sample(9001, is_act=False))
    assert told(safe, Place.at(tmp_path / "new"), "--with-keys") == (1, "MOVE_ORIGIN")
    place = Place.at(tmp_path / "new", origin=origin)
    said = moved(safe, place)
    assert (said["verdict"], said["origin"]) == ("PASSED", origin)
    assert published(place.settings) == published(at(safe))
    assert {"checkpoint", "2/checkpoint"} <= published(at(safe)).keys()
    with opened(place.settings) as vault:
        assert send(vault, Sample(9002, is_act=False)).seq == said["size"]


def test_a_place_that_is_in_use_is_left_alone(safe: Path, tmp_path: Path) -> None:
    place = Place.at(tmp_path / "new")
    live(place.settings, 30)
    before = sorted(path.stat().st_size for path in place.settings.data.rglob("*") if path.is_file())
    assert told(safe, place, "--with-keys") == (1, "MOVE_TARGET_TAKEN")
    for path in place.settings.data.glob("probans.db*"):
        path.unlink()
    assert told(safe, place, "--with-keys") == (1, "MOVE_TARGET_TAKEN"), "what is published is another ledger"
    shutil.rmtree(place.settings.data / "ledger")
    assert told(safe, place, "--with-keys") == (1, "MOVE_TARGET_TAKEN"), "objects of somebody are there"
    assert not (safe / "moved.json").exists()
    assert before


def test_a_move_can_be_taken_back_until_the_rows_are_there(
    lived: tuple[Path, Life], safe: Path, tmp_path: Path
) -> None:
    place, other = Place.at(tmp_path / "new"), Place.at(tmp_path / "other")
    killed(safe, place, "move.copied", 1)
    assert told(safe, other, "--with-keys") == (1, "MOVE_ELSEWHERE")
    assert words("--from", str(safe), "--undo")[0] == 0
    # The safe lives on and grows; what was copied before is out of date, and is brought up to date.
    with opened(at(safe, retention_days=0)) as vault:
        later = send(vault, Sample(9001, is_act=False)).document_id
        vault.lifecycle.destroy(vault.personas.named("exploitant").actor, later)
    killed(safe, place, "move.rows", 1)
    assert words("--from", str(safe), "--undo") == (1, "MOVE_UNDECIDED")
    assert told(safe, other, "--undo") == (1, "MOVE_ELSEWHERE")
    assert told(safe, place, "--undo")[0] == 0, "the rows were rolled back"
    assert (check(at(safe), lived[1], tmp_path, bundles=1), refused(place.settings)) == (
        None,
        "LEDGER_BEHIND",
    )
    killed(safe, place, "move.committed", 1)
    assert told(safe, place, "--undo") == (1, "MOVE_COMMITTED")
    assert moved(safe, place)["verdict"] == "PASSED"
    assert told(safe, place, "--undo") == (1, "MOVE_COMMITTED")
    check(place.settings, lived[1], tmp_path, bundles=1)
    with opened(place.settings) as vault:
        assert not [name for name in vault.parts.records.names() if later in name]


def test_what_is_damaged_is_not_moved(safe: Path, tmp_path: Path) -> None:
    """And the safe can be put right in its old place."""
    place = Place.at(tmp_path / "new")
    objects = sorted(
        path for path in (safe / "objects").rglob("*") if path.is_file() and len(path.name) == 64
    )
    victim = objects[7]
    octets, when = victim.read_bytes(), victim.stat().st_mtime_ns
    victim.parent.chmod(0o700)
    victim.chmod(0o600)
    victim.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1]))
    assert told(safe, place, "--with-keys")[1] in {"MOVE_SOURCE_DAMAGED", "OBJECT_DAMAGED"}
    victim.unlink()
    assert told(safe, place, "--with-keys") == (1, "MOVE_UNVERIFIED"), (
        "an object that the database names is gone"
    )
    assert words("--from", str(safe), "--undo")[0] == 0
    victim.write_bytes(octets)
    os.utime(victim, ns=(when, when))
    assert told(safe, place, "--with-keys")[0] == 0


def test_what_a_store_changes_after_the_copy_is_noticed(
    safe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place.at(tmp_path / "new")

    def harm(point: str) -> None:
        if point == "move.copied":
            record = next(path for path in (place.settings.data / "records").rglob("*") if path.is_file())
            record.write_bytes(record.read_bytes() + b"x")
        if point == "move.rows":
            raise AssertionError("it was not noticed")

    monkeypatch.setattr(faults, "_hook", harm)
    assert told(safe, place, "--with-keys") == (1, "MOVE_UNVERIFIED")
    monkeypatch.setattr(faults, "_hook", None)
    assert told(safe, place, "--with-keys")[0] == 0


def test_rows_that_come_out_otherwise_are_not_committed(
    safe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, insert = Place.at(tmp_path / "new"), insert_rows

    def bad(driver: Any, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        if table == "administrations":
            rows = [(id_, f"{name}!", when) for id_, name, when in rows]
        insert(driver, table, columns, rows)

    monkeypatch.setattr("vault.db.copying.insert_rows", bad)
    assert told(safe, place, "--with-keys") == (1, "MOVE_UNVERIFIED")
    monkeypatch.undo()
    assert refused(place.settings) == "LEDGER_BEHIND"
    assert told(safe, place, "--undo")[0] == 0


def test_every_table_is_copied_and_parents_come_first(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/probans.db", tmp_path)
    database.migrate()
    with database.reading() as connection:
        tables = set(inspect(connection).get_table_names())
    assert tables - {"alembic_version"} == set(models.metadata.tables), "nothing lives beside the tables"
    own = {
        table.name
        for table in models.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table is table
    }
    assert own == set(_PARENTS_FIRST)
    database.close()


@pytest.mark.needs("postgresql")
def test_numbers_that_the_database_gives_go_on(safe: Path, postgresql_server: Server, tmp_path: Path) -> None:
    """Of tables whose rows are numbered by the database, with rows and without."""
    url = postgresql_server.create("numbers")
    try:
        source, target = (Database.open(each, tmp_path / "run") for each in (at(safe).database_address, url))
        target.migrate()
        with source.writing() as connection:
            connection.execute(models.digest_items.delete())
        with source.reading() as connection, target.writing() as other:
            found = copy_tables(connection, other, lambda _: None)
            highest = connection.scalar(select(func.max(models.outbox.c.id)))
        row = {"topic": "t", "payload": "{}", "created_at": "2026-01-01T00:00:00.000Z"}
        item = {"safe_id": "s", "channel": "mail", "event": "e", "created_at": row["created_at"]}
        with target.writing() as other:
            numbers = [
                other.execute(models.outbox.insert().values(row)).inserted_primary_key[0] for _ in "ab"
            ]
            assert other.execute(models.digest_items.insert().values(item)).inserted_primary_key[0] == 1
        assert highest > 50
        assert numbers == [highest + 1, highest + 2]
        assert found["outbox"].rows > 50
        source.close()
        target.close()
    finally:
        postgresql_server.drop("numbers")


def test_a_note_that_cannot_be_read_keeps_everybody_out(tmp_path: Path) -> None:
    write_note(tmp_path, Note("there", "o/1", "2026-01-01T00:00:00Z", Stage.BEGUN))
    assert read_note(tmp_path) == Note("there", "o/1", "2026-01-01T00:00:00Z", Stage.BEGUN)
    for octets in (
        b"",
        b"{}",
        b"[]",
        b'{"v": 2, "to": "", "origin": "", "begun_at": "", "stage": "done"}',
        b"\xff",
    ):
        (tmp_path / "moved.json").write_bytes(octets)
        with pytest.raises(SettingsRefused) as caught, using(tmp_path):
            pass
        assert caught.value.code == "SAFE_MOVED"


@pytest.mark.soak("migrate")
@pytest.mark.needs("postgresql")
@pytest.mark.needs("versitygw")
@pytest.mark.timeout(7200)
def test_soak_a_thousand_documents_killed_twice(
    tmp_path: Path,
    postgresql_server: Server,
    versitygw_server: Gateway,
    plan: Plan,
    figure: Callable[[str], None],
) -> None:
    chance, count = random.Random(plan.seed), plan.count or 1000
    data = tmp_path / "old" / "data"
    life = live(at(data), count)
    objects = sum(1 for path in (data / "objects").rglob("*") if len(path.name) == 64)
    place = on_servers(postgresql_server, versitygw_server, tmp_path / "new", "soak")
    begun, passages = time.monotonic(), sorted(chance.sample(range(1, objects), 2))
    try:
        killed(data, place, "move.object", passages[0])
        killed(data, place, "move.object", passages[1] - passages[0])
        half = time.monotonic() - begun
        said = moved(data, place)
        took = time.monotonic() - begun
        assert said["verdict"] == "PASSED"
        assert said["copied"]["objects"] <= objects - passages[1] + 1
        with opened(place.settings) as vault:
            send(vault, Sample(90_001, is_act=False))
        check(place.settings, life, tmp_path, bundles=50)
        figure(
            f"{count} documents, {objects} objects, {said['rows']} rows, {said['size']} entries moved to "
            f"PostgreSQL and S3 in {took:.1f} s with checks and audits; killed after {passages[0]} and "
            f"{passages[1]} objects ({half:.1f} s), the third run copied {said['copied']['objects']}; "
            "50 bundles, all states, consents, shares and contacts as before"
        )
    finally:
        postgresql_server.drop("soak")
