"""What the traced workload was answered, and whether a disk that a power loss left still keeps it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from signing.trust import TrustStore
from storage.filesystem import FilesystemLogStore
from tests.e2e.harness.judge import (
    Given,
    check_given,
    check_ledger,
    check_objects,
    check_records,
    check_retry,
    demand,
    read_changes,
)
from tests.e2e.harness.samples import Sample
from vault.bootstrap import open_vault
from vault.db import models
from vault.db.repositories import Documents, opening_role
from vault.domain.states import Sealing, Status
from vault.ledger.audit import audit_log_store
from vault.ledger.checkpoint import Checkpoint
from vault.ledger.entry import decode, leaf_hash
from vault.ledger.opening import RevealedOpening
from vault.ledger.policy import Policy
from vault.ledger.receipt import parse_receipt, verify_receipt
from vault.ledger.stored import StoredTiles, entry_body
from vault.ledger.tree import root
from vault.service import Vault
from vault.settings import Settings

Answer = Mapping[str, Any]


def keeps(
    folder: Path,
    answers: Sequence[Answer],
    trusted: Answer,
    some: random.Random | None,
    *,
    rebuilt: bool = False,
) -> None:
    """Start the service on a disk and check every answer.

    Args:
        folder: holds `data`.
        answers: given before the power loss.
        trusted: the answer of the first start, whether it was given by then or not.
        some: source of chance to choose the documents whose bundles are verified; None: all of them.
        rebuilt: the database was made anew from the records: of a destroyed document no idempotency key is there.

    Raises:
        Broken: a promise is not kept.
        Exception: whatever the service refuses to start with.
    """
    by_kind: dict[str, list[Answer]] = {}
    for answer in answers:
        by_kind.setdefault(answer["kind"], []).append(answer)
    _check_published(folder / "data", by_kind.get("receipt", ()), trusted)
    vault = open_vault(Settings(data=folder / "data", publish_interval=0.05), background=False)
    try:
        if "started" in by_kind:
            demand(list(vault.trust.vkeys) == trusted["vkeys"], "the ledger's keys are those given out")
            demand(vault.trust.roots_pem.decode() == trusted["roots"], "the roots are those given out")
        _check_receipts(vault, by_kind.get("receipt", ()))
        _check_reads(vault, by_kind)
        policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
        check_ledger(vault, policy)
        check_objects(vault)
        check_records(vault)
        _check_states(vault, by_kind)
        vault.healer.heal()
        destroyed = {answer["id"] for answer in by_kind.get("destroyed", ())}
        given = [_given(answer) for answer in by_kind.get("document", ())]
        for each in given:
            if not (rebuilt and each.document_id in destroyed):
                check_retry(vault, each)
        alive = [each for each in given if each.document_id not in destroyed]
        if some is not None:
            alive = [*alive[-2:], *some.sample(alive[:-2], min(1, len(alive[:-2])))]
        trust = TrustStore.from_pem(vault.trust.roots_pem)
        for each in alive:
            if not _is_destroyed(vault, each.document_id):
                check_given(vault, each, trust, policy, folder)
    finally:
        vault.close()


def _given(answer: Answer) -> Given:
    sample = Sample(answer["number"], answer["is_act"], answer["supersedes"])
    return Given(sample, answer["id"], answer["seq"], answer["status_code"])


def _check_published(data: Path, receipts: Sequence[Answer], trusted: Answer) -> None:
    """Check the published files as they lie: whole, and never behind a receipt, or auditors see it go back."""
    if not (data / "ledger").is_dir():
        demand(not receipts, "what receipts rest on is published")
        return
    log = FilesystemLogStore(data / "ledger")
    covered = max(
        (Checkpoint.parse(parse_receipt(answer["receipt"].encode()).note).size for answer in receipts),
        default=0,
    )
    if covered or list(log.list("checkpoint")):
        published = audit_log_store(log, Policy.from_vkeys("\n".join(trusted["vkeys"]) + "\n"))
        demand(published.ok, f"published ledger as it lies: {published.problems}")
        demand(published.size >= covered, f"published up to {published.size}, receipts up to {covered}")


def _check_receipts(vault: Vault, answers: Sequence[Answer]) -> None:
    """Check before anything is published anew: what a receipt rests on must stand."""
    policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
    for answer in answers:
        receipt = parse_receipt(answer["receipt"].encode())
        with vault.parts.database.reading() as connection:
            body = entry_body(connection, receipt.index)
            demand(body is not None, "the entry of a receipt is there")
            found = verify_receipt(answer["receipt"].encode(), body or b"", policy)
            tiles = StoredTiles(connection, {})
            demand(
                root(tiles, found.checkpoint.size) == found.checkpoint.root, "a receipt's checkpoint stands"
            )
        demand(decode(body or b"").seq == receipt.index and leaf_hash(body or b"") == found.leaf, "entry")


def _check_reads(vault: Vault, by_kind: Mapping[str, Sequence[Answer]]) -> None:
    wanted: dict[str, set[str]] = {}
    for answer in by_kind.get("read", ()):
        wanted.setdefault(answer["id"], set()).add(answer["purpose"])
    documents = Documents(vault.parts.keyring)
    for document, purposes in wanted.items():
        found: set[str] = set()
        with vault.parts.database.reading() as connection:
            key = documents.key(connection, document)
            demand(key is not None, "a document that was read is there")
            for entry in documents.entries(connection, document, "access"):
                assert key is not None
                opened = key.open(opening_role("access", entry.counter), entry.opening or b"")
                opening = RevealedOpening.parse(opened).opened()
                if opening.document["action"] == "read":
                    found.add(str(opening.context["purpose"]))
        demand(purposes <= found, f"reads without access entry: {sorted(purposes - found)[:3]}")


def _check_states(vault: Vault, by_kind: Mapping[str, Sequence[Answer]]) -> None:
    documents = Documents(vault.parts.keyring)
    wanted = {"revoked": Status.REVOKED, "superseded": Status.SUPERSEDED, "destroyed": Status.DESTROYED}
    with vault.parts.database.reading() as connection:
        for kind, status in wanted.items():
            for answer in by_kind.get(kind, ()):
                document = documents.load(connection, answer["id"])
                demand(document is not None and document.status is status, f"{kind} it stays")
        for answer in by_kind.get("healed", ()):
            document = documents.load(connection, answer["id"])
            demand(document is not None and document.sealing is Sealing.SEALED, "sealed it stays")
        for answer in by_kind.get("destroyed", ()):
            demand(documents.key(connection, answer["id"]) is None, "the key of a destroyed document is gone")
    for answer in by_kind.get("destroyed", ()):
        left = [
            change
            for name in vault.parts.records.names()
            for change in read_changes(vault, name)
            if change.document_id == answer["id"]
        ]
        demand(len(left) == 1 and not left[0].inserts[0][1].get("wrapped_key"), "its records are gone")


def _is_destroyed(vault: Vault, document: str) -> bool:
    table = models.documents
    with vault.parts.database.reading() as connection:
        key = connection.scalar(select(table.c.wrapped_key).where(table.c.id == document))
    return key is None
