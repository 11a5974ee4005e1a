"""The rows behind the lines of the access journal, opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, literal, select

from storage.errors import KeyRefused, ObjectDamaged
from vault.core.keyring import DocumentKey, Keyring
from vault.db import models
from vault.db.matters import MatterRows, matter_opening_role
from vault.db.repositories import PRIVATE_ROLE, opening_role
from vault.domain.actors import Role
from vault.domain.matters import MatterKind
from vault.errors import LedgerError
from vault.journal import READ_REFUSED
from vault.ledger.entry import decode
from vault.ledger.opening import RevealedOpening

REFUSED = frozenset({READ_REFUSED, "share.refused"})
MATTER_CHAIN = "matter"
_BATCH = 100
_BROKEN = (KeyRefused, ObjectDamaged, LedgerError, ValueError, KeyError, TypeError, AttributeError)
_CONTEXT = ("purpose", "words", "case", "consent", "share", "requisition", "reason")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the journal.

    Attributes:
        seq: number of the ledger entry.
        time: the service's statement, RFC 3339 UTC.
        event: `document.read`, `consent.given`…
        chain: `status`, `access` or `matter`: which tag key links the entry.
        counter: counter of its tag.
        granted: False for a refused try.
        document_id: the document, if it is about one.
        document_type: its type code, or "".
        title: its title; "" when it was destroyed.
        matter_id: the matter, if it is about one.
        state: `open`; `erased`, the document was destroyed; `damaged`, the opening is not the one sealed.
        role: in what quality somebody acted; "" where an older entry does not say.
        own: whether it was the holder of this safe.
        actor: who, as the entry says: an agent's pseudonym, a person's identifier.
        organisation, service: for whom an agent or system acted.
        mandate: the mandate a mandatary acted under.
        action: what was asked, or "".
        purpose, words: why.
        case, consent, share, requisition, reason: as the entry says, or "".
        recipient: label of the share, or "".
        details: further members of the entry about a matter.
    """

    seq: int
    time: str
    event: str
    chain: str
    counter: int
    granted: bool
    document_id: str | None = None
    document_type: str = ""
    title: str = ""
    matter_id: str | None = None
    state: str = "open"
    role: str = ""
    own: bool = False
    actor: str = ""
    organisation: str = ""
    service: str = ""
    mandate: str = ""
    action: str = ""
    purpose: str = ""
    words: str = ""
    case: str = ""
    consent: str = ""
    share: str = ""
    requisition: str = ""
    reason: str = ""
    recipient: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)


