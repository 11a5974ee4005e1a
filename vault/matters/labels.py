"""Labels: free words by which a holder sorts documents. They are the holder's own, not the document's.

A label lies under the document's key, and is found by a keyed digest of safe and folded label; its recovery record is
one file a document. No ledger entry is made: labels prove nothing. Destroying the document erases both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from storage.errors import KeyRefused, ObjectDamaged
from vault.access import Action, Relation
from vault.authorization.ties import Subject
from vault.core import faults
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.domain.actors import Actor
from vault.domain.documents import Document
from vault.errors import LedgerError, NotFound, Refused
from vault.files.fields import check_text
from vault.matters.services import MatterService, Means
from vault.records.book import RecordBook
from vault.records.changes import Change

MOST = 20
LONGEST = 64
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l"})
_MOST_OF_SAFE = 500


def folded(text: str) -> str:
    """Return a text without accents and case, its spaces single, for comparisons of what people write."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LIGATURES))
    bare = "".join(character for character in plain if not unicodedata.combining(character))
    return " ".join(bare.casefold().split())


def clean(labels: Sequence[str]) -> list[str]:
    """Return labels as they are kept, each once whatever its case and accents. Raises Refused(FIELD_INVALID)."""
    if len(labels) > MOST:
        raise Refused("FIELD_INVALID", f"at most {MOST}", field="labels")
    kept: dict[str, str] = {}
    for label in labels:
        check_text("labels", label, LONGEST, required=True)
        composed = " ".join(unicodedata.normalize("NFC", label).split())
        if not folded(composed):
            raise Refused("FIELD_INVALID", "must have a letter or digit", field="labels")
        kept.setdefault(folded(composed), composed)
    return list(kept.values())


def labels_record(document_id: str) -> str:
    """Name of the recovery record of a document's labels."""
    return document_id.replace("doc_", "labels_", 1)


class LabelRows:
    """Reads and erases labels."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def index(self, safe_id: str, label: str) -> bytes:
        """Return the keyed digest that stands for a label in a safe."""
        return self._keyring.index("label", safe_id, folded(label))

    def row(self, key: DocumentKey, safe_id: str, label: str) -> Mapping[str, object]:
        """Return the row of a label of the document whose key this is."""
        index = self.index(safe_id, label)
        return {
            "document_id": key.document_id,
            "label_ix": index,
            "sealed": key.seal(_role(index), label.encode()),
        }

    def of(self, connection: Connection, documents: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """Return the labels of documents, in alphabetical order; documents without any are left out.

        Raises:
            LedgerError: ROW_DAMAGED.
        """
        table, owner = models.document_labels, models.documents
        query = (
            select(table.c.document_id, table.c.label_ix, table.c.sealed, owner.c.wrapped_key)
            .join(owner, owner.c.id == table.c.document_id)
            .where(table.c.document_id.in_(sorted(documents)), owner.c.wrapped_key.is_not(None))
        )
        found: dict[str, list[str]] = {}
        keys: dict[str, DocumentKey] = {}
        for row in connection.execute(query):
            try:
                if row.document_id not in keys:
                    keys[row.document_id] = self._keyring.open_key(row.document_id, row.wrapped_key)
                label = keys[row.document_id].open(_role(row.label_ix), row.sealed).decode()
            except (KeyRefused, ObjectDamaged, UnicodeDecodeError) as error:
                raise LedgerError("ROW_DAMAGED", f"{row.document_id}: a label does not open") from error
            found.setdefault(row.document_id, []).append(label)
        return {document: tuple(sorted(labels, key=folded)) for document, labels in found.items()}


@dataclass(frozen=True, slots=True)
class UsedLabel:
    """A label of a safe.

    Attributes:
        label: as it was written on one of the documents.
        documents: how many have it.
    """

    label: str
    documents: int


class Labels(MatterService):
    """Sets and lists labels."""

    def __init__(self, means: Means, records: RecordBook) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            records: recovery records; labels must survive the database.
        """
        super().__init__(means)
        self.rows = LabelRows(means.keyring)
        self._records = records

    def put(self, actor: Actor, document_id: str, labels: Sequence[str]) -> tuple[str, ...]:
        """Make these the labels of a document; return them as they are kept, in alphabetical order.

        Raises:
            NotFound: unknown, or not for this caller; DOCUMENT_DESTROYED.
            Refused: FIELD_INVALID.
            Conflict: SAFE_CLOSED.
            storage.errors.StorageUnavailable: the recovery record cannot be written; nothing changed.
        """
        kept = clean(labels)
        table = models.document_labels
        with self._database.writing() as connection:
            document, key = self._entitled(connection, actor, document_id)
            rows = [self.rows.row(key, document.safe_id, label) for label in kept]
            name = labels_record(document_id)
            if rows:
                inserts = tuple((table.name, row) for row in rows)
                self._records.write(name, [Change(document_id, b"", b"", inserts=inserts).encode()])
            else:
                self._records.delete(name)
            faults.point("labels.recorded")
            connection.execute(delete(table).where(table.c.document_id == document_id))
            if rows:
                connection.execute(insert(table), rows)
        return tuple(sorted(kept, key=folded))

    def of_safe(self, actor: Actor, safe_id: str) -> Sequence[UsedLabel]:
        """Return the labels used in a safe, in alphabetical order. Raises NotFound; Conflict: SAFE_CLOSED."""
        table, owner = models.document_labels, models.documents
        with self._database.reading() as connection:
            grant = self._ties.demand(connection, actor, Action.LIST, Subject(safe_id))
            types = self._mandate_types(connection, grant.cited(Relation.MANDATE))
            query = (
                select(table.c.label_ix, func.count(), func.min(table.c.document_id))
                .join(owner, owner.c.id == table.c.document_id)
                .where(owner.c.safe_id == safe_id, owner.c.wrapped_key.is_not(None))
            )
            if types:
                query = query.where(owner.c.document_type.in_(sorted(types)))
            counted = connection.execute(query.group_by(table.c.label_ix).limit(_MOST_OF_SAFE)).all()
            opened = self.rows.of(connection, {row[2] for row in counted})
        used = []
        for index, many, document_id in counted:
            label = next(each for each in opened[document_id] if self.rows.index(safe_id, each) == index)
            used.append(UsedLabel(label, many))
        return sorted(used, key=lambda each: folded(each.label))

    def _entitled(
        self, connection: Connection, actor: Actor, document_id: str
    ) -> tuple[Document, DocumentKey]:
        document = self._load_document(connection, document_id)
        self._ties.demand(connection, actor, Action.LABEL, Subject.of(document))
        key = self._documents.key(connection, document_id)
        if key is None:
            raise NotFound("DOCUMENT_DESTROYED")
        return document, key


def _role(index: bytes) -> str:
    return f"label-{index.hex()}"
