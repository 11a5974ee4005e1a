"""The documents of a safe, file by file, for the archive of an export; the rest: `vault.rights.everything_else`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, select

from storage.errors import ObjectDamaged, ObjectMissing
from vault.authorization.giving import Giving
from vault.clock import rfc3339
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.engine import Database
from vault.db.repositories import Documents
from vault.documents.bundles import Bundles
from vault.domain.actors import Actor
from vault.domain.documents import Document, ObjectRole
from vault.domain.states import Status
from vault.errors import LedgerError, VaultError
from vault.ledger.entry import decode
from vault.matters.labels import LabelRows
from vault.messages.catalogue import message
from vault.records.objects import Shelf
from vault.rights.archive import Archive, Listed, Measured, measure

_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
# What is wrong with one content; whatever else goes wrong breaks the archive off, to be asked for again.
_LACKS = ("ORIGINAL_DAMAGED", "ROW_DAMAGED", "DOCUMENT_DESTROYED")
_WITHHELD = {
    "NOT_PUBLISHED": "waiting-for-its-seal",
    "DOCUMENT_INFECTED": "infected",
    "SCAN_PENDING": "waiting-for-the-antivirus",
}
# Starts a pass over a content; what it takes to begin, such as putting a bundle together, is done before, once.
Begin = Callable[[], Callable[[], Iterator[bytes]]]


@dataclass
class Writing:
    """An archive that is being written.

    Attributes:
        archive: writes members.
        missing: (place, code) of what could not be read.
        follow_keys: tag keys by document.
    """

    archive: Archive
    missing: list[tuple[str, str]] = field(default_factory=list)
    follow_keys: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def json(self, name: str, value: Any) -> Iterator[bytes]:
        """Add a JSON file."""
        return self.archive.text(name, orjson.dumps(value, option=_PRETTY))

    def fetched(self, name: str, begin: Begin, sha256: str | None = None) -> Iterator[bytes]:
        """Add a file out of the store, or in its place what is wrong with it.

        Args:
            name: path in the archive.
            begin: returns what starts a pass over its octets.
            sha256: the hex digest it must have, where it is known.

        Raises:
            VaultError: the store cannot be asked at all, or what it gives changes while it is read.
        """
        try:
            content = _measured(begin, sha256)
        except VaultError as error:
            if error.code not in _LACKS:
                raise
            yield from self.lacking(name, error.code)
        else:
            yield from self.archive.file(name, content)

    def lacking(self, name: str, code: str) -> Iterator[bytes]:
        """Add a text that stands where a file is missing."""
        self.missing.append((name, code))
        folder, _, last = name.rpartition("/")
        said = [message(code, lang) for lang in ("fr", "en")]
        lines = [
            f"{last} ({code})",
            "Ce fichier manque : le stockage ne l’a pas rendu intact. Prévenez l’exploitant du service.",
            *(f"{each.title} {each.action}" for each in said[:1]),
            "This file is missing: the store did not give it back intact. Tell the operator of the service.",
            *(f"{each.title} {each.action}" for each in said[1:]),
        ]
        text = "\n".join(lines) + "\n"
        return self.archive.text(
            f"{folder}/ERREUR-{last}.txt" if folder else f"ERREUR-{last}.txt", text.encode()
        )

    def index(self, head: Mapping[str, Any]) -> Iterator[bytes]:
        """Add the list of everything added so far."""
        files = b",\n".join(_listed(each) for each in self.archive.listed)
        missing = [{"file": name, "code": code} for name, code in self.missing]
        opening = orjson.dumps({**head, "missing": missing})[:-1]
        return self.archive.text("index.json", opening + b',"files":[\n' + files + b"\n]}\n")


class DocumentMembers:
    """Writes the documents of a safe into an archive."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        shelf: Shelf,
        bundles: Bundles,
        giving: Giving,
    ) -> None:
        """Take what it works with.

        Args:
            database: of the safe.
            keyring: opens keys.
            shelf: reads originals.
            bundles: puts evidence bundles together.
            giving: decides whether contents are fit to leave.
        """
        self._database = database
        self._documents = Documents(keyring)
        self._labels = LabelRows(keyring)
        self._shelf = shelf
        self._bundles = bundles
        self._giving = giving

    def load(
        self, connection: Connection, safe_id: str, before: int, limit: int
    ) -> list[tuple[int, str, Document | None]]:
        """Return (first entry, identifier, document) newest first; None for a row that does not open."""
        table = models.documents
        query = select(table.c.first_seq, table.c.id).where(
            table.c.safe_id == safe_id, table.c.first_seq < before
        )
        found: list[tuple[int, str, Document | None]] = []
        for seq, document_id in connection.execute(query.order_by(table.c.first_seq.desc()).limit(limit)):
            try:
                document = self._documents.load(connection, document_id)
            except LedgerError:  # the archive says so; `probans audit` finds the cause
                document = None
            found.append((seq, document_id, document))
        return found

    def write(self, writing: Writing, actor: Actor, document_id: str, *, noted: bool) -> Iterator[bytes]:
        """Add one document.

        Args:
            writing: the archive.
            actor: who gets it.
            document_id: the document.
            noted: whether an entry says that it leaves; without one its content stays.
        """
        code = "DOCUMENT_DESTROYED"
        with self._database.reading() as connection:
            try:
                document = self._documents.load(connection, document_id)
                key = self._documents.key(connection, document_id)
                entries = self._entries(connection, document_id)
                labels = self._labels.of(connection, [document_id]).get(document_id, ())
            except LedgerError as error:
                document, key, entries, labels = None, None, [], ()
                code = error.code
        if document is None:
            yield from writing.lacking(f"documents/{document_id}/document.json", code)
            return
        if not noted:  # nothing of it that is somebody's leaves without its line
            document, labels = replace(document, private=None), ()
        folder = f"documents/{rfc3339(document.created_at)[:10]}-{document_id}"
        withheld = self._withheld(actor, document, key, noted=noted)
        yield from writing.json(f"{folder}/document.json", _described(document, entries, labels, withheld))
        if document.private is not None:
            writing.follow_keys[document_id] = {
                "status": document.private.status_key,
                "access": document.private.access_key,
            }
        if withheld or key is None or document.private is None:
            return
        original = document.parts.get(ObjectRole.ORIGINAL)
        name = f"{folder}/original/{document.private.file_name}"
        if original is None:
            yield from writing.lacking(name, "ORIGINAL_DAMAGED")
            return
        read = partial(self._shelf.read, key, original)
        yield from writing.fetched(name, lambda: read, original.sha256)
        build = partial(self._bundles.build, document, key, for_holder=True)
        yield from writing.fetched(f"{folder}/dossier-de-preuve.asice", lambda: build().chunks)

    def _withheld(self, actor: Actor, document: Document, key: DocumentKey | None, *, noted: bool) -> str:
        """Return why the content of a document is not in the archive, or ""."""
        if document.status is Status.DESTROYED or key is None:
            return "destroyed"
        if code := self._giving.refusal(document, actor):
            return _WITHHELD[code]
        return "" if noted else "not-published"

    def _entries(self, connection: Connection, document_id: str) -> Sequence[Mapping[str, Any]]:
        return [
            {"entry": each.seq, "event": each.event, "time": decode(each.body).time}
            for each in self._documents.entries(connection, document_id, "status")
        ]