class Opener:
    """Opens the entries of one page; each key is opened once."""

    def __init__(self, connection: Connection, keyring: Keyring, rows: MatterRows) -> None:
        self._connection = connection
        self._keyring = keyring
        self._rows = rows
        self._keys: dict[str, DocumentKey] = {}
        self._private: dict[str, Mapping[str, Any]] = {}

    def line(self, row: RowMapping) -> Line:
        """Return the line of an entry."""
        bare = Line(
            seq=row["seq"],
            time=decode(bytes(row["body"])).time,
            event=row["event"],
            chain=row["chain"],
            counter=row["counter"],
            granted=row["event"] not in REFUSED,
            document_id=row["document_id"],
            document_type=row["document_type"] or "",
            matter_id=row["matter_id"],
        )
        if row["opening"] is None or row["wrapped_key"] is None:
            return replace(bare, state="erased")
        try:
            opening = RevealedOpening.parse(self.opening(row)).opened()
            return replace(bare, **self._said(row, opening.document, opening.parties, opening.context))
        except _BROKEN:
            # Said here, found with its cause by `probans audit`: the other lines must stay readable.
            return replace(bare, state="damaged")

    def opening(self, row: RowMapping) -> bytes:
        """Return the octets of an opening. Raises ObjectDamaged, KeyRefused."""
        if row["matter_id"] is not None:
            return self._key(row).open(matter_opening_role(row["counter"]), row["opening"])
        return self._key(row).open(opening_role(row["chain"], row["counter"]), row["opening"])

    def tag_key(self, row: RowMapping) -> str:
        """Return the hex key of the tags of the entry's chain, "" when it was erased or does not open."""
        name = {MATTER_CHAIN: "tag_key", "status": "status_key"}.get(row["chain"], "access_key")
        try:
            return str(self._opened(row)[name])
        except _BROKEN:
            return ""

    def _said(
        self,
        row: RowMapping,
        document: Mapping[str, Any],
        parties: Mapping[str, Any],
        context: Mapping[str, Any],
    ) -> dict[str, Any]:
        said = {name: context.get(name, "") for name in _CONTEXT}
        said |= {name: parties.get(name, "") for name in ("actor", "organisation", "service", "mandate")}
        share = row["matter_id"] if str(row["event"]).startswith("share.") else said["share"]
        title = (
            context.get("title", "") if row["matter_id"] is not None else self._opened(row).get("title", "")
        )
        role = _role(parties)
        if not role and row["issuer_id"] is not None and row["chain"] == "status":
            # Only agents of its issuer cause what happens to an act; these entries need not say so.
            role, said["organisation"] = Role.AGENT.value, row["issuer_id"]
        return {
            **said,
            "role": role,
            "own": parties.get("actor") == parties.get("holder"),
            "action": document.get("action", ""),
            "details": document.get("details", {}),
            "share": share,
            "recipient": self._recipient(share),
            "title": title,
        }

    def _recipient(self, share_id: str) -> str:
        share = self._rows.load(self._connection, share_id, MatterKind.SHARE) if share_id else None
        return "" if share is None else str(share.private.get("recipient", ""))

    def _key(self, row: RowMapping) -> DocumentKey:
        owner = row["matter_id"] or row["document_id"]
        if owner not in self._keys:
            self._keys[owner] = self._keyring.open_key(owner, row["wrapped_key"])
        return self._keys[owner]

    def _opened(self, row: RowMapping) -> Mapping[str, Any]:
        owner = row["matter_id"] or row["document_id"]
        if owner not in self._private:
            self._private[owner] = orjson.loads(self._key(row).open(PRIVATE_ROLE, row["sealed"]))
        return self._private[owner]


def _role(parties: Mapping[str, Any]) -> str:
    """Return in what quality somebody acted; entries of holders and who acts for them need not say."""
    if role := parties.get("role", ""):
        return str(role)
    if parties.get("mandate"):
        return Role.MANDATARY.value
    return Role.HOLDER.value if parties.get("actor") == parties.get("holder") else ""


def rows_of(connection: Connection, seqs: Sequence[int]) -> list[RowMapping]:
    """Return the rows of entries, in the order asked for; entries of no document or matter are left out."""
    found: dict[int, RowMapping] = {}
    documents, of_documents = models.documents, models.document_entries
    matters, of_matters = models.matters, models.matter_entries
    ledger = models.ledger_entries
    first = (
        select(
            of_documents.c.seq, of_documents.c.chain, of_documents.c.counter, of_documents.c.event,
            of_documents.c.opening, ledger.c.body, documents.c.id.label("document_id"),
            documents.c.document_type, literal(None).label("matter_id"), documents.c.safe_id,
            documents.c.wrapped_key, documents.c.sealed, documents.c.issuer_id,
        )
        .join(documents, documents.c.id == of_documents.c.document_id)
        .join(ledger, ledger.c.seq == of_documents.c.seq)
    )  # fmt: skip
    second = (
        select(
            of_matters.c.seq, literal(MATTER_CHAIN).label("chain"), of_matters.c.counter, of_matters.c.event,
            of_matters.c.opening, ledger.c.body, matters.c.document_id, documents.c.document_type,
            matters.c.id.label("matter_id"), matters.c.safe_id, matters.c.wrapped_key, matters.c.sealed,
            literal(None).label("issuer_id"),
        )
        .join(matters, matters.c.id == of_matters.c.matter_id)
        .join(documents, documents.c.id == matters.c.document_id, isouter=True)
        .join(ledger, ledger.c.seq == of_matters.c.seq)
    )  # fmt: skip
    for start in range(0, len(seqs), _BATCH):
        part = list(seqs[start : start + _BATCH])
        for query, column in ((first, of_documents.c.seq), (second, of_matters.c.seq)):
            for row in connection.execute(query.where(column.in_(part))).mappings():
                found[row["seq"]] = row
    return [found[seq] for seq in seqs if seq in found]
