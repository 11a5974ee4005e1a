"""Without a timestamp authority: nothing is refused, nothing pretends, and all heals by itself, in order."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from signing.trust import TrustStore
from tests.e2e.harness.client import agent, encoded, holder
from tests.e2e.harness.judge import Broken, check_bundle, check_ledger, check_objects, check_records
from tests.e2e.harness.samples import HOLDER, Sample
from tests.e2e.harness.server import Server
from tests.e2e.harness.tsa import MISBEHAVIOURS, Authority
from vault.bootstrap import open_vault
from vault.db import models
from vault.ledger.policy import Policy
from vault.ledger.receipt import verify_receipt
from vault.service import Vault
from vault.settings import Settings

HEALED_WITHIN = 25.0


@dataclass
class Site:
    """A safe whose authority is outside."""

    data: Path
    authority: Authority

    def __post_init__(self) -> None:
        self.server = self.start()

    def start(self) -> Server:
        """Start the service."""
        settings = {
            "TSA_URL": self.authority.url,
            "TSA_TIMEOUT": 2,
            "TSA_PAUSE": 1,
            "HEAL_INTERVAL": 0.2,
            "PUBLISH_INTERVAL": 0.05,
        }
        self.server = Server(self.data, settings=settings)
        return self.server

    def restart(self) -> None:
        """Stop and start the service."""
        self.server.stop()
        self.start()

    def send(self, sample: Sample) -> Any:
        """Send a sample; return status and answer."""
        reply = (agent if sample.is_act else holder)(self.server).send(sample)
        return reply.status, reply.json

    def get(self, document: str, part: str = "") -> Any:
        """Read a part of a document as its holder."""
        return holder(self.server).ask("GET", f"/v1/documents/{document}{part}")

    def described(self, document: str) -> Any:
        """Return a document's description."""
        reply = self.get(document)
        assert reply.status == 200
        return reply.json

    def wait_until_sealed(self, documents: list[str]) -> list[int]:
        """Wait until all are sealed; return the numbers of their sealing entries."""
        deadline = time.monotonic() + HEALED_WITHIN
        while True:
            found = [self.described(document) for document in documents]
            if all(each["sealing"] == "sealed" for each in found):
                return [each["sealing_entry"] for each in found]
            assert time.monotonic() < deadline, found
            time.sleep(0.1)

    def prove(self, document: str, scratch: Path) -> None:
        """Have the bundle of a document verified."""
        bundle = self.get(document, "/evidence")
        assert bundle.status == 200, bundle
        trust = TrustStore.from_pem((self.data / "keys/pki/roots.pem").read_bytes())
        check_bundle(bundle.body, trust, self.policy(), scratch)

    def policy(self) -> Policy:
        """Return the ledger's policy."""
        reply = holder(self.server).ask("GET", "/confiance/ledger.vkeys")
        assert reply.status == 200, reply
        return Policy.from_vkeys(reply.body.decode())

    def inside(self, look: Callable[[Vault], None]) -> None:
        """Stop the service and look at its folder."""
        self.server.stop()
        vault = open_vault(Settings(data=self.data), background=False)
        try:
            check_ledger(vault, Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"))
            check_objects(vault)
            check_records(vault)
            look(vault)
        finally:
            vault.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A safe that has never met its authority: it is down from the first start on."""
    data = tmp_path / "site" / "data"
    made = Site(data, Authority(data, tmp_path / "strange"))
    yield made
    made.server.stop()


def rows(vault: Vault) -> dict[str, set[str]]:
    """Return the roles of the stored parts by document."""
    with vault.parts.database.reading() as connection:
        found = connection.execute(select(models.objects.c.document_id, models.objects.c.role)).all()
    return {
        document: {role for _, role in group}
        for document, group in itertools.groupby(sorted(found), key=lambda row: row[0])
    }


def events(vault: Vault, document: str) -> list[str]:
    """Return the status events of a document, in order."""
    table = models.document_entries
    query = select(table.c.event).where(table.c.document_id == document, table.c.chain == "status")
    with vault.parts.database.reading() as connection:
        return list(connection.scalars(query.order_by(table.c.counter)))


def test_what_waits_is_promised_kept_and_never_called_sealed(site: Site, tmp_path: Path) -> None:
    samples = [Sample(number, is_act=number % 2 == 0) for number in range(6)]
    documents = []
    for sample in samples:
        status, answer = site.send(sample)
        assert (status, answer["sealing"]) == (202, "waiting")
        documents.append(answer["id"])
    for sample, document in zip(samples, documents, strict=True):
        described = site.described(document)
        assert (described["sealing"], described["published"], described["sealing_entry"]) == (
            "waiting",
            False,
            None,
        )
        for part in ("/original", "/evidence"):
            refused = site.get(document, part)
            assert (refused.status, refused.json["code"]) == (409, "NOT_PUBLISHED")
        receipt = site.get(document, "/receipt?wait=5")
        assert receipt.status == 200
        assert site.send(sample)[0] == 202
        assert site.send(sample)[1]["id"] == document

    def nothing_pretends(vault: Vault) -> None:
        for sample, document in zip(samples, documents, strict=True):
            # An attachment's octets are its original already; an act becomes one when it is sealed.
            assert rows(vault)[document] == {"received" if sample.is_act else "original"}
            assert events(vault, document) == ["document.received"]
            with vault.parts.database.reading() as connection:
                seq = connection.scalar(
                    select(models.documents.c.first_seq).where(models.documents.c.id == document)
                )
                body = connection.scalar(
                    select(models.ledger_entries.c.body).where(models.ledger_entries.c.seq == seq)
                )
            receipt = vault.reading.receipt(vault.personas.named(HOLDER).actor, document, "", 5.0)
            policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
            assert verify_receipt(receipt or b"", body or b"", policy).index == seq

    # Started without an outside authority, a safe would seal by itself: background work is off here.
    site.inside(nothing_pretends)

    site.start()
    assert all(site.described(document)["sealing"] == "waiting" for document in documents)
    with site.authority.running():
        order = site.wait_until_sealed(documents)
        assert order == sorted(order)
        for sample, document in zip(samples, documents, strict=True):
            original = site.get(document, "/original").body
            content = sample.content()
            assert original.startswith(content) if sample.is_act else original == content
            site.prove(document, tmp_path)
            # The first answer stands, whatever happened since.
            status, answer = site.send(sample)
            assert (status, answer["id"], answer["sealing"]) == (202, document, "waiting")

    def all_stands(vault: Vault) -> None:
        for sample, document in zip(samples, documents, strict=True):
            sealed = "document.issued" if sample.is_act else "document.deposited"
            assert events(vault, document) == ["document.received", sealed]

    site.inside(all_stands)


def test_it_heals_after_a_restart_with_the_authority_back(site: Site, tmp_path: Path) -> None:
    documents = [site.send(Sample(number, is_act=number % 2 == 0))[1]["id"] for number in range(4)]
    site.restart()
    documents += [site.send(Sample(number, is_act=False))[1]["id"] for number in range(4, 6)]
    site.server.stop()
    with site.authority.running():
        site.start()
        order = site.wait_until_sealed(documents)
        assert order == sorted(order)
        for document in documents:
            site.prove(document, tmp_path)
        assert site.send(Sample(50, is_act=True))[0] == 201


def test_an_authority_that_misbehaves_is_as_good_as_none(site: Site, tmp_path: Path) -> None:
    documents = []
    with site.authority.running():
        assert site.send(Sample(0, is_act=True))[0] == 201
        for number, mode in enumerate(MISBEHAVIOURS, 1):
            site.authority.mode = mode
            before = site.authority.asked
            status, answer = site.send(Sample(number, is_act=number % 2 == 0))
            assert (status, answer["sealing"]) == (202, "waiting"), mode
            documents.append(answer["id"])
            # The healer tries too, with no better luck; after some failures the authority is left alone for a while.
            deadline = time.monotonic() + HEALED_WITHIN
            while site.authority.asked == before:
                assert time.monotonic() < deadline, mode
                time.sleep(0.1)
            time.sleep(0.5)
            assert site.described(answer["id"])["sealing"] == "waiting", mode
        site.authority.mode = "well"
        order = site.wait_until_sealed(documents)
        assert order == sorted(order)
        for document in documents:
            site.prove(document, tmp_path)


def test_an_act_that_waits_replaces_another_when_it_is_sealed(site: Site, tmp_path: Path) -> None:
    with site.authority.running():
        old, doomed = (site.send(Sample(number, is_act=True))[1]["id"] for number in (0, 1))
    status, answer = site.send(Sample(2, is_act=True, supersedes=old))
    new = answer["id"]
    assert status == 202
    late = site.send(Sample(3, is_act=True, supersedes=doomed))[1]["id"]
    assert site.described(old)["status"] == "valid"
    # What could never replace anything is refused now, not promised and then left waiting for ever.
    for number, supersedes in ((4, "doc_00000000000000000000000000"), (5, old)):
        reply = agent(site.server).send(Sample(number, is_act=True, supersedes=supersedes))
        assert reply.status in (404, 409), reply
    revoke = {"Idempotency-Key": "r", "Content-Type": "application/json"}
    path = f"/v1/acts/{doomed}/revocation"
    assert agent(site.server).ask("POST", path, orjson.dumps({"reason": "error"}), revoke).status == 200
    with site.authority.running():
        site.wait_until_sealed([new, late])
        assert site.described(old)["status"] == "superseded"
        assert site.described(old)["superseded_by"] == new
        assert site.described(doomed)["status"] == "revoked"
        for document in (old, new, doomed, late):
            site.prove(document, tmp_path)


@pytest.mark.parametrize(
    "point", ["pipeline.sealed", "store.before-commit", "ledger.after-record", "ledger.after-commit"]
)
def test_healing_that_is_killed_goes_on_after_the_next_start(site: Site, tmp_path: Path, point: str) -> None:
    documents = [site.send(Sample(number, is_act=number % 2 == 0))[1]["id"] for number in range(6)]
    armed = holder(site.server).ask("POST", f"/test/trap?point={point}&passage=3")
    assert armed.status == 200
    with site.authority.running():
        site.server.wait(HEALED_WITHIN)
        assert site.server.killed_at == point
        site.start()
        order = site.wait_until_sealed(documents)
        assert order == sorted(order)
        for document in documents:
            site.prove(document, tmp_path)

    def once(vault: Vault) -> None:
        for document in documents:
            assert len(events(vault, document)) == 2

    site.inside(once)


def test_a_bundle_without_its_seal_would_be_noticed(site: Site, tmp_path: Path) -> None:
    """The check that says "proven" says no to anything less."""
    with site.authority.running():
        document = site.send(Sample(1, is_act=False))[1]["id"]
        bundle = site.get(document, "/evidence").body
    trust = TrustStore.from_pem((site.data / "keys/pki/roots.pem").read_bytes())
    check_bundle(bundle, trust, site.policy(), tmp_path)
    with pytest.raises(Broken):
        check_bundle(bundle[:-100], trust, site.policy(), tmp_path)
    assert encoded({"a": 1}) == "eyJhIjogMX0"
