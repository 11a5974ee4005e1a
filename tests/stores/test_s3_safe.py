"""A whole safe in an S3 gateway, and what somebody with its keys and its disks can do to it."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from storage.retention import system_now
from storage.s3_objects import key_of
from storage.s3_versions import keep, of_key
from tests.services.database import lose
from tests.services.versitygw import SHORTENS, Gateway
from tests.stores.conftest import Place, deposit, issue, place_at
from vault.bootstrap import open_parts, open_vault
from vault.cli.main import build
from vault.db import models
from vault.domain.actors import Actor, Role
from vault.errors import LedgerError, Unavailable, VaultError
from vault.maintenance.scrubbing import Pace, audit_store, scrub
from vault.service import Vault

pytestmark = pytest.mark.needs("versitygw")
runner = CliRunner()
FIELDS = ("endpoint", "bucket", "plain_bucket", "access_key_file", "secret_key_file")


def environment(place: Place) -> dict[str, str]:
    return {f"PROBANS_STORE_{name}".upper(): str(getattr(place.settings, f"store_{name}")) for name in FIELDS}


def run(place: Place, *words: str) -> tuple[int, dict]:
    done = runner.invoke(build([words[0]]), [*words, "--json"], env=environment(place))
    assert done.exit_code in {0, 1, 3}, done.output
    return done.exit_code, json.loads(done.stdout)


def octets(vault: Vault, document_id: str) -> bytes:
    holder = vault.personas.named("camille").actor
    return b"".join(vault.reading.original(holder, document_id, "consultation").read(0, None))


def addresses(vault: Vault, document_id: str) -> dict[str, str]:
    table = models.objects
    query = select(table.c.role, table.c.address).where(table.c.document_id == document_id)
    with vault.parts.database.reading() as connection:
        return dict(connection.execute(query).all())


def scrubbed(vault: Vault) -> set[tuple[str, str]]:
    parts = vault.parts
    report = scrub(parts.database, parts.objects, parts.clock, pace=Pace(0))
    return {(each.code, each.where.removeprefix("object ")) for each in report.problems}


def test_a_safe_lives_in_a_store(place: Place, specimen: bytes) -> None:
    first = open_vault(place.settings)
    act, piece = issue(first, specimen), deposit(first)
    sealed = octets(first, act)
    assert sealed.startswith(specimen)
    assert octets(first, piece) == b"<a>\xc3\xa9</a>"
    first.close()
    assert not {"objects", "ledger", "records"} & {each.name for each in place.settings.data.iterdir()}
    second = open_vault(place.settings)
    assert octets(second, act) == sealed
    assert issue(second, specimen) == act, "the same key, the same document"
    second.close()
    code, report = run(place, "audit", str(place.settings.data))
    assert (code, report["verdict"]) == (0, "PASSED"), report
    assert {"published", "documents", "store"} <= report.keys()
    code, report = run(place, "storage", "scrub", "--data", str(place.settings.data))
    assert (code, report["scrub"]["problems"]) == (0, [])
    assert report["scrub"]["checked"] == 4


def test_a_lost_database_is_rebuilt_from_the_store(place: Place, specimen: bytes) -> None:
    first = open_vault(place.settings)
    act, piece = issue(first, specimen), deposit(first)
    sealed = octets(first, act)
    first.close()
    lose(place.settings.database_address)
    with pytest.raises(LedgerError, match="probans recover"):
        open_vault(place.settings)
    done = runner.invoke(
        build(["recover"]), ["recover", "--data", str(place.settings.data)], env=environment(place)
    )
    assert done.exit_code == 0, done.output
    again = open_vault(place.settings)
    assert (octets(again, act), octets(again, piece)) == (sealed, b"<a>\xc3\xa9</a>")
    again.close()
    code, report = run(place, "audit", str(place.settings.data))
    assert (code, report["verdict"]) == (0, "PASSED"), report


def test_what_an_attacker_can_do_is_found_and_said(place: Place, vault: Vault, specimen: bytes) -> None:
    """With the administrator's keys, and with the gateway's disks."""
    acts = [issue(vault, specimen, f"k{number}") for number in range(5)]
    hidden, overwritten, changed, lost, sound = (addresses(vault, act)["original"] for act in acts)
    read = [octets(vault, act) for act in acts]
    assert scrubbed(vault) == set()
    client = place.client
    client.call("DELETE", place.bucket, key_of(hidden))
    client.call("PUT", place.bucket, key_of(overwritten), body=b"another act")
    client.call("PUT", place.bucket, "evil.txt", body=b"x")
    client.call("PUT", place.bucket, "objects/zz/notes", body=b"x")
    with place.file(key_of(changed)).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x00" if file.read(1) != b"\x00" else b"\x01")
    place.file(key_of(lost)).unlink()

    listed = {("OBJECT_HIDDEN", hidden), ("OBJECT_OVERWRITTEN", overwritten)}
    listed |= {("NAME_FOREIGN", "evil.txt"), ("NAME_FOREIGN", "objects/zz/notes")}
    report = audit_store(vault.parts.objects)
    assert {(each.code, each.where.removeprefix("object ")) for each in report.problems} == listed
    assert report.verdict == "FAILED"
    assert scrubbed(vault) == listed | {("OBJECT_DAMAGED", changed), ("OBJECT_MISSING", lost)}
    assert sound

    # What can be hidden is still read, by its version: by this process, and by one that was not there before.
    assert [octets(vault, acts[place]) for place in (0, 1, 4)] == [read[0], read[1], read[4]]
    vault.close()
    later = open_vault(place.settings)
    assert [octets(later, acts[place]) for place in (0, 1, 4)] == [read[0], read[1], read[4]]
    with pytest.raises(VaultError) as refusal:
        octets(later, acts[2])
    assert refusal.value.code == "ORIGINAL_DAMAGED"
    later.close()
    code, said = run(place, "audit", str(place.settings.data))
    assert code == 1
    assert {each["code"] for each in said["store"]["problems"]} == {code for code, _ in listed}
    assert {each["code"] for each in said["documents"]["problems"]} == {"OBJECT_DAMAGED", "OBJECT_MISSING"}


def test_the_ledger_cannot_be_written_over(place: Place, vault: Vault) -> None:
    for number in range(3):
        deposit(vault, f"<a>{number}</a>".encode(), f"d{number}")
    log = vault.parts.log
    log.put_if_absent("tile/0/000", b"full", "application/octet-stream")
    place.client.call("PUT", place.bucket, "ledger/tile/0/000", body=b"forged")
    place.client.call("DELETE", place.bucket, "ledger/tile/0/000")
    assert log.get("tile/0/000") == b"full"
    assert "tile/0/000" in list(log.list("tile/"))
    codes = {(each.code, each.name) for each in vault.parts.objects.oddities()}
    assert codes == {("OBJECT_HIDDEN", "ledger/tile/0/000"), ("OBJECT_OVERWRITTEN", "ledger/tile/0/000")}


def test_destruction_leaves_no_record_behind(place: Place) -> None:
    vault = open_vault(place.settings.model_copy(update={"retention_days": 0}))
    piece = deposit(vault)
    records = place.gateway.folder / "data" / place.plain / "records"
    before = {each.name: each.read_bytes() for each in records.iterdir()}
    vault.lifecycle.destroy(Actor("operator", Role.OPERATOR, "Exploitant"), piece)
    after = {each.name: each.read_bytes() for each in records.iterdir()}
    gone = [data for name, data in before.items() if after.get(name) != data]
    assert gone, "its record was rewritten or deleted"
    kept = [each.read_bytes() for each in (place.gateway.folder / "data").rglob("*") if each.is_file()]
    assert not any(data in other for data in gone for other in kept)
    versions = [
        each for each in (place.gateway.folder / "versions" / place.plain).rglob("*") if each.is_file()
    ]
    assert versions == []
    vault.close()


@pytest.mark.needs(SHORTENS)
def test_a_shortened_lock_is_found(tmp_path: Path, specimen: bytes) -> None:
    gateway = Gateway(SHORTENS)
    try:
        place = place_at(gateway, tmp_path)
        vault = open_vault(place.settings)
        address = addresses(vault, issue(vault, specimen))["original"]
        [version] = of_key(place.client, place.bucket, key_of(address))
        keep(place.client, place.bucket, version.key, version.version, system_now() + timedelta(days=1))
        assert scrubbed(vault) == {("OBJECT_UNLOCKED", address)}
        vault.close()
    finally:
        gateway.remove()


def test_a_store_that_is_away_is_not_a_hang(tmp_path: Path, specimen: bytes) -> None:
    gateway = Gateway()
    try:
        place = place_at(gateway, tmp_path, store_timeout=1.0)
        vault = open_vault(place.settings)
        act = issue(vault, specimen)
        gateway.pause()
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            issue(vault, specimen, "k2")
        assert time.monotonic() - begun < 8
        gateway.resume()
        assert issue(vault, specimen, "k2") != act
        gateway.stop()
        with pytest.raises(Unavailable):
            issue(vault, specimen, "k3")
        gateway.start()
        assert issue(vault, specimen, "k3")
        vault.close()
        parts = open_parts(place.settings)
        assert list(parts.objects.oddities()) == []
        parts.close()
    finally:
        gateway.remove()
