"""The restore drill of docs/recovery.md on PostgreSQL and an S3 service: real backups, real loss."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from signing.trust import TrustStore
from storage.base import RecordStore
from tests.e2e.harness.judge import (
    check_bundle,
    check_forgotten,
    check_ledger,
    check_objects,
    holds_key_of,
    send,
)
from tests.e2e.harness.samples import HOLDER, OPERATOR, PURPOSE, Sample
from tests.e2e.harness.stack import Place, on_servers, run
from tests.e2e.harness.town import ASKED, Life, consented, live, opened, proven, read
from tests.services.postgresql import Server, programs
from tests.services.versitygw import Gateway
from vault.bootstrap import open_parts
from vault.db import models
from vault.errors import LedgerError, VaultError
from vault.ledger.policy import Policy

pytestmark = [pytest.mark.needs("postgresql"), pytest.mark.needs("versitygw")]
DATABASE = "drill"


@dataclass
class Drill:
    """A safe with a yesterday and a today.

    Attributes:
        place: where it lies.
        server: its PostgreSQL.
        life: what happened until yesterday's backup.
        dump: that backup.
        records: a backup of the recovery records of the same moment, by name.
        today: documents of today.
        doomed: of yesterday, destroyed today.
        consents: document and consent: one given today, one of yesterday that was withdrawn today.
        entries: of the ledger at the end.
    """

    place: Place
    server: Server
    life: Life
    dump: Path
    records: dict[str, bytes] = field(default_factory=dict)
    today: list[str] = field(default_factory=list)
    doomed: str = ""
    consents: dict[str, tuple[str, str]] = field(default_factory=dict)
    entries: int = 0

    def tool(self, name: str, *words: str) -> None:
        """Run a program of PostgreSQL as its operator does."""
        folder = programs()
        assert folder is not None
        address = ("-h", str(self.server.folder), "-U", "probans")
        done = subprocess.run(
            [folder / name, *address, *words], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr

    def lose(self) -> None:
        """Leave an empty database, as on a new machine."""
        self.tool("dropdb", "--force", DATABASE)
        self.tool("createdb", "--template=template0", DATABASE)

    def restore(self) -> None:
        """Put yesterday's dump in its place."""
        self.lose()
        self.tool("pg_restore", "--dbname", DATABASE, "--exit-on-error", str(self.dump))

    def recover(self) -> str:
        """Run `probans recover`; return what it said."""
        done = run("recover", "--data", str(self.place.settings.data), place=self.place)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def audit(self) -> tuple[int, str]:
        """Run `probans audit`; return its exit code and what it said."""
        done = run("audit", str(self.place.settings.data), place=self.place)
        return done.returncode, done.stdout + done.stderr

    def refuses(self) -> str:
        """Return the code with which the service does not start."""
        with pytest.raises(LedgerError) as caught, opened(self.place.settings):
            pass
        return caught.value.code


@pytest.fixture(scope="module")
def drill(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: Server, versitygw_server: Gateway
) -> Iterator[Drill]:
    folder = tmp_path_factory.mktemp("drill")
    place = on_servers(postgresql_server, versitygw_server, folder / "safe", DATABASE)
    life = live(place.settings, 30)
    with opened(place.settings, retention_days=0) as vault:
        doomed = send(vault, Sample(500, is_act=False)).document_id
    made = Drill(place, postgresql_server, life, folder / "yesterday.dump", doomed=doomed)
    made.tool("pg_dump", "--format=custom", "--file", str(made.dump), DATABASE)
    made.records = all_records(made)
    _today(made)
    yield made
    with suppress(OSError):
        postgresql_server.drop(DATABASE)


def _today(drill: Drill) -> None:
    """More documents, a destruction, a consent, a withdrawal, an erased address, another one, a label."""
    with opened(drill.place.settings) as vault:
        drill.today += [send(vault, Sample(600 + n, is_act=n % 3 == 0)).document_id for n in range(9)]
        vault.lifecycle.destroy(vault.personas.named(OPERATOR).actor, drill.doomed)
        holder, payroll = proven(vault, HOLDER), proven(vault, "agent-paie")
        given = drill.today[0]
        drill.consents["given"] = (given, consented(vault, payroll, given))
        drill.consents["withdrawn"] = drill.life.consents["stands"]
        vault.people.tell_once.consents.withdraw(holder, drill.consents["withdrawn"][1], "drill-withdraw")
        vault.notifying.contacts.replace(holder, holder.safe_id or "", [("mail", "nouvelle@example.org")])
        vault.people.labels.put(holder, drill.today[1], ["du jour"])
        drill.life.receipts[drill.today[2]] = (
            vault.reading.receipt(holder, drill.today[2], PURPOSE, 5.0) or b""
        )
        with vault.parts.database.reading() as connection:
            drill.entries = connection.scalar(select(models.ledger_head.c.size)) or 0


