"""What must hold of a safe after any crash, however it came about."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import orjson
from sqlalchemy import select

from signing.trust import TrustStore
from storage.base import LogStore
from storage.errors import StorageError
from tests.e2e.harness.samples import ADMINISTRATION, AGENT, HOLDER, PURPOSE, Sample
from timestamping.verify import Rfc3161Verifier
from vault.bootstrap import open_parts, open_vault
from vault.db import models
from vault.db.engine import Database
from vault.domain.documents import ObjectRole, Outcome
from vault.domain.states import Sealing
from vault.domain.transfer import Transfer
from vault.evidence.findings import Outcome as Judged
from vault.evidence.verify import verify_file
from vault.ledger.anchor import FIRST, token_digest, verify_anchor
from vault.ledger.anchors import read_anchor, stored_sizes
from vault.ledger.audit import audit_database, audit_log_store
from vault.ledger.policy import Policy
from vault.records.changes import Change
from vault.service import Vault
from vault.settings import Settings


class Broken(AssertionError):
    """Something that was promised does not hold."""


@dataclass(frozen=True, slots=True)
class Given:
    """A document that was answered with 2xx.

    Attributes:
        sample: what was sent.
        document_id: the answer's identifier.
        seq: the answer's entry number.
        status_code: 201 or 202.
    """

    sample: Sample
    document_id: str
    seq: int
    status_code: int


def demand(holds: bool, what: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(what)


def check_ledger(vault: Vault, policy: Policy) -> int:
    """Check the whole ledger, in the database and, once all of it is published, as published; return its size."""
    in_database = audit_database(vault.parts.database)
    demand(in_database.ok, f"ledger in the database: {in_database.problems}")
    deadline = time.monotonic() + 10.0
    while True:
        published = audit_log_store(vault.parts.log, policy)
        if (published.ok and published.size == in_database.size) or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    demand(published.ok, f"published ledger: {published.problems}")
    demand(published.size == in_database.size, "the whole ledger is published")
    demand(published.root == in_database.root, "published and kept ledger have one root")
    return in_database.size


def check_anchors(log: LogStore, policy: Policy, trust: TrustStore, database: Database | None = None) -> int:
    """Check that the stored anchors are good and one chain, and that no row names another; return how many."""
    previous, verifier, times = FIRST, Rfc3161Verifier(trust), []
    sizes = stored_sizes(log)
    for size in sizes:
        stored = read_anchor(log, size)
        report = verify_anchor(stored.anchor, stored.token, policy, verifier, crls=stored.crls)
        demand(report.size == size, f"the anchor of {size} is of {report.size}")
        demand(report.links.previous == previous, f"the anchor of {size} continues the one before")
        previous = token_digest(stored.token)
        times.append(report.gen_time)
    demand(times == sorted(times), "the times of anchors never go back")
    if database is not None:
        with database.reading() as connection:
            named = set(connection.scalars(select(models.anchors.c.size)))
        demand(named <= set(sizes), f"anchors in the database that are not stored: {named - set(sizes)}")
    return len(sizes)


def check_objects(vault: Vault) -> int:
    """Check that every object that a row names is there with its own octets; return how many."""
    checked = 0
    with vault.parts.database.reading() as connection:
        rows = connection.execute(select(models.objects)).mappings().all()
    for row in rows:
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in vault.parts.objects.read(row["address"]):
                digest.update(chunk)
                size += len(chunk)
        except StorageError as error:
            raise Broken(f"object of {row['document_id']} ({row['role']}): {error.code}") from error
        demand(size == row["stored_size"], f"object {row['role']} has {size} octets")
        demand(digest.hexdigest() == row["address"], f"object {row['role']} has other octets")
        checked += 1
    return checked


def check_records(vault: Vault) -> int:
    """Check that every entry about a living document has its recovery record; return how many."""
    entries, documents = models.document_entries, models.documents
    query = select(entries.c.seq, entries.c.record, entries.c.event).join(
        documents, documents.c.id == entries.c.document_id
    )
    with vault.parts.database.reading() as connection:
        rows = connection.execute(query.where(documents.c.wrapped_key.is_not(None))).all()
        bodies = {
            seq: orjson.loads(body)
            for seq, body in connection.execute(
                select(models.ledger_entries.c.seq, models.ledger_entries.c.body)
            )
        }
        safes = connection.scalars(select(models.safes.c.id)).all()
    held: dict[str, set[str]] = {}
    for name in {row.record for row in rows}:
        held[name] = {change.commitment.hex() for change in read_changes(vault, name)}
    for seq, record, event in rows:
        demand(bodies[seq]["commitment"] in held[record], f"entry {seq} ({event}) has its recovery record")
    for safe in safes:
        demand(len(read_changes(vault, safe)) == 1, "a safe has its recovery record")
    return len(rows)


def check_forgotten(vault: Vault) -> int:
    """Check that of each destroyed document no record is left but that of its destruction; return how many."""
    table = models.documents
    with vault.parts.database.reading() as connection:
        destroyed = set(connection.scalars(select(table.c.id).where(table.c.wrapped_key.is_(None))))
    for name in vault.parts.records.names():
        for change in read_changes(vault, name):
            events = [row.get("event") for _, row in change.inserts]
            if change.document_id in destroyed and "document.destroyed" not in events:
                raise Broken(f"a record of a destroyed document is left: {events}")
    return len(destroyed)


def read_changes(vault: Vault, name: str) -> list[Change]:
    """Return the changes in a recovery file. Raises Broken when it cannot be read."""
    try:
        return [Change.decode(data) for data in vault.parts.records.read(name)]
    except StorageError as error:
        raise Broken(f"recovery file {name}: {error.code}") from error


def check_given(vault: Vault, given: Given, trust: TrustStore, policy: Policy, scratch: Path) -> None:
    """Check that an answered document is there, sealed or waiting as was said, and proves itself."""
    holder = vault.personas.named(HOLDER).actor
    document = vault.reading.describe(holder, given.document_id, PURPOSE).document
    private = document.private
    demand(private is not None and private.title == given.sample.title, "the title is the one given")
    sent = given.sample.content()
    if document.sealing is Sealing.WAITING:
        demand(given.status_code == 202, "an answer of 201 is sealed")
        part = document.parts.get(ObjectRole.RECEIVED) or document.parts[ObjectRole.ORIGINAL]
        demand(part.sha256 == hashlib.sha256(sent).hexdigest(), "what waits is what was sent")
        return
    original = b"".join(vault.reading.original(holder, given.document_id, PURPOSE).read(0, None))
    if given.sample.is_act:
        demand(original.startswith(sent) and len(original) > len(sent), "the act continues what was sent")
    else:
        demand(original == sent, "the attachment is what was sent")
    bundle = b"".join(vault.reading.bundle(holder, given.document_id, PURPOSE).read(0, None))
    check_bundle(bundle, trust, policy, scratch)


def check_bundle(bundle: bytes, trust: TrustStore, policy: Policy, scratch: Path) -> None:
    """Check that a bundle proves itself. Raises Broken."""
    path = scratch / "judged.asice"
    path.write_bytes(bundle)
    verdict = verify_file(path, trust=trust, tsa_trust=None, policy=policy)
    demand(verdict.verdict is Judged.PASSED, f"the bundle verifies: {verdict.reasons}")


def check_retry(vault: Vault, given: Given) -> None:
    """Check that the same request gives the first answer."""
    again = send(vault, given.sample)
    demand(again.replayed, "a retry is recognised")
    demand(
        (again.document_id, again.seq, again.status_code)
        == (given.document_id, given.seq, given.status_code),
        "a retry gets the first answer",
    )


def send(vault: Vault, sample: Sample) -> Outcome:
    """Send a sample, in this process."""
    content = sample.content()
    transfer = Transfer(sample.key, len(content))
    if sample.is_act:
        agent = vault.personas.named(AGENT).actor
        return vault.issuing.issue(agent, ADMINISTRATION, sample.description(), iter((content,)), transfer)
    holder = vault.personas.named(HOLDER).actor
    return vault.submissions.deposit(holder, sample.description(), iter((content,)), transfer)


def check_whole(settings: Settings) -> tuple[int, list[str], int]:
    """Open a safe nobody runs and check all of it; return its entries, its documents and its kept answers' number."""
    vault = open_vault(settings, background=False)
    try:
        entries = check_ledger(vault, Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n"))
        check_objects(vault)
        check_records(vault)
        with vault.parts.database.reading() as connection:
            documents = list(connection.scalars(select(models.documents.c.id)))
            keys = connection.execute(select(models.idempotency.c.document_id)).all()
    finally:
        vault.close()
    return entries, documents, len(keys)


def holds_key_of(settings: Settings, document: str) -> bool:
    """Tell whether a recovery record could still bring a document back."""
    parts = open_parts(settings)
    try:
        return any(
            f'"{document}"'.encode() in record and b'"wrapped_key":{' in record
            for name in parts.records.names()
            for record in parts.records.read(name)
        )
    finally:
        parts.close()