def _measured(begin: Begin, sha256: str | None) -> Measured:
    try:
        content = measure(begin())
    except (ObjectMissing, ObjectDamaged) as error:
        raise VaultError("ORIGINAL_DAMAGED", str(error)) from error
    if sha256 is not None and content.sha256.hex() != sha256:
        raise VaultError("ORIGINAL_DAMAGED", "a content is not the one its row names")
    return content


def _described(
    document: Document, entries: Sequence[Mapping[str, Any]], labels: Sequence[str], withheld: str
) -> Mapping[str, Any]:
    private = document.private
    original = document.parts.get(ObjectRole.ORIGINAL)
    said: dict[str, Any] = {
        "id": document.id,
        "kind": document.kind.value,
        "issuer": document.issuer_id,
        "type": document.document_type,
        "media_type": document.media_type,
        "size": document.size,
        "reception": document.reception.value,
        "sealing": document.sealing.value,
        "scan": document.scan.value,
        "status": document.status.value,
        "received_at": rfc3339(document.created_at),
        "kept_until": rfc3339(document.retain_until),
        "supersedes": document.supersedes,
        "superseded_by": document.superseded_by,
        "entries": list(entries),
        "content": withheld or "here",
    }
    if private is not None:
        said |= {
            "title": private.title,
            "file_name": private.file_name,
            "holder": private.holder,
            "actor": private.actor,
            "mandate": private.mandate,
            "case": private.case,
            "language": private.language,
            "attributes": dict(private.attributes),
            "labels": list(labels),
            "findings": list(private.findings),
            "sha256": None if original is None else original.sha256,
        }
    return said


def _listed(member: Listed) -> bytes:
    return orjson.dumps({"file": member.name, "size": member.size, "sha256": member.sha256})