def stands(drill: Drill, scratch: Path, bundles: int = 1000) -> int:
    """Start the service and demand that today is as it was; return how many bundles verified."""
    life, settings = drill.life, drill.place.settings
    trust = TrustStore.from_pem(life.trust[0])
    policy = Policy.from_vkeys("\n".join(life.trust[1]) + "\n")
    with opened(settings) as vault:
        assert check_ledger(vault, policy) >= drill.entries
        check_objects(vault)
        check_forgotten(vault)
        holder, payroll = proven(vault, HOLDER), proven(vault, "agent-paie")
        assert code_of(lambda: read(vault, drill.doomed)) == "DOCUMENT_DESTROYED"
        read(vault, drill.consents["given"][0], payroll, ASKED)
        withdrawn = drill.consents["withdrawn"][0]
        assert code_of(lambda: read(vault, withdrawn, payroll, ASKED)) == "NOT_FOUND"
        contacts = vault.notifying.contacts.of(holder, holder.safe_id or "")
        assert [each.address for each in contacts] == ["nouvelle@example.org"], (
            "an erased address stays erased"
        )
        labels = {each.label for each in vault.people.labels.of_safe(holder, holder.safe_id or "")}
        assert labels == {"à garder", "du jour"}
        vault.people.sharing.openings.open(*life.share)
        vault.healer.heal()
        documents = [*life.documents, *drill.today][-bundles:]
        for document in documents:
            bundle = b"".join(vault.reading.bundle(holder, document, PURPOSE).read(0, None))
            check_bundle(bundle, trust, policy, scratch)
        (scratch / "vkeys").write_text("\n".join(life.trust[1]) + "\n")
        (scratch / "roots.pem").write_bytes(life.trust[0])
    # The last bundle once more, as a stranger verifies it.
    trusting = ("--trust", str(scratch / "roots.pem"), "--vkeys", str(scratch / "vkeys"))
    verified = run("verify", str(scratch / "judged.asice"), *trusting)
    assert verified.returncode == 0, verified.stdout
    return len(documents)


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(VaultError) as caught:
        work()
    return caught.value.code


def records_of(drill: Drill) -> RecordStore:
    parts = open_parts(drill.place.settings)
    try:
        return parts.records._store
    finally:
        parts.close()


def all_records(drill: Drill) -> dict[str, bytes]:
    store = records_of(drill)
    return {name: store.read(name) for name in store.names()}


def put_records(drill: Drill, records: Mapping[str, bytes]) -> None:
    """Make these the recovery records, as a copy of the bucket that is put back."""
    store = records_of(drill)
    for name in list(store.names()):
        store.delete(name)
    for name, octets in records.items():
        store.write(name, octets)


def test_yesterdays_dump_is_refused_and_brought_up_to_today(
    drill: Drill, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    drill.restore()
    assert drill.refuses() == "LEDGER_BEHIND"
    done = run("serve", "--data", str(drill.place.settings.data), "--port", "0", place=drill.place)
    assert done.returncode == 1
    assert "LEDGER_BEHIND" in done.stderr
    assert "probans recover" in done.stderr
    code, told = drill.audit()
    assert code == 1, "an auditor sees it too"
    assert "LEDGER_BEHIND" in told
    told = drill.recover()
    bundles = stands(drill, tmp_path)
    code, audited = drill.audit()
    assert code == 0, audited
    figure(f"yesterday's dump brought up to today: {told.splitlines()[0]}; {bundles} bundles verify")


def test_an_empty_database_is_rebuilt_whole(
    drill: Drill, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    drill.lose()
    assert drill.refuses() == "LEDGER_BEHIND"
    told = drill.recover()
    bundles = stands(drill, tmp_path)
    code, audited = drill.audit()
    assert code == 0, audited
    with opened(drill.place.settings) as vault:
        assert send(vault, Sample(900, is_act=False)).seq >= drill.entries
    figure(f"an empty database rebuilt: {told.splitlines()[0]}; {bundles} bundles verify")


def test_dump_and_records_of_yesterday_together(drill: Drill, tmp_path: Path) -> None:
    """The whole machine room of yesterday, but the locked bucket, which nobody can set back."""
    today = all_records(drill)
    drill.restore()
    put_records(drill, drill.records)
    assert holds_key_of(drill.place.settings, drill.doomed), "yesterday's copy could bring it back"
    assert drill.refuses() == "LEDGER_BEHIND"
    done = run("recover", "--data", str(drill.place.settings.data), place=drill.place)
    # What only today's records knew is gone, and every entry of it is told, none made up; destroyed it stays.
    assert "1 destructions" in done.stdout, done.stdout
    assert not holds_key_of(drill.place.settings, drill.doomed)
    with opened(drill.place.settings) as vault:
        assert code_of(lambda: read(vault, drill.doomed)) in {"DOCUMENT_DESTROYED", "NOT_FOUND"}
        assert read(vault, drill.life.documents[0])
        assert code_of(lambda: read(vault, drill.today[0])) == "NOT_FOUND"
    put_records(drill, today)
    drill.lose()
    drill.recover()
    stands(drill, tmp_path, bundles=3)


def test_lost_records_beside_a_whole_database(
    drill: Drill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = all_records(drill)
    put_records(drill, {})
    stands_without_records(drill)
    code, told = drill.audit()
    assert code == 1
    assert "RECORD" in told
    # An older copy of them, from before a destruction: what it brings back of that document goes again.
    put_records(drill, all_records(drill) | today | drill.records)
    assert holds_key_of(drill.place.settings, drill.doomed)
    # Yesterday and today are seconds apart here.
    monkeypatch.setattr("vault.recovery.following._SLACK", timedelta(0))
    parts = open_parts(drill.place.settings)
    assert parts.recovery().run(parts.clock).findings == []
    parts.close()
    assert not holds_key_of(drill.place.settings, drill.doomed)
    code, told = drill.audit()
    assert code == 0, told
    stands(drill, tmp_path, bundles=3)


def stands_without_records(drill: Drill) -> None:
    """The service goes on, and what is new has its record."""
    with opened(drill.place.settings) as vault:
        assert read(vault, drill.life.documents[0])
        new = send(vault, Sample(901, is_act=False))
        assert list(vault.parts.records.names())
        drill.today.append(new.document_id)
        with vault.parts.database.reading() as connection:
            assert connection.scalar(select(func.count()).select_from(models.documents))
