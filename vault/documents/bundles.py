"""Puts evidence bundles together from the store, and has them sealed at the first request."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import delete, insert, select

from signing.asic import Reference, parse_manifest
from signing.base import ValidationMaterial
from signing.errors import SigningError
from signing.pdf_signatures import pdf_signatures
from signing.pdf_values import split_contents
from storage.errors import ObjectDamaged, ObjectMissing
from vault.core.keyring import DocumentKey
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import EVIDENCE_PREFIX, Documents, StatusEntry, digest_role, opening_role
from vault.domain.documents import Document, ObjectRole, Part
from vault.errors import NotFound, Unavailable
from vault.evidence import build as assembly
from vault.evidence.seals import material_inside, token_material
from vault.intake import receive
from vault.ledger.anchors import Anchors, StoredAnchor
from vault.ledger.opening import ALL, RevealedOpening
from vault.ledger.publisher import Receipts
from vault.records.objects import Shelf, plain_bytes
from vault.sealing.desk import SealingDesk, SealingWaits
from vault.sealing.sealers import SealKeyAbsent

_RECEIPT_WAIT = 5.0
_log = logging.getLogger("probans.evidence")


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle ready to stream.

    Attributes:
        name: file name for people.
        size: octets.
        tag: 32 hexadecimal digits that change with the bundle's content.
        chunks: starts a pass over the octets.
        sealed: whether the evidence seal is on it.
    """

    name: str
    size: int
    tag: str
    chunks: Callable[[], Iterator[bytes]]
    sealed: bool


