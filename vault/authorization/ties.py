"""Which relations a caller has to a thing now, and on which mandate, consent, share or requisition each rests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from vault.access import (
    CONSENT_SCOPES,
    MANDATE_SCOPES,
    SHARE_SCOPES,
    Action,
    Grant,
    Relation,
    has_rule,
    own_relations,
)
from vault.authorization.closed_safes import TOLD, WISH, Closing, is_left, is_mandate_left
from vault.clock import Clock
from vault.db.driver import driver_of
from vault.db.matters import MatterRows, quiet_safes
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document
from vault.domain.matters import Matter, MatterKind
from vault.errors import Conflict, NotFound

_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class Subject:
    """What somebody asks about.

    Attributes:
        safe_id: the safe it lies in or is.
        administration_id: the administration it is of: the issuer of an act, the one of a request or case.
        document_id: the document, if it is one; "" for one that is about to be.
        document_type: its type code, or "".
        purpose: for which purpose, or "" where that is not known yet: a consent is for one.
    """

    safe_id: str | None = None
    administration_id: str | None = None
    document_id: str | None = None
    document_type: str = ""
    purpose: str = ""

    @classmethod
    def of(cls, document: Document) -> Subject:
        """Return a document as a subject."""
        return cls(document.safe_id, document.issuer_id, document.id, document.document_type)

    @classmethod
    def to_come(cls, safe_id: str, document_type: str) -> Subject:
        """Return a document that somebody is about to put into a safe as a subject."""
        return cls(safe_id, None, "", document_type)

    @classmethod
    def about(cls, matter: Matter) -> Subject:
        """Return a matter as a subject."""
        return cls(matter.safe_id, matter.administration_id, matter.document_id)


class Ties:
    """Decides with what the database says at this moment; ask again within the transaction that acts on it."""

    def __init__(self, rows: MatterRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    def grant(self, connection: Connection, actor: Actor, action: Action, subject: Subject) -> Grant | None:
        """Return why the caller may do this, or None.

        A closure of the safe takes away what `vault.authorization.closed_safes` says, at every step.

        Steps:
            1. A rule for a relation that needs no look-up: own safe, own administration, any.
            2. A live mandate over the safe whose scope names the action.
            3. A live consent to the caller's administration (and service) for this document.
            4. A share of this document whose code the caller showed, that gives this, is neither withdrawn nor over.
            5. A live requisition for this caller about this document or safe.
        """
        # 1
        for relation in own_relations(actor, safe_id=subject.safe_id, issuer_id=subject.administration_id):
            if has_rule(actor, action, relation) and self._is_left(connection, action, relation, subject):
                return Grant(relation)
        # 2-5
        for relation, matters in (
            (Relation.MANDATE, self._mandates),
            (Relation.CONSENT, self._consents),
            (Relation.SHARE, self._shares),
            (Relation.REQUISITION, self._requisitions),
        ):
            if has_rule(actor, action, relation):
                for matter in matters(connection, actor, action, subject):
                    if self._is_left(connection, action, relation, subject):
                        return Grant(relation, matter.id)
        return None

    def demand(self, connection: Connection, actor: Actor, action: Action, subject: Subject) -> Grant:
        """Return why the caller may do this.

        Raises:
            NotFound: what one may not see looks like what is not there.
            Conflict: SAFE_CLOSED, the caller's own relation would allow it, and the safe is closed.
        """
        found = self.grant(connection, actor, action, subject)
        if found is None:
            own = own_relations(actor, safe_id=subject.safe_id, issuer_id=subject.administration_id)
            if action in TOLD and any(has_rule(actor, action, relation) for relation in own):
                raise Conflict("SAFE_CLOSED")
            raise NotFound("NOT_FOUND")
        return found

    @staticmethod
    def is_lasting(actor: Actor, action: Action, subject: Subject) -> bool:
        """Tell whether the caller may do this as long as `vault.db.matters.quiet_safes` says so of the safe."""
        own = own_relations(actor, safe_id=subject.safe_id, issuer_id=subject.administration_id)
        return any(has_rule(actor, action, relation) for relation in own)

    def is_open(self, connection: Connection, safe_id: str) -> bool:
        """Tell whether a safe is not closed."""
        return not any(each.closed for each in self.closings(connection, safe_id))

    def closings(self, connection: Connection, safe_id: str | None) -> Sequence[Closing]:
        """Return the closures of a safe that have effects now; from its end on a notice is over."""
        if safe_id is None or quiet_safes(driver_of(connection), (safe_id,))[safe_id]:
            return ()
        found = self._rows.find(
            connection, MatterKind.CLOSURE, safe_id=safe_id, states={"notice", "closed"}, limit=_CANDIDATES
        )
        return [
            Closing(
                official=closure.private["kind"] != WISH,
                closed=closure.state == "closed"
                or (closure.ends_at is not None and closure.ends_at <= self._clock.now()),
                notice_seq=self._notice_seq(connection, closure),
            )
            for closure in found
        ]

    def _notice_seq(self, connection: Connection, closure: Matter) -> int:
        entries = self._rows.entries(connection, closure.id)
        return next((entry.seq for entry in entries if entry.event == "closure.confirmed"), closure.last_seq)

    def _is_left(self, connection: Connection, action: Action, relation: Relation, subject: Subject) -> bool:
        return is_left(action, relation, self.closings(connection, subject.safe_id))

    def _mandates(
        self, connection: Connection, actor: Actor, action: Action, subject: Subject
    ) -> Iterator[Matter]:
        if actor.role is not Role.MANDATARY or actor.mandate_id is None or subject.safe_id is None:
            return
        mandate = self._rows.load(connection, actor.mandate_id, MatterKind.MANDATE)
        if mandate is None or mandate.safe_id != subject.safe_id or not self._live(mandate):
            return
        # Whoever is dead acts for nobody else either.
        if any(each.official for each in self.closings(connection, actor.safe_id)):
            return
        official = mandate.administration_id is not None
        if not is_mandate_left(official, mandate.first_seq, self.closings(connection, subject.safe_id)):
            return
        scope = mandate.private.get("scope", ())
        types = mandate.private.get("document_types", ())
        of_right_type = not types or subject.document_id is None or subject.document_type in types
        allowed = any(action in MANDATE_SCOPES.get(word, frozenset()) for word in scope)
        if mandate.private.get("mandatary") == actor.id and allowed and of_right_type:
            yield mandate

    def _consents(
        self, connection: Connection, actor: Actor, action: Action, subject: Subject
    ) -> Iterator[Matter]:
        if actor.administration_id is None or subject.document_id is None:
            return
        found = self._rows.find(
            connection,
            MatterKind.CONSENT,
            administration_id=actor.administration_id,
            document_id=subject.document_id,
            states={"live"},
            unended_at=self._clock.now(),
            limit=_CANDIDATES,
        )
        for consent in found:
            service = consent.private.get("service", "")
            # One that names no actions was given for all.
            words = consent.private.get("actions", CONSENT_SCOPES)
            allowed = any(action in CONSENT_SCOPES.get(word, frozenset()) for word in words)
            ours = service in {"", actor.service} and consent.safe_id == subject.safe_id
            purposes = {"", consent.private.get("purpose", subject.purpose)}
            if allowed and ours and subject.purpose in purposes and self._live(consent):
                yield consent

    def _shares(
        self, connection: Connection, actor: Actor, action: Action, subject: Subject
    ) -> Iterator[Matter]:
        if actor.share_id is None or subject.document_id is None:
            return
        share = self._rows.load(connection, actor.share_id, MatterKind.SHARE)
        if share is None or share.safe_id != subject.safe_id or not self._opens(share):
            return
        allowed = any(action in SHARE_SCOPES[word] for word in share.private["gives"])
        if allowed and subject.document_id in share.private["documents"]:
            yield share

    def _requisitions(
        self, connection: Connection, actor: Actor, action: Action, subject: Subject
    ) -> Iterator[Matter]:
        if subject.safe_id is None:
            return
        found = self._rows.find(
            connection,
            MatterKind.REQUISITION,
            safe_id=subject.safe_id,
            states={"live"},
            unended_at=self._clock.now(),
            limit=_CANDIDATES,
        )
        for requisition in found:
            covers = requisition.document_id in {None, subject.document_id}
            if covers and self._live(requisition) and requisition.private.get("auditor") == actor.id:
                yield requisition

    def _opens(self, share: Matter) -> bool:
        """Whoever has opened it goes on reading when the last view is used up."""
        return share.state in {"live", "exhausted"} and (
            share.ends_at is None or self._clock.now() < share.ends_at
        )

    def _live(self, matter: Matter) -> bool:
        return matter.is_live(self._clock.now())
