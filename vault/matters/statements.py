"""Statements: an attribute attested where a whole document would be too much.

A statement is canonical JSON with the service's CAdES-B-T seal. It names the attribute, its value, and the type and
issuer of the act it follows from, but neither the act nor its digest: only a salted digest, which the holder can
resolve. `vault.matters.attributes` has the rules; `docs/evidence-format.md` has the members.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.core.keyring import DocumentKey
from vault.db.matters import PaperRow
from vault.domain.actors import Actor
from vault.domain.documents import Document, ObjectRole
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound
from vault.ledger.writer import LedgerTransaction
from vault.matters.attributes import Attribute
from vault.matters.consent_papers import given_by
from vault.matters.requests import is_of_service
from vault.matters.services import MatterService, Means
from vault.matters.steps import NewMatter, Said
from vault.records import entries
from vault.sealing.papers import Papers

STATEMENT = "statement"
_FORMAT = "probans/statement/v1"
_DIGEST = b"probans/statement/v1\n"


@dataclass(frozen=True, slots=True)
class PreparedStatement:
    """A statement that is sealed and stored, before its entry.

    Attributes:
        key: identifier and key of its matter.
        document_id: the act it follows from.
        value: what it says.
        private: personal part of its matter.
        paper: the stored paper.
        sha256: hex digest of the statement.
    """

    key: DocumentKey
    document_id: str
    value: str
    private: Mapping[str, Any]
    paper: PaperRow
    sha256: str


class Statements(MatterService):
    """Issues and shows statements."""

    def __init__(self, means: Means, papers: Papers, retention: timedelta) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            papers: seals and stores.
            retention: how long papers cannot be deleted.
        """
        super().__init__(means)
        self._papers = papers
        self._retention = retention

    def prepare(
        self,
        actor: Actor,
        request: Matter,
        names: Mapping[str, str],
        attribute: Attribute,
        document: Document,
        value: str,
    ) -> PreparedStatement:
        """Seal and store a statement; nothing is promised yet.

        Args:
            actor: the holder, or who answers by a mandate.
            request: an open request for the attribute.
            names: names of administrations by identifier.
            attribute: what is asked for.
            document: the act it follows from, found fit.
            value: what follows.

        Raises:
            Unavailable: no timestamp now, or the store is down.
            VaultError: SEALING_IMPOSSIBLE.
        """
        key, salt = self._matters.draw(MatterKind.STATEMENT), secrets.token_bytes(32)
        private, issuer = request.private, document.issuer_id or ""
        asker = request.administration_id or ""
        statement = {
            "format": _FORMAT,
            "statement": key.document_id,
            "request": request.id,
            "holder": private["holder"],
            "administration": {"id": asker, "name": names.get(asker, "")},
            "service": private["service"],
            "attribute": {"code": attribute.code, "fr": attribute.fr, "en": attribute.en},
            "value": value,
            "rule": attribute.rule.value,
            "document": {
                "type": document.document_type,
                "issuer": {"id": issuer, "name": names.get(issuer, "")},
                "salted_sha256": salted(salt, document.parts[ObjectRole.ORIGINAL].sha256),
            },
            **{name: private[name] for name in ("purpose", "words", "legal_basis", "case", "otherwise")},
            "as_of": rfc3339(self._clock.now()),
            **given_by(actor),
        }
        sealed = self._papers.seal(STATEMENT, statement)
        papers = self._papers.store(key, [sealed], self._clock.now() + self._retention)
        kept = {name: member for name, member in statement.items() if name not in {"format", "statement"}}
        # Which act it is, and the salt, are for the holder alone: not in the clear columns either.
        kept |= {"sha256": sealed.sha256, "salt": salt.hex(), "document_id": document.id, "actor": actor.id}
        return PreparedStatement(key, document.id, value, kept, papers[0], sealed.sha256)

    def issue(self, tx: LedgerTransaction, actor: Actor, request: Matter, prepared: PreparedStatement) -> int:
        """Begin a statement within the transaction that answers its request; return the number of its entry."""
        private = prepared.private
        matter = NewMatter(
            prepared.key,
            MatterKind.STATEMENT,
            actor,
            private,
            request.safe_id,
            request.administration_id,
            parent_id=request.id,
        )
        said = Said(
            holder=private["holder"],
            context=entries.context(purpose=private["purpose"], case=private["case"], words=private["words"]),
            details={
                "administration": request.administration_id or "",
                "attribute": private["attribute"]["code"],
            },
            sha256=prepared.sha256,
        )
        return self._matters.begin(tx, matter, "statement.issued", said, papers=[prepared.paper])

    def see(self, actor: Actor, statement_id: str) -> Matter:
        """Return a statement. Raises NotFound: unknown, or not for this caller."""
        with self._database.reading() as connection:
            return self._entitled(connection, actor, statement_id)

    def of_safe(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[Matter]:
        """Return the statements made from a safe, newest first. Raises NotFound."""
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.STATEMENT_SEE, Subject(safe_id))
            return self._matters.rows.visible(
                connection,
                MatterKind.STATEMENT,
                lambda each: (
                    self._ties.grant(connection, actor, Action.STATEMENT_SEE, _subject(each)) is not None
                ),
                safe_id=safe_id,
                before=before,
                limit=limit,
            )

    def paper(self, actor: Actor, statement_id: str) -> bytes:
        """Return the sealed statement, an ASiC-E container.

        Raises:
            NotFound: unknown, or not for this caller.
            VaultError, Unavailable: see `Papers.read`.
        """
        with self._database.reading() as connection:
            self._entitled(connection, actor, statement_id)
            key = self._matters.rows.key(connection, statement_id)
            found = self._matters.rows.papers(connection, key).get(STATEMENT)
        if found is None:
            raise NotFound("NOT_FOUND")
        return self._papers.read(key, found)

    def _entitled(self, connection: Connection, actor: Actor, statement_id: str) -> Matter:
        statement = self._matters.rows.load(connection, statement_id, MatterKind.STATEMENT)
        if statement is None or not is_of_service(actor, statement):
            raise NotFound("NOT_FOUND")
        self._ties.demand(connection, actor, Action.STATEMENT_SEE, _subject(statement))
        return statement


def _subject(statement: Matter) -> Subject:
    """Return a statement as a subject: a mandate for some types reaches those that follow from such documents alone."""
    private = statement.private
    act, act_type = private["document_id"], private["document"]["type"]
    return Subject(statement.safe_id, statement.administration_id, act, act_type)


def salted(salt: bytes, sha256: str) -> str:
    """Return hex SHA-256("probans/statement/v1" ‖ 0A ‖ salt ‖ SHA-256 of the act): tells nothing without the salt.

    Args:
        salt: 32 random octets, one statement's own.
        sha256: of the act, 64 hex digits.
    """
    return hashlib.sha256(_DIGEST + salt + bytes.fromhex(sha256)).hexdigest()
