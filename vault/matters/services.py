"""What every service about people's matters works with."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from vault.authorization.ties import Ties
from vault.clock import Clock
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.repositories import Documents, Safes
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound
from vault.ids import looks_like_id
from vault.ledger.writer import LedgerWriter
from vault.matters.steps import Matters


@dataclass(frozen=True, slots=True)
class Means:
    """What services about matters have in common.

    Attributes:
        database: of the safe.
        keyring: opens its rows, digests what is looked up.
        matters: finds, begins and moves matters.
        ledger: commits what no caller asks for.
        ties: decides.
        clock: the service's time.
    """

    database: Database
    keyring: Keyring
    matters: Matters
    ledger: LedgerWriter
    ties: Ties
    clock: Clock


class MatterService:
    """A service about matters."""

    def __init__(self, means: Means) -> None:
        self._database = means.database
        self._keyring = means.keyring
        self._documents = Documents(means.keyring)
        self._safes = Safes(means.keyring)
        self._matters = means.matters
        self._ledger = means.ledger
        self._ties = means.ties
        self._clock = means.clock

    def _load_document(self, connection: Connection, document_id: str) -> Document:
        """Return a document, whoever asks. Raises NotFound."""
        document = None
        if looks_like_id(document_id, "doc"):
            document = self._documents.load(connection, document_id)
        if document is None:
            raise NotFound("NOT_FOUND")
        return document

    def _load_matter(self, connection: Connection, matter_id: str, kind: MatterKind) -> Matter:
        """Return a matter, whoever asks. Raises NotFound."""
        matter = self._matters.rows.load(connection, matter_id, kind)
        if matter is None:
            raise NotFound("NOT_FOUND")
        return matter

    def _acting_safe(self, connection: Connection, actor: Actor) -> str | None:
        """Return the safe that somebody acts in: the own one, or that of the mandate."""
        if actor.role is not Role.MANDATARY or actor.mandate_id is None:
            return actor.safe_id
        mandate = self._matters.rows.load(connection, actor.mandate_id, MatterKind.MANDATE)
        return None if mandate is None else mandate.safe_id

    def _mandate_types(self, connection: Connection, mandate_id: str) -> tuple[str, ...]:
        """Return the document types a mandate is limited to; none: it is not, or there is no mandate."""
        mandate = self._matters.rows.load(connection, mandate_id, MatterKind.MANDATE) if mandate_id else None
        return () if mandate is None else tuple(mandate.private.get("document_types", ()))
