"""Recovery as an operator meets it: the database is lost, or an older copy was put back."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from signing.trust import TrustStore
from tests.e2e.conftest import Plan
from tests.e2e.harness.client import agent, holder
from tests.e2e.harness.judge import (
    check_bundle,
    check_forgotten,
    check_ledger,
    check_objects,
    check_records,
    holds_key_of,
)
from tests.e2e.harness.load import Load
from tests.e2e.harness.promises import Answer, keeps
from tests.e2e.harness.replay import MARK
from tests.e2e.harness.samples import Sample
from tests.e2e.harness.server import Server, serving
from vault.bootstrap import open_parts, open_vault
from vault.db import models
from vault.errors import LedgerError
from vault.ledger.policy import Policy
from vault.settings import Settings

PROBANS = (sys.executable, "-c", "from vault.cli.main import run; run()")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Answer]]:
    """A folder with a whole life in it, and its answers; tests work on copies."""
    folder = tmp_path_factory.mktemp("lived")
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.harness.workload", str(folder / "data"), "250"],
        check=True,
        stdout=subprocess.PIPE,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return folder, [json.loads(line[len(MARK) :]) for line in lines]


@pytest.fixture
def copy(lived: tuple[Path, list[Answer]], tmp_path: Path) -> Path:
    """Return a copy of the folder; modification times are retention dates, so they are kept."""
    return Path(shutil.copytree(lived[0], tmp_path / "copy"))


def lose_database(data: Path) -> None:
    for path in data.glob("probans.db*"):
        path.unlink()


def recover(data: Path) -> subprocess.CompletedProcess[str]:
    """Run `probans recover`."""
    return subprocess.run(
        [*PROBANS, "recover", "--data", str(data)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def refuses_to_start(data: Path) -> None:
    with pytest.raises(LedgerError) as refused:
        open_vault(Settings(data=data), background=False)
    assert refused.value.code == "LEDGER_BEHIND"


def test_a_lost_database_is_rebuilt_and_every_answer_stands(
    lived: tuple[Path, list[Answer]], copy: Path
) -> None:
    answers = lived[1]
    lose_database(copy / "data")
    refuses_to_start(copy / "data")
    refuses_to_start(copy / "data")  # nor does the attempt make it look healthy
    done = recover(copy / "data")
    assert done.returncode == 0, done.stdout + done.stderr
    keeps(copy, answers, answers[0], None, rebuilt=True)
    assert recover(copy / "data").returncode == 0, "repeating it is harmless"
    keeps(copy, answers, answers[0], None, rebuilt=True)


def test_a_recovery_that_is_killed_is_taken_up_again(
    lived: tuple[Path, list[Answer]], copy: Path, plan: Plan
) -> None:
    answers, chance = lived[1], random.Random(plan.seed)
    lose_database(copy / "data")
    for _ in range(3):
        process = subprocess.Popen(
            [*PROBANS, "recover", "--data", str(copy / "data")],
            stdout=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.8, 1.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert recover(copy / "data").returncode == 0
    keeps(copy, answers, answers[0], None, rebuilt=True)


@pytest.fixture(scope="module")
def unpublished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Load]:
    """A folder whose publisher never got to work before the service was killed; and what was answered."""
    folder, load = tmp_path_factory.mktemp("unpublished"), Load(1)
    server = Server(folder / "data", settings={"PUBLISH_INTERVAL": 3600})
    try:
        with load.running(server, writers=2, readers=0):
            time.sleep(2)
            server.kill()
            server.wait(30)
    finally:
        server.stop()
    assert not load.wrong, load.wrong
    assert len(load.given) > 10
    lose_database(folder / "data")
    return folder, load


@pytest.mark.parametrize(
    "killed_at", ["", "ledger.after-record", "ledger.after-commit", "records.before-rewrite"]
)
def test_what_was_answered_but_never_published_is_appended_anew(
    unpublished: tuple[Path, Load], tmp_path: Path, killed_at: str
) -> None:
    folder, load = unpublished
    data = Path(shutil.copytree(folder / "data", tmp_path / "data"))
    refuses_to_start(data)
    if killed_at:
        trapped = [sys.executable, "-m", "tests.e2e.harness.recoverer", str(data), killed_at, "1"]
        done = subprocess.run(trapped, stdout=subprocess.PIPE, text=True, timeout=100, check=False)
        assert done.returncode == -signal.SIGKILL, done
        assert f"killed at {killed_at}" in done.stdout
    again = recover(data)
    assert again.returncode == 0, again.stdout + again.stderr
    with serving(data) as server:
        for each in random.Random(1).sample(list(load.given.values()), 10):
            client = (agent if each.sample.is_act else holder)(server)
            reply = client.send(each.sample)
            assert reply.headers.get("idempotency-replayed") == "true"
            assert (reply.status, reply.json["id"]) == (each.status_code, each.document_id)
            client.close()
    holds(data, [each.document_id for each in load.given.values()], tmp_path)


def holds(data: Path, documents: Sequence[str], scratch: Path) -> None:
    """Check a safe that was recovered: ledger, objects, records, documents, a few bundles."""
    vault = open_vault(Settings(data=data), background=False)
    try:
        policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
        check_ledger(vault, policy)
        check_objects(vault)
        check_records(vault)
        check_forgotten(vault)
        with vault.parts.database.reading() as connection:
            found = set(connection.scalars(select(models.documents.c.id)))
        assert set(documents) <= found
        person = vault.personas.named("camille").actor
        trust = TrustStore.from_pem(vault.trust.roots_pem)
        for document in documents[:3]:
            bundle = b"".join(vault.reading.bundle(person, document, "").read(0, None))
            check_bundle(bundle, trust, policy, scratch)
    finally:
        vault.close()


def test_a_destroyed_document_stays_destroyed_when_an_older_copy_is_put_back(tmp_path: Path) -> None:
    data, older = tmp_path / "data", tmp_path / "older"
    with serving(data, settings={"RETENTION_DAYS": 0}) as server:
        doomed, kept = (holder(server).send(Sample(n, is_act=False)).json["id"] for n in (1, 2))
        assert holder(server).ask("GET", f"/v1/documents/{doomed}/original").status == 200
    older.mkdir()
    for path in (*data.glob("probans.db*"), data / "records"):
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, older / path.name)
    with serving(data, settings={"RETENTION_DAYS": 0}) as server:
        assert holder(server).ask("DELETE", f"/test/documents/{doomed}").status == 200
        later = holder(server).send(Sample(3, is_act=False)).json["id"]
        assert holder(server).ask("GET", f"/v1/documents/{doomed}/original").status == 410
    later_records = {path.name: path for path in (data / "records").glob("*/*")}
    lose_database(data)
    for path in older.glob("probans.db*"):
        shutil.copy2(path, data / path.name)
    # An older copy of the records over those of today: the destroyed one's are back, the later ones stay.
    shutil.copytree(older / "records", data / "records", dirs_exist_ok=True)
    assert len(later_records) > 0
    assert holds_key_of(Settings(data=data), doomed), "the older copy could bring it back"
    refuses_to_start(data)
    done = recover(data)
    assert done.returncode == 0, done.stdout + done.stderr
    with serving(data) as server:
        for part in ("original", "evidence"):
            assert holder(server).ask("GET", f"/v1/documents/{doomed}/{part}").status == 410
        for document in (kept, later):
            assert holder(server).ask("GET", f"/v1/documents/{document}/original").status == 200
    assert not holds_key_of(Settings(data=data), doomed)
    holds(data, [kept, later], tmp_path)


def test_records_under_each_others_names_are_reported_and_the_rest_recovered(
    lived: tuple[Path, list[Answer]], copy: Path
) -> None:
    groups = sorted(
        (path for path in (copy / "data/records").glob("*/*") if path.name[:16].isdigit()),
        key=lambda path: path.name,
    )
    first, second = groups[0], groups[1]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    lose_database(copy / "data")
    done = recover(copy / "data")
    assert done.returncode == 1
    assert first.name in done.stdout
    assert second.name in done.stdout
    vault = open_vault(Settings(data=copy / "data"), background=False)
    try:
        check_ledger(vault, Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"))
        check_objects(vault)
        with vault.parts.database.reading() as connection:
            found = set(connection.scalars(select(models.documents.c.id)))
    finally:
        vault.close()
    sent = [answer["id"] for answer in lived[1] if answer["kind"] == "document"]
    assert len(found & set(sent)) >= len(sent) - 3


@pytest.mark.parametrize("file", ["tile/entries/000", "checkpoint"])
def test_a_published_ledger_that_was_changed_is_refused(copy: Path, plan: Plan, file: str) -> None:
    """One byte in an entry, or in what is signed: nothing is rebuilt from it."""
    path = copy / "data/ledger" / file
    octets = bytearray(path.read_bytes())
    place = random.Random(plan.seed).randrange(len(octets) if file != "checkpoint" else 60)
    octets[place] ^= 1
    path.chmod(0o600)
    path.write_bytes(octets)
    lose_database(copy / "data")
    done = recover(copy / "data")
    assert done.returncode == 1
    assert "[" in done.stderr, "it says with a code why"
    parts = open_parts(Settings(data=copy / "data"))
    try:
        with parts.database.reading() as connection:
            assert connection.scalars(select(models.documents.c.id)).all() == []
    finally:
        parts.close()
