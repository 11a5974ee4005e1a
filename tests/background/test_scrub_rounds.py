"""The store is read again and again in steps, each of which goes on where any worker left it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from storage.errors import StorageUnavailable
from vault.bootstrap import open_vault
from vault.db import models
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Unavailable
from vault.maintenance import scrub_rounds
from vault.maintenance.scrub_rounds import Round, ScrubRounds, newest_rounds
from vault.service import Vault
from vault.settings import Settings


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = open_vault(Settings(data=tmp_path / "data", scrub_days=30, scrub_rate=1000), background=False)
    yield vault
    vault.close()


@pytest.fixture
def addresses(vault: Vault) -> list[str]:
    holder = vault.personas.named("camille").actor
    for number in range(4):
        content = f"pièce {number}".encode() * 50
        new = NewDocument("camille", "Pièce", "p.txt")
        vault.submissions.deposit(holder, new, iter((content,)), Transfer(f"key-{number}"))
    with vault.parts.database.reading() as connection:
        found = sorted(connection.scalars(select(models.objects.c.address)))
    assert len(found) == 12
    return found


def rounds(vault: Vault) -> list[Round]:
    with vault.parts.database.reading() as connection:
        return newest_rounds(connection, 10)


def other(vault: Vault, *, every: timedelta = timedelta(days=30)) -> ScrubRounds:
    """Another worker's."""
    parts = vault.parts
    return ScrubRounds(
        parts.database, parts.objects, None, parts.clock, every=every, octets_per_second=1 << 30
    )


def file_of(vault: Vault, address: str) -> Path:
    (found,) = (
        path for path in (vault.settings.data / "objects").rglob(f"*{address[4:]}*") if path.is_file()
    )
    return found


def run(*workers: ScrubRounds) -> int:
    """Have workers do steps in turn until the round is over."""
    steps = 0
    while True:
        for worker in workers:
            if not worker.step():
                return steps
            steps += 1


def test_a_round_reads_all_that_the_database_names_once(vault: Vault, addresses: list[str]) -> None:
    assert [task.name for task in vault.scrubs.tasks] == ["scrub"]
    assert vault.health()["scrub"].note == "no round yet"
    run(vault.scrubs)
    (done,) = rounds(vault)
    assert done.ended_at is not None
    assert (done.checked, done.problems, done.undecided, done.repaired) == (len(addresses), 0, 0, 0)
    sizes = [file_of(vault, address).stat().st_size for address in addresses]
    assert done.octets == sum(sizes)
    health = vault.health()["scrub"]
    assert health.ok
    assert "12 objects, no problem" in health.note
    assert vault.scrubs.step() == 0, "the next one is not due"


def test_where_none_is_asked_for_there_is_none(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    assert settings.scrub_every(production=False) is None
    assert settings.scrub_every(production=True) == timedelta(days=30)
    assert Settings(data=tmp_path, scrub_days=0).scrub_every(production=True) is None
    vault = open_vault(settings, background=False)
    try:
        assert vault.scrubs.tasks == ()
        assert "scrub" not in vault.health()
    finally:
        vault.close()


def test_a_step_goes_on_where_another_worker_left_it(
    vault: Vault, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub_rounds, "_STEP_S", -1.0)  # one object a step
    read: list[str] = []
    original = vault.parts.objects.read
    monkeypatch.setattr(
        vault.parts.objects, "read", lambda address, *rest: read.append(address) or original(address, *rest)
    )
    assert run(vault.scrubs, other(vault), other(vault)) >= len(addresses)
    assert read == addresses
    assert [each.checked for each in rounds(vault)] == [len(addresses)]


def test_of_two_workers_that_did_the_same_step_one_counts(
    vault: Vault, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was paused within its step writes down nothing when it wakes."""
    monkeypatch.setattr(scrub_rounds, "_STEP_S", -1.0)
    paused = other(vault)
    vault.scrubs.step()
    row = paused._due()
    assert row is not None
    step = paused._read(row["cursor"])
    vault.scrubs.step()
    vault.scrubs.step()
    with vault.parts.database.writing() as connection:
        paused._note(connection, row, step)
    assert rounds(vault)[0].checked == 3
    run(vault.scrubs)
    assert rounds(vault)[0].checked == len(addresses)


def test_what_is_wrong_is_found_and_told(
    vault: Vault, addresses: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    damaged, missing = addresses[3], addresses[7]
    path = file_of(vault, damaged)
    octets = path.read_bytes()
    path.chmod(0o600)
    kept = path.stat()
    path.write_bytes(bytes([octets[0] ^ 1]) + octets[1:])
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    file_of(vault, missing).unlink()
    run(vault.scrubs)
    (done,) = rounds(vault)
    assert (done.checked, done.problems, done.undecided) == (len(addresses), 2, 0)
    with vault.parts.database.reading() as connection:
        found = connection.scalar(select(models.scrub_rounds.c.found))
    assert found == f'[["OBJECT_DAMAGED","object {damaged}"],["OBJECT_MISSING","object {missing}"]]'
    assert damaged in caplog.text
    health = vault.health()["scrub"]
    assert not health.ok
    assert not health.needed, "requests are answered all the same"
    assert "2 problems" in health.note


def test_a_store_that_is_down_keeps_the_round_where_it_is(
    vault: Vault, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub_rounds, "_STEP_S", -1.0)
    vault.scrubs.step()

    def down(*_: object) -> object:
        raise StorageUnavailable("down")

    with monkeypatch.context() as patched:
        patched.setattr(scrub_rounds, "_STEP_S", 60.0)
        patched.setattr(vault.parts.objects, "stat", down)
        with pytest.raises(Unavailable, match="STORAGE_UNAVAILABLE"):
            vault.scrubs.step()
    assert rounds(vault)[0].checked == 1
    run(vault.scrubs)
    assert rounds(vault)[0].checked == len(addresses)


def test_an_object_that_cannot_be_read_now_does_not_hold_up_the_others(
    vault: Vault, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = vault.parts.objects.stat

    def stat(address: str) -> object:
        if address == addresses[5]:
            raise StorageUnavailable("busy")
        return original(address)

    monkeypatch.setattr(vault.parts.objects, "stat", stat)
    run(vault.scrubs)
    (done,) = rounds(vault)
    assert (done.checked, done.problems, done.undecided) == (len(addresses), 1, 1)
    assert vault.health()["scrub"].ok


def test_the_next_round_comes_when_it_is_due_and_old_ones_go(vault: Vault, addresses: list[str]) -> None:
    quick = other(vault, every=timedelta())
    for _ in range(12):
        quick.step()
        while rounds(vault)[0].ended_at is None:
            quick.step()
    assert len(rounds(vault)) == 10
    with vault.parts.database.writing() as connection:
        connection.execute(update(models.scrub_rounds).values(begun_at="2026-01-01T00:00:00.000Z"))
    assert vault.scrubs.step()
    assert rounds(vault)[0].ended_at is None