@dataclass(frozen=True, slots=True)
class _Seal:
    """An evidence seal with the receipts it covers, as kept beside the document."""

    receipts: tuple[bytes, ...]
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    manifest: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Write as JSON with base64 values."""
        members: dict[str, Any] = {
            "receipts": [_b64(item) for item in self.receipts],
            "certificates": [_b64(item) for item in self.certificates],
            "crls": [_b64(item) for item in self.crls],
            "manifest": _b64(self.manifest),
            "signature": _b64(self.signature),
        }
        return orjson.dumps(members)

    @classmethod
    def decode(cls, data: bytes) -> _Seal:
        """Read what `encode` wrote."""
        raw = orjson.loads(data)

        def many(name: str) -> tuple[bytes, ...]:
            return tuple(base64.b64decode(item) for item in raw[name])

        return cls(
            many("receipts"),
            many("certificates"),
            many("crls"),
            base64.b64decode(raw["manifest"]),
            base64.b64decode(raw["signature"]),
        )


class Bundles:
    """Builds bundles; keeps the evidence seal as a linked object, one for each status and reader.

    Once an anchor covers the document's entries, the bundle is made with it and sealed anew.
    """

    def __init__(
        self,
        database: Database,
        documents: Documents,
        shelf: Shelf,
        receipts: Receipts,
        anchors: Anchors,
        desk: SealingDesk | None,
        spool: Path,
        origin: str,
    ) -> None:
        """Args as stored; without a desk bundles are assembled unsealed, from the stored parts alone."""
        self._database = database
        self._documents = documents
        self._shelf = shelf
        self._receipts = receipts
        self._anchors = anchors
        self._desk = desk
        self._spool = spool
        self._origin = origin

    def build(self, document: Document, key: DocumentKey, *, for_holder: bool) -> Made:
        """Build the bundle of a sealed document.

        Args:
            document: with parts and private part.
            key: its key.
            for_holder: open all three parts of every opening; else `document` alone.

        Raises:
            Unavailable: RECEIPT_PENDING while no published checkpoint covers its entries.
            NotFound: DOCUMENT_DESTROYED meanwhile.
            storage.errors.StorageError: a part is missing or damaged.
        """
        with self._database.reading() as connection:
            chain = self._documents.entries(connection, document.id, "status")
        if any(entry.opening is None for entry in chain):
            raise NotFound("DOCUMENT_DESTROYED")
        variant = f"{EVIDENCE_PREFIX}{chain[-1].counter}-{'h' if for_holder else 't'}"
        anchor = self._anchors.covering(chain[-1].seq + 1)
        if anchor is not None:
            anchored = f"{variant}-{anchor.size}"
            made = self._made(document, key, chain, anchor, anchored, for_holder=for_holder)
            # A seal from before the anchor is worth more than an anchor without seal.
            if made.sealed or self._kept(key, variant) is None:
                return made
        return self._made(document, key, chain, None, variant, for_holder=for_holder)

    def _made(
        self,
        document: Document,
        key: DocumentKey,
        chain: Sequence[StatusEntry],
        anchor: StoredAnchor | None,
        variant: str,
        *,
        for_holder: bool,
    ) -> Made:
        reveal = ALL if for_holder else frozenset({"document"})
        seal = self._kept(key, variant)
        members: Sequence[assembly.BundleMember] | None = None
        if seal is not None:
            members = _sealed(self._parts(document, key, chain, anchor, seal.receipts, reveal), seal)
        if members is None:
            # None is kept, or it was made of other instructions by another version of this software.
            receipts = self._receipts_of(chain, anchor)
            parts = self._parts(document, key, chain, anchor, receipts, reveal)
            seal = self._seal(document, key, variant, parts, receipts) if self._desk is not None else None
            members = (_sealed(parts, seal) if seal is not None else None) or assembly.bundle_members(parts)
        stem = PurePosixPath(_file_name(document)).stem
        identity = b"".join(member.sha256 for member in members)
        return Made(
            name=f"{stem}.asice",
            size=assembly.written_size(members),
            tag=hashlib.sha256(key.key + identity).hexdigest()[:32],
            chunks=lambda: assembly.write(members),
            sealed=seal is not None,
        )

    def _parts(
        self,
        document: Document,
        key: DocumentKey,
        chain: Sequence[StatusEntry],
        anchor: StoredAnchor | None,
        receipts: Sequence[bytes],
        reveal: frozenset[str],
    ) -> assembly.BundleParts:
        private = document.private
        assert private is not None  # noqa: S101 - a document with a key has its private part
        original = document.parts[ObjectRole.ORIGINAL]
        manifest = self._sidecar(document, key, ObjectRole.MANIFEST)
        signature = self._sidecar(document, key, ObjectRole.SIGNATURE)
        certificates, crls = self._material_of(key, original, signature)
        parts = assembly.BundleParts(
            original=assembly.Original(
                name=_file_name(document),
                media_type=document.media_type,
                size=original.size,
                sha256=original.sha256,
                open=lambda: self._shelf.read(key, original),
            ),
            entries=tuple(
                assembly.StatusEntry(entry.body, _opening(key, entry, reveal), receipt)
                for entry, receipt in zip(chain, receipts, strict=True)
            ),
            certificates=certificates,
            crls=crls,
            origin=self._origin,
            status_key=bytes.fromhex(private.status_key),
            manifest=manifest,
            signature=signature,
        )
        if anchor is None:
            return parts
        inside = token_material(anchor.token)
        parts = parts.with_material(sorted(inside.certificates), (*sorted(inside.crls), *anchor.crls))
        return replace(parts, anchor=(anchor.anchor, anchor.token))

    def _receipts_of(self, chain: Sequence[StatusEntry], anchor: StoredAnchor | None) -> tuple[bytes, ...]:
        if anchor is not None:
            return tuple(self._anchors.receipt(entry.seq, anchor) for entry in chain)
        found = [self._receipts.receipt(entry.seq, wait=_RECEIPT_WAIT) for entry in chain]
        if any(receipt is None for receipt in found):
            raise Unavailable("RECEIPT_PENDING")
        return tuple(receipt for receipt in found if receipt is not None)

    def _sidecar(self, document: Document, key: DocumentKey, role: ObjectRole) -> bytes:
        part = document.parts.get(role)
        return b"" if part is None else self._shelf.read_all(key, part)

    def _material_of(
        self, key: DocumentKey, original: Part, signature: bytes
    ) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Return the DER certificates and CRLs inside the document's seal."""
        if signature:
            material = material_inside(signature)
        else:
            with receive(self._shelf.read(key, original), folder=self._spool, limit=original.size) as spooled:
                seal = split_contents(pdf_signatures(spooled.path)[-1].contents)[0]
                material = material_inside(seal, spooled.path)
        return tuple(sorted(material.certificates)), tuple(sorted(material.crls))

    def _seal(
        self,
        document: Document,
        key: DocumentKey,
        variant: str,
        parts: assembly.BundleParts,
        receipts: tuple[bytes, ...],
    ) -> _Seal | None:
        """Have the bundle sealed and keep the seal; None while no timestamp or no evidence key is to be had."""
        assert self._desk is not None  # noqa: S101 - the caller has just looked
        embedded: list[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = []

        def references(material: ValidationMaterial) -> Sequence[Reference]:
            certificates = tuple(item.public_bytes(Encoding.DER) for item in material.certificates)
            embedded.append((certificates, material.crls))
            members = assembly.bundle_members(parts.with_material(certificates, material.crls))
            return assembly.evidence_references(members)

        try:
            sealed = self._desk.seal_evidence(references)
        except (SealingWaits, SealKeyAbsent):
            return None
        except SigningError as error:
            _log.error("evidence seal cannot be made", extra={"code": error.code})
            return None
        certificates, crls = embedded[-1]
        seal = _Seal(receipts, certificates, crls, sealed.revision.manifest, sealed.revision.signature)
        self._keep(document, key, variant, seal)
        return seal

    def _kept(self, key: DocumentKey, variant: str) -> _Seal | None:
        table = models.objects
        query = select(table).where(table.c.document_id == key.document_id, table.c.role == variant)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        part = Part(ObjectRole.EVIDENCE_SEAL, row["address"], row["stored_size"], row["size"], "")
        try:
            return _Seal.decode(self._shelf.read_all(key, part))
        except (ObjectMissing, ObjectDamaged):
            return None  # it is made anew: the parts it covers are all there

    def _keep(self, document: Document, key: DocumentKey, variant: str, seal: _Seal) -> None:
        """Store the seal; it can always be made again, so its row needs no ledger entry."""
        plain = plain_bytes(ObjectRole.EVIDENCE_SEAL, seal.encode())
        (part,) = self._shelf.store(key, [plain], document.retain_until)
        row = {
            "document_id": document.id,
            "role": variant,
            "address": part.address,
            "stored_size": part.stored_size,
            "size": part.size,
            "sha256": key.seal(digest_role(part.role), bytes.fromhex(part.sha256)),
        }
        table = models.objects
        with self._database.writing() as connection:
            if self._documents.key(connection, document.id) is not None:
                earlier = (table.c.document_id == document.id, table.c.role == variant)
                connection.execute(delete(table).where(*earlier))
                connection.execute(insert(table), row)


def _sealed(parts: assembly.BundleParts, seal: _Seal) -> tuple[assembly.BundleMember, ...] | None:
    """Return the members under their evidence seal; None when the seal covers others."""
    members = assembly.bundle_members(parts.with_material(seal.certificates, seal.crls))
    covered = {(item.name, item.sha256) for item in parse_manifest(seal.manifest).references}
    if covered != {(item.name, item.sha256) for item in members}:
        return None
    return assembly.with_seal(members, seal.manifest, seal.signature)


def _file_name(document: Document) -> str:
    assert document.private is not None  # noqa: S101 - a document with a key has its private part
    return document.private.file_name


def _opening(key: DocumentKey, entry: StatusEntry, reveal: frozenset[str]) -> bytes:
    assert entry.opening is not None  # noqa: S101 - `build` has looked: only destroyed documents lack it
    whole = RevealedOpening.parse(key.open(opening_role(entry.chain, entry.counter), entry.opening)).opened()
    return whole.to_json(reveal)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
