"""Sealed papers of matters: a statement in canonical JSON with the service's CAdES-B-T seal, as one ASiC-E file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from signing.asic import Reference
from signing.errors import SigningError
from storage.base import ObjectStore, Staged
from storage.encryption import decrypt_range, encrypt
from storage.errors import ObjectDamaged, ObjectMissing, StorageError
from storage.pair_reading import falling_over
from vault.core.keyring import DocumentKey
from vault.db.matters import PaperRow, paper_digest_role, paper_role
from vault.errors import Unavailable, VaultError
from vault.evidence.build import BundleMember, with_seal, write
from vault.ledger.canonical import canonical
from vault.sealing.desk import SealingDesk

PAPER_TYPE = "application/vnd.etsi.asic-e+zip"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class SealedPaper:
    """A paper before it is stored.

    Attributes:
        name: of the paper within its matter, such as `consent`.
        statement: the canonical JSON that was sealed.
        sha256: hex digest of the statement: what the ledger entry commits to.
        container: the ASiC-E file: the statement, its manifest, the signature with its timestamp.
        sealed_at: time of the timestamp, UTC.
    """

    name: str
    statement: bytes
    sha256: str
    container: bytes
    sealed_at: datetime


class Papers:
    """Seals, stores and reads papers."""

    def __init__(self, store: ObjectStore, desk: SealingDesk) -> None:
        self._store = store
        self._desk = desk

    def seal(self, name: str, statement: Mapping[str, Any]) -> SealedPaper:
        """Seal a statement with the evidence seal, timestamp included.

        Args:
            name: of the paper; the member in the container is `<name>.json`.
            statement: text, integers, objects and lists of those (RFC 8785 without floats).

        Raises:
            vault.sealing.desk.SealingWaits: no timestamp or no fresh revocation data now; nothing was kept.
            VaultError: SEALING_IMPOSSIBLE, the evidence key cannot be used.
            ValueError: the statement has no canonical form.
        """
        data = canonical(statement, lists=True)
        member = BundleMember.of_bytes(f"{name}.json", _JSON, data)
        try:
            sealed = self._desk.seal_evidence(lambda _: [Reference(member.name, _JSON, member.sha256)])
        except SigningError as error:
            raise VaultError("SEALING_IMPOSSIBLE", str(error)) from error
        members = with_seal([member], sealed.revision.manifest, sealed.revision.signature)
        container = b"".join(write(members))
        return SealedPaper(name, data, member.sha256.hex(), container, sealed.token.gen_time)

    def store(
        self, key: DocumentKey, papers: Sequence[SealedPaper], retain_until: datetime | None
    ) -> list[PaperRow]:
        """Encrypt papers under the matter's key and make them durable and immutable.

        Raises:
            Unavailable: STORAGE_UNAVAILABLE; some may exist, which is harmless.
        """
        staged: list[Staged] = []
        try:
            for paper in papers:
                encrypted = encrypt(
                    iter((paper.container,)), key.key, key.associated_data(paper_role(paper.name))
                )
                staged.append(self._store.put(encrypted, retain_until))
            stored = self._store.commit(staged)
        except StorageError as error:
            self._store.discard(staged)
            raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
        except BaseException:
            self._store.discard(staged)
            raise
        return [
            PaperRow(
                paper.name,
                done.address,
                done.size,
                len(paper.container),
                hashlib.sha256(paper.container).hexdigest(),
            )
            for paper, done in zip(papers, stored, strict=True)
        ]

    def read(self, key: DocumentKey, paper: PaperRow) -> bytes:
        """Return a paper's container.

        Raises:
            VaultError: ORIGINAL_DAMAGED when the stored octets are not those that were sealed.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        try:
            container = b"".join(
                falling_over(
                    self._store,
                    paper.address,
                    _plain(self._store, key, paper, 0),
                    lambda copy, done: _plain(copy, key, paper, done),
                )
            )
        except (ObjectMissing, ObjectDamaged) as error:
            raise VaultError("ORIGINAL_DAMAGED", str(error)) from error
        except StorageError as error:
            raise Unavailable("STORAGE_UNAVAILABLE", str(error)) from error
        if hashlib.sha256(container).hexdigest() != paper.sha256:
            raise VaultError("ORIGINAL_DAMAGED", "a paper is not the one its row names")
        return container


def _plain(store: ObjectStore, key: DocumentKey, paper: PaperRow, offset: int) -> Iterator[bytes]:
    return decrypt_range(
        lambda start, count: store.read(paper.address, start, count),
        paper.stored_size,
        key.key,
        key.associated_data(paper_role(paper.name)),
        offset,
    )


def paper_values(key: DocumentKey, paper: PaperRow) -> Mapping[str, Any]:
    """Return the row of a stored paper."""
    return {
        "matter_id": key.document_id,
        "name": paper.name,
        "address": paper.address,
        "stored_size": paper.stored_size,
        "size": paper.size,
        "sha256": key.seal(paper_digest_role(paper.name), bytes.fromhex(paper.sha256)),
    }
