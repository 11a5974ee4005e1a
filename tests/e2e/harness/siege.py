"""One data folder, killed again and again, and what must hold after each kill."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from signing.trust import TrustStore
from storage.base import LogStore
from storage.filesystem import FilesystemLogStore
from tests.e2e.harness.client import Cut, agent, holder
from tests.e2e.harness.judge import (
    Given,
    check_anchors,
    check_bundle,
    check_forgotten,
    check_ledger,
    check_objects,
    check_records,
)
from tests.e2e.harness.load import Load
from tests.e2e.harness.samples import CANARY
from tests.e2e.harness.server import Server
from vault.bootstrap import open_vault
from vault.db import models
from vault.db.engine import Database
from vault.ledger.audit import audit_database, audit_log_store
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.settings import Settings

ANY_MOMENT = "any moment"
# In titles, names, references and attachments; and the first octets of every PDF.
PERSONAL = (CANARY.encode(), CANARY.encode("utf-16-le"), b"%PDF-")


class Siege:
    """One data folder, killed again and again; others add to what happens before a kill and what is checked."""

    def __init__(
        self, folder: Path, seed: int, settings: Mapping[str, object] | None = None, pace: float = 0.0
    ) -> None:
        self.scratch = folder
        self.data = folder / "site" / "data"
        self.data.parent.mkdir(exist_ok=True)
        self.settings = {"RETENTION_DAYS": 0, "PUBLISH_INTERVAL": 0.05, **(settings or {})}
        self.load = Load(seed, pace)
        self.chance = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.in_flight: list[int] = []
        self.bundles = 0
        self.tokens = 0
        self._seen: set[str] = set()
        self._trust: tuple[TrustStore, Policy] | None = None

    def trust(self) -> tuple[TrustStore, Policy]:
        """Return roots and policy as they were given out after the first start."""
        if self._trust is None:
            keys = LedgerKeys.open(self.data / "keys/ledger", Settings().origin, create=False)
            policy = Policy.from_vkeys("\n".join(keys.vkeys) + "\n")
            self._trust = TrustStore.from_pem((self.data / "keys/pki/roots.pem").read_bytes()), policy
        return self._trust

    def strike(self, point: str) -> None:
        """Start the service, check what it kept, load it, kill it."""
        server = Server(self.data, settings=self.settings)
        try:
            self.check(server, bundles=4)
            with self.load.running(server, writers=2, readers=2, destroyers=1, daters=1):
                time.sleep(0.15)
                self.meanwhile(server)
                if point == ANY_MOMENT:
                    time.sleep(self.chance.uniform(0, 0.5))
                    server.kill()
                else:
                    passage = self.chance.randint(1, 5)
                    # The trap may close before the answer to this request is out.
                    with suppress(Cut):
                        holder(server).ask("POST", f"/test/trap?point={point}&passage={passage}")
                assert server.wait(60) == -signal.SIGKILL
        finally:
            server.stop()
        assert not self.load.wrong, self.load.wrong
        assert server.killed_at == (None if point == ANY_MOMENT else point)
        assert self.load.cut >= 1, f"no request was under way at {point}"
        self.kills[point] += 1
        self.in_flight.append(self.load.cut)
        self.check_as_it_lies()

    def meanwhile(self, server: Server) -> None:
        """Do something else under load, before the trap is set."""

    def also(self, database: Database, log: LogStore) -> None:
        """Check something else of what lies there after a kill: a copy of the database, and the published log."""

    def check(self, server: Server, bundles: int | None) -> None:
        """Check what was answered since the last check; retry what was not, and some of what was."""
        load, client, clerk = self.load, holder(server), agent(server)
        for sample in load.unanswered:
            load.send(clerk if sample.is_act else client, sample)
        new = [each for each in load.living() if each.document_id not in self._seen]
        old = [each for each in load.living() if each.document_id in self._seen]
        again = [*new[-5:], *self.chance.sample(old, min(3, len(old)))]
        before = load.replayed
        for each in again:
            load.send(clerk if each.sample.is_act else client, each.sample)
        assert load.replayed - before == len(again), "each retry is recognised"
        proven = new if bundles is None else new[-bundles:]
        for each in [*new, *self.chance.sample(old, min(3, len(old)))]:
            self._check_document(server, each, with_bundle=each in proven)
        for document in self.load.destroyed:
            assert client.ask("GET", f"/v1/documents/{document}/original").status == 410
        assert not load.wrong, load.wrong
        self._seen |= {each.document_id for each in new}

    def _check_document(self, server: Server, each: Given, *, with_bundle: bool) -> None:
        client = holder(server)
        original = client.ask("GET", f"/v1/documents/{each.document_id}/original")
        assert original.status == 200, (each, original)
        sent = each.sample.content()
        if each.sample.is_act:
            assert original.body.startswith(sent)
        else:
            assert original.body == sent
        if with_bundle:
            bundle = client.ask("GET", f"/v1/documents/{each.document_id}/evidence")
            assert bundle.status == 200, (each, bundle)
            check_bundle(bundle.body, *self.trust(), self.scratch)
            self.bundles += 1
        client.close()

    def check_as_it_lies(self) -> None:
        """Audit the ledger, count documents and look for clear text, before anything is started again."""
        # On a copy: opening a database repairs it, and that is the service's own work to do.
        copied = self.scratch / "copied"
        copied.mkdir()
        for path in self.data.glob("probans.db*"):
            shutil.copy2(path, copied / path.name)
        database = Database.open(f"sqlite:///{copied / 'probans.db'}", copied)
        log = FilesystemLogStore(self.data / "ledger")
        try:
            kept = audit_database(database)
            assert kept.ok, kept.problems
            self.also(database, log)
            with database.reading() as connection:
                documents = list(connection.scalars(select(models.documents.c.id)))
        finally:
            database.close()
            shutil.rmtree(copied)
        trust, policy = self.trust()
        published = audit_log_store(log, policy)
        assert published.ok, published.problems
        check_anchors(log, policy, trust)
        assert published.size <= kept.size
        assert {each.document_id for each in self.load.given.values()} <= set(documents)
        assert len(documents) <= len(self.load.asked)
        assert clear_text(self.data.parent) == []

    def end(self, bundles: int | None) -> None:
        """Check everything once more: every document, object, record, and that there is no double."""
        server = Server(self.data, settings=self.settings)
        try:
            self._seen.clear()
            self.check(server, bundles=bundles)
        finally:
            server.stop()
        self.check_as_it_lies()
        vault = open_vault(Settings(data=self.data), background=False)
        try:
            check_ledger(vault, self.trust()[1])
            self.tokens = check_anchors(
                vault.parts.log, self.trust()[1], self.trust()[0], vault.parts.database
            )
            check_objects(vault)
            check_records(vault)
            assert check_forgotten(vault) >= len(self.load.destroyed)
            with vault.parts.database.reading() as connection:
                documents = list(connection.scalars(select(models.documents.c.id)))
        finally:
            vault.close()
        assert not self.load.unanswered
        assert sorted(documents) == sorted(each.document_id for each in self.load.given.values())


def clear_text(folder: Path) -> list[str]:
    """Return the names of files that hold something personal in clear, or are named by it."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if CANARY in path.name or (path.is_file() and any(each in path.read_bytes() for each in PERSONAL))
    ]
