"""What the bearer of an opened share may see: what is certified, copies, originals, bundles; journalled first.

A document that is no longer in force is said to be so, and given out no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Connection

from vault.access import Action, Grant, Relation
from vault.authorization.giving import Giving
from vault.authorization.purposes import OWN_PURPOSES
from vault.authorization.ties import Subject
from vault.core.keyring import DocumentKey
from vault.documents.bundles import Bundles, Made
from vault.documents.read_streams import guarded, plain_storage_errors, window
from vault.documents.reading import Download
from vault.documents.watermarks import ENDINGS, Copy, Marking, Watermarks
from vault.domain.actors import Actor
from vault.domain.documents import Document, ObjectRole
from vault.domain.matters import Matter, MatterKind
from vault.domain.states import Status
from vault.errors import Conflict, NotFound
from vault.journal import Journal
from vault.matters.services import MatterService, Means
from vault.records.objects import Shelf

_BUNDLE_TYPE = "application/vnd.etsi.asic-e+zip"
_ETAG = 32


@dataclass(frozen=True, slots=True)
class Certified:
    """What is certified of one document.

    Attributes:
        id: of the document.
        document_type: type code, or "".
        title: title for people, "" once it is destroyed.
        issuer: name of the administration, "" for what the holder deposited.
        issued_at: the service's statement of its reception, UTC.
        status: `valid`, `superseded`, `revoked` or `destroyed`, now.
        media_type: of the original.
        size: octets of the original.
        withheld: code of why its content does not leave now, such as SCAN_PENDING, or "".
    """

    id: str
    document_type: str
    title: str
    issuer: str
    issued_at: datetime
    status: str
    media_type: str
    size: int
    withheld: str


@dataclass(frozen=True, slots=True)
class SharedView:
    """What the bearer of a share sees of it.

    Attributes:
        share_id: the share; its reference.
        holder: name of who shared.
        recipient: for whom, in words.
        purpose: code.
        words: what for, in words, or "".
        ends_at: until when, UTC.
        gives: `watermark` or `original`, and `evidence`.
        documents: what is certified of each.
    """

    share_id: str
    holder: str
    recipient: str
    purpose: str
    words: str
    ends_at: datetime
    gives: Sequence[str]
    documents: Sequence[Certified]


class SharedReading(MatterService):
    """Everything that the bearer of a share does."""

    def __init__(
        self,
        means: Means,
        journal: Journal,
        shelf: Shelf,
        bundles: Bundles,
        watermarks: Watermarks,
        giving: Giving,
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            journal: writes each read down.
            shelf: holds originals.
            bundles: puts evidence together.
            watermarks: makes copies.
            giving: decides whether contents are fit to leave.
        """
        super().__init__(means)
        self._journal = journal
        self._shelf = shelf
        self._bundles = bundles
        self._watermarks = watermarks
        self._giving = giving

    def view(self, actor: Actor) -> SharedView:
        """Return what is certified now; the opening's own entry names the documents.

        Raises:
            NotFound: the share was withdrawn or is over.
        """
        with self._database.reading() as connection:
            share = self._share(connection, actor)
            names = self._safes.administration_names(connection)
            documents = [self._documents.load(connection, each) for each in share.private["documents"]]
            seen = [each for each in documents if each is not None and self._opens(connection, actor, each)]
            holder = self._safes.load(connection, share.safe_id or "")
        if not seen:
            raise NotFound("NOT_FOUND")
        said = share.private
        return SharedView(
            share.id,
            holder.name if holder else "",
            said["recipient"],
            said["purpose"],
            said["words"],
            share.ends_at or self._clock.now(),
            tuple(said["gives"]),
            tuple(self._certified(each, names.get(each.issuer_id or "", "")) for each in seen),
        )

    def describe(self, actor: Actor, document_id: str) -> Certified:
        """Return what is certified of one document.

        Raises:
            NotFound: not in the share, or the share was withdrawn or is over.
            Unavailable: the access entry cannot be written.
        """
        document, _ = self._entitled(actor, Action.DESCRIBE, document_id, in_force=False)
        with self._database.reading() as connection:
            names = self._safes.administration_names(connection)
        return self._certified(document, names.get(document.issuer_id or "", ""))

    def copy(self, actor: Actor, document_id: str, address: str) -> Download:
        """Return a marked copy, made now.

        Args:
            actor: the bearer.
            document_id: a document of the share, which gives marked copies.
            address: where the copy can be verified.

        Raises:
            NotFound: see `describe`; or the share gives originals.
            Conflict: DOCUMENT_NOT_IN_FORCE.
            Refused: COPY_IMPOSSIBLE, COPY_TYPE_UNSUPPORTED.
            Unavailable: the access entry cannot be written, or too much is going on.
        """
        document, key = self._entitled(actor, Action.COPY, document_id, in_force=True)
        with self._database.reading() as connection:
            share = self._share(connection, actor)
        part = document.parts[ObjectRole.ORIGINAL]
        original = guarded(lambda: self._shelf.read(key, part))
        marking = _marking(share, address, self._clock.now())
        made = self._watermarks.make(original, part.size, document.media_type, marking)
        return _download(document, key, made)

    def original(self, actor: Actor, document_id: str) -> Download:
        """Return the original, where the share gives it.

        Raises:
            NotFound, Conflict, Unavailable: see `copy`.
        """
        document, key = self._entitled(actor, Action.READ, document_id, in_force=True)
        part = document.parts[ObjectRole.ORIGINAL]
        return Download(
            name=document.private.file_name if document.private else document.id,
            media_type=document.media_type,
            size=part.size,
            etag=f'"{part.address[:_ETAG]}"',
            read=lambda offset, length: guarded(lambda: self._shelf.read(key, part, offset, length)),
        )

    def bundle(self, actor: Actor, document_id: str) -> Download:
        """Return the evidence bundle, as third parties get it, where the share gives it.

        Raises:
            NotFound, Conflict, Unavailable: see `copy`.
        """
        document, key = self._entitled(actor, Action.EVIDENCE, document_id, in_force=True)
        made = self._made(document, key)
        return Download(
            name=made.name,
            media_type=_BUNDLE_TYPE,
            size=made.size,
            etag=f'"{made.tag}"',
            read=lambda offset, length: window(guarded(made.chunks), offset, length),
        )

    def to_verify(self, actor: Actor, document_id: str) -> Callable[[], Iterator[bytes]]:
        """Return the octets of the bundle for the service's own verifier; the bearer sees its verdict alone.

        Raises:
            NotFound, Unavailable: see `describe`.
        """
        document, key = self._entitled(actor, Action.DESCRIBE, document_id, in_force=False)
        made = self._made(document, key)
        return lambda: guarded(made.chunks)

    def _made(self, document: Document, key: DocumentKey) -> Made:
        with plain_storage_errors():
            return self._bundles.build(document, key, for_holder=False)

    def _entitled(
        self, actor: Actor, action: Action, document_id: str, *, in_force: bool
    ) -> tuple[Document, DocumentKey]:
        """Load a document, decide, and journal the access or its refusal.

        Steps:
            1. The share of the token still stands, and names the document.
            2. It gives what is asked for.
            3. The document is there, published, and where octets leave also in force.
            4. The access entry is durable, the decision made again with it.
        """
        with self._database.reading() as connection:
            document = self._load_document(connection, document_id)
            key = self._documents.key(connection, document_id)
            share = self._matters.rows.load(connection, actor.share_id or "", MatterKind.SHARE)
            purpose = str(share.private["purpose"]) if share is not None else ""
            # 1, 2
            granted = self._ties.grant(connection, actor, action, Subject.of(document))
        if granted is None or key is None:
            if key is not None:
                self._journal.note_refusal(actor, document, purpose, action)
            raise NotFound("NOT_FOUND")
        # 3
        if in_force and document.status is not Status.VALID:
            self._journal.note_refusal(actor, document, purpose, action)
            raise Conflict("DOCUMENT_NOT_IN_FORCE", document=document_id)
        self._giving.demand(document)
        # 4
        try:
            self._journal.note(actor, document, purpose, action)
        except NotFound:
            self._journal.note_refusal(actor, document, purpose, action)
            raise
        return document, key

    def _share(self, connection: Connection, actor: Actor) -> Matter:
        share = self._matters.rows.load(connection, actor.share_id or "", MatterKind.SHARE)
        if share is None:
            raise NotFound("NOT_FOUND")
        return share

    def _opens(self, connection: Connection, actor: Actor, document: Document) -> bool:
        granted: Grant | None = self._ties.grant(connection, actor, Action.DESCRIBE, Subject.of(document))
        return granted is not None and granted.relation is Relation.SHARE

    def _certified(self, document: Document, issuer: str) -> Certified:
        return Certified(
            document.id,
            document.document_type,
            document.private.title if document.private else "",
            issuer,
            document.created_at,
            document.status.value,
            document.media_type,
            document.size,
            self._giving.refusal(document),
        )


def _marking(share: Matter, address: str, now: datetime) -> Marking:
    said: Any = share.private
    words = said["words"] or OWN_PURPOSES.get(said["purpose"], (said["purpose"],))[0]
    return Marking(said["recipient"], words, share.ends_at or now, address, share.id)


def _download(document: Document, key: DocumentKey, made: Copy) -> Download:
    name = PurePosixPath(document.private.file_name if document.private else document.id).stem
    return Download(
        name=f"copie-{name}.{ENDINGS[document.media_type]}",
        media_type=document.media_type,
        size=made.size,
        etag=f'"{hashlib.sha256(key.key + made.sha256).hexdigest()[:_ETAG]}"',
        read=made.read,
    )
