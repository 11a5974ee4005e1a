"""Reading documents: each read is in the access journal before the first octet leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from vault.access import Action, said_purpose
from vault.authorization.giving import Giving
from vault.authorization.purposes import Purposes
from vault.authorization.ties import Subject
from vault.clock import parse_rfc3339
from vault.core.keyring import DocumentKey
from vault.documents.bundles import Bundles
from vault.documents.read_streams import guarded, plain_storage_errors, window
from vault.documents.searching import EVERYTHING, Search, Wanted
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Kind, ObjectRole
from vault.domain.states import Sealing, Status
from vault.errors import NotFound, Refused
from vault.journal import Journal
from vault.ledger.publisher import Receipts
from vault.matters.services import MatterService, Means
from vault.records.objects import Shelf

_MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class View:
    """A document as one caller may see it.

    Attributes:
        document: the document; its private part is None for callers who see evidence only.
        published: whether its original may be downloaded now, by this caller.
        shareable: whether others may have it.
        withheld: code of why this caller may not have it, or "".
        administration_name: name of the issuer, for acts.
        published_size: size of the ledger's newest published checkpoint, 0 before the first.
        labels: for the holder, and who acts for the holder.
    """

    document: Document
    published: bool
    administration_name: str | None
    published_size: int
    labels: tuple[str, ...] = ()
    shareable: bool = True
    withheld: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list.

    Attributes:
        items: newest first.
        next: number of the entry before which the next page begins, or None at the end.
    """

    items: tuple[View, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Download:
    """Octets ready to leave; the access entry is durable.

    Attributes:
        name: file name for people.
        media_type: type of the content.
        size: octets.
        etag: strong validator, quoted, that says nothing about the content.
        read: yields octets from an offset, a length of them (None: to the end).
    """

    name: str
    media_type: str
    size: int
    etag: str
    read: Callable[[int, int | None], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is known of a digest.

    Attributes:
        value: "valid", "superseded", "revoked" or "unknown".
        issued_at: the service's statement of the act's reception, or None.
        issuer: name of the issuing administration, or None.
    """

    value: str
    issued_at: datetime | None = None
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class TagKeys:
    """The keys with which a holder finds the entries about a document in the public ledger.

    Attributes:
        status: hex K_status, 32 octets: entries about the document.
        access: hex K_access, 32 octets: entries about reads and refused reads.
    """

    status: str
    access: str


@dataclass(frozen=True, slots=True)
class GivenReceipt:
    """One answer of a request for many receipts.

    Attributes:
        document_id: the document asked for.
        entry: number of one of its status entries; None where the document is refused.
        receipt: octets of the receipt (tlog-proof); None where it is refused.
        refusal: why, as the request for this one alone would say: NOT_FOUND or DOCUMENT_DESTROYED.
    """

    document_id: str
    entry: int | None = None
    receipt: bytes | None = None
    refusal: str | None = None


class Reading(MatterService):
    """Everything that only looks."""

    def __init__(
        self,
        means: Means,
        shelf: Shelf,
        journal: Journal,
        purposes: Purposes,
        bundles: Bundles,
        receipts: Receipts,
        search: Search,
        giving: Giving,
        *,
        receipt_wait_max: float,
    ) -> None:
        super().__init__(means)
        self._shelf = shelf
        self._journal = journal
        self._purposes = purposes
        self._bundles = bundles
        self._receipts = receipts
        self._search = search
        self._giving = giving
        self._receipt_wait_max = receipt_wait_max

    def describe(self, actor: Actor, document_id: str, purpose: str, words: str = "") -> View:
        """Return a document's description.

        Args:
            actor: the caller.
            document_id: the document.
            purpose: why: a code, of the caller's service where it has a list.
            words: said of the purpose besides, for the journal.

        Raises:
            NotFound: unknown, or not for this caller (a refused read by a known caller is journalled).
            Refused: PURPOSE_REQUIRED, PURPOSE_UNKNOWN, FIELD_INVALID for the words.
            Unavailable: the access entry cannot be written.
        """
        document, _ = self._entitled(actor, Action.DESCRIBE, document_id, purpose, words)
        own = actor.role in {Role.HOLDER, Role.MANDATARY}
        return self._view(actor, document, self._search.labels_of(document_id) if own else ())

    def original(self, actor: Actor, document_id: str, purpose: str, words: str = "") -> Download:
        """Return the original for download.

        Raises:
            Conflict: NOT_PUBLISHED while it waits for its seal, SCAN_PENDING for the antivirus; DOCUMENT_INFECTED.
            NotFound, Refused, Unavailable: see `describe`.
        """
        document, key = self._entitled(actor, Action.READ, document_id, purpose, words)
        self._giving.demand(document, actor)
        part = document.parts[ObjectRole.ORIGINAL]
        private = document.private
        assert private is not None  # noqa: S101 - a document with a key has its private part
        return Download(
            name=private.file_name,
            media_type=document.media_type,
            size=part.size,
            etag=f'"{part.address[:32]}"',
            read=lambda offset, length: guarded(lambda: self._shelf.read(key, part, offset, length)),
        )

    def bundle(self, actor: Actor, document_id: str, purpose: str, words: str = "") -> Download:
        """Return the evidence bundle: all parts opened for its holder, `document` alone for others.

        Raises:
            Conflict: NOT_PUBLISHED while it waits for its seal, SCAN_PENDING for the antivirus; DOCUMENT_INFECTED.
            NotFound, Refused, Unavailable: see `describe`.
        """
        document, key = self._entitled(actor, Action.EVIDENCE, document_id, purpose, words)
        self._giving.demand(document, actor)
        with plain_storage_errors():
            made = self._bundles.build(document, key, for_holder=_is_holder(actor, document))
        return Download(
            name=made.name,
            media_type="application/vnd.etsi.asic-e+zip",
            size=made.size,
            etag=f'"{made.tag}"',
            read=lambda offset, length: window(guarded(made.chunks), offset, length),
        )

    def keys(self, actor: Actor, document_id: str, purpose: str, words: str = "") -> TagKeys:
        """Return the tag keys of a document, to its holder alone.

        Raises:
            NotFound, Refused, Unavailable: see `describe`.
        """
        document, _ = self._entitled(actor, Action.KEYS, document_id, purpose, words)
        private = document.private
        assert private is not None  # noqa: S101 - a document with a key has its private part
        return TagKeys(private.status_key, private.access_key)

    def receipt(
        self, actor: Actor, document_id: str, purpose: str, wait: float, words: str = ""
    ) -> bytes | None:
        """Return the receipt (tlog-proof) of the newest status entry; None while none covers it.

        Args:
            actor: the caller.
            document_id: the document.
            purpose: why.
            wait: seconds to wait for a checkpoint that covers the entry; capped by settings.
            words: said of the purpose besides.

        Raises:
            NotFound, Refused, Unavailable: see `describe`.
        """
        document, _ = self._entitled(actor, Action.RECEIPT, document_id, purpose, words)
        with self._database.reading() as connection:
            entries = self._documents.entries(connection, document.id, "status")
        return self._receipts.receipt(entries[-1].seq, wait=max(0.0, min(wait, self._receipt_wait_max)))

    def receipts(
        self,
        actor: Actor,
        document_ids: Sequence[str],
        purpose: str,
        wait: float,
        *,
        every_entry: bool,
        words: str = "",
    ) -> Sequence[GivenReceipt] | None:
        """Return receipts of several documents, all under one checkpoint; None while none covers them all.

        Access is decided and journalled for each document as for its receipt alone; one that is refused does not
        keep the others from being answered.

        Args:
            actor: the caller.
            document_ids: documents, each once.
            purpose: why.
            wait: as for `receipt`.
            every_entry: every status entry of a document, not its newest alone.
            words: said of the purpose besides.

        Raises:
            Refused, Unavailable: see `describe`.
        """
        asked: list[GivenReceipt] = []
        for document_id in document_ids:
            try:
                document, _ = self._entitled(actor, Action.RECEIPT, document_id, purpose, words)
            except NotFound as error:
                asked.append(GivenReceipt(document_id, refusal=error.code))
                continue
            with self._database.reading() as connection:
                entries = self._documents.entries(connection, document.id, "status")
            chosen = entries if every_entry else entries[-1:]
            asked += [GivenReceipt(document_id, entry.seq) for entry in chosen]
        seqs = [each.entry for each in asked if each.entry is not None]
        if not seqs:
            return asked
        found = self._receipts.receipts(seqs, max(0.0, min(wait, self._receipt_wait_max)))
        if found is None:
            return None
        receipts = iter(found)
        return [each if each.entry is None else replace(each, receipt=next(receipts)) for each in asked]

    def list(
        self, actor: Actor, safe_id: str, before: int | None, limit: int, wanted: Wanted = EVERYTHING
    ) -> Page:
        """Return documents of a safe, newest first, from an entry's number on. Raises what `Search.page` does."""
        found = self._search.page(actor, safe_id, before, max(1, min(limit, _MAX_PAGE)), wanted)
        pairs = zip(found.documents, found.labels, strict=True)
        items = tuple(self._view(actor, document, labels) for document, labels in pairs)
        return Page(items, found.next)

    def lookup(self, actor: Actor, sha256_hex: str) -> Lookup:
        """Tell what is known of a digest; without login only acts are spoken of.

        The same queries run whatever the answer, so that its time says nothing of attachments.

        Raises:
            Refused: FIELD_INVALID when it is not a hexadecimal SHA-256.
        """
        try:
            sha256 = bytes.fromhex(sha256_hex)
        except ValueError:
            sha256 = b""
        if len(sha256) != 32 or len(sha256_hex) != 64:
            raise Refused("FIELD_INVALID", "64 hexadecimal digits", field="sha256")
        digest = self._keyring.index("digest", sha256)
        with self._database.reading() as connection:
            rows = self._documents.by_digest(connection, digest)
            names = self._safes.administration_names(connection)
        for row in reversed(rows):
            is_act = row["kind"] == Kind.ACT.value
            is_own = actor.role is Role.HOLDER and actor.safe_id == row["safe_id"]
            known = row["status"] != Status.DESTROYED.value and row["sealing"] == Sealing.SEALED.value
            if known and (is_act or is_own):
                issued_at = parse_rfc3339(row["created_at"])
                return Lookup(row["status"], issued_at, names.get(row["issuer_id"] or ""))
        return Lookup("unknown")

    def _entitled(
        self, actor: Actor, action: Action, document_id: str, purpose: str, words: str
    ) -> tuple[Document, DocumentKey]:
        """Load a document, decide, and journal the access or its refusal."""
        with self._database.reading() as connection:
            document = self._load_document(connection, document_id)
            key = self._documents.key(connection, document_id)
            granted = self._ties.grant(connection, actor, action, Subject.of(document))
        if granted is None:
            if key is not None:
                self._refuse(actor, document, purpose, action)
            raise NotFound("NOT_FOUND")
        try:
            with self._database.reading() as connection:
                purpose, words = self._purposes.checked(connection, actor, purpose, words)
                self._demand_purpose(connection, actor, action, document, purpose)
        except Refused as error:
            if error.code in {"PURPOSE_UNKNOWN", "PURPOSE_NOT_CONSENTED"} and key is not None:
                self._refuse(actor, document, purpose, action)
            raise
        if key is None:
            raise NotFound("DOCUMENT_DESTROYED")
        try:
            self._journal.note(actor, document, purpose, action, words)
        except NotFound:  # what allowed it ended in between
            self._refuse(actor, document, purpose, action)
            raise
        return document, key

    def _demand_purpose(
        self, connection: Connection, actor: Actor, action: Action, document: Document, purpose: str
    ) -> None:
        subject = replace(Subject.of(document), purpose=purpose)
        if self._ties.grant(connection, actor, action, subject) is None:
            raise Refused("PURPOSE_NOT_CONSENTED")

    def _refuse(self, actor: Actor, document: Document, purpose: str, action: Action) -> None:
        if actor.role is not Role.ANONYMOUS:
            self._journal.note_refusal(actor, document, said_purpose(purpose), action)

    def _view(self, actor: Actor, document: Document, labels: tuple[str, ...] = ()) -> View:
        name = None
        if document.issuer_id is not None:
            with self._database.reading() as connection:
                name = self._safes.administration(connection, document.issuer_id)
        shown = replace(document, private=None) if actor.role is Role.AUDITOR else document
        gone = document.status is Status.DESTROYED
        withheld = "DOCUMENT_DESTROYED" if gone else self._giving.refusal(document, actor)
        shareable = not gone and not self._giving.refusal(document)
        return View(shown, not withheld, name, self._receipts.published_size(), labels, shareable, withheld)


def _is_holder(actor: Actor, document: Document) -> bool:
    """An agent may have a safe too, but does not act as its holder."""
    return actor.role is Role.HOLDER and actor.safe_id == document.safe_id
