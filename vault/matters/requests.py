"""An administration asks a holder for documents, or for an attribute: "tell us once".

The holder sees who asks, what for, on which legal basis and until when, and answers or not; the other way is always
named. An identifier that no safe has gets the same answer as one that has: a request that stays without answer. So
nobody can ask the service who has a safe.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from vault.access import CONSENT_SCOPES, Action, Grant, Relation, demand
from vault.authorization.purposes import Purposes
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.domain.actors import Actor, Role
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.domain.requests import OTHER_WAYS, NewRequest, RequestView
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_code, check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.attributes import Attributes
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries

OPEN = "open"
EXPIRED = "expired"
MAX_TYPES = 10
_MAX_WORDS = 500
_MAX_REFERENCE = 128
_CHILDREN = 50
_PAGE = 100
# The service itself, where the clock alone causes something.
SERVICE = Actor(id="service", role=Role.OPERATOR)


class Requests(MatterService):
    """Makes, shows, cancels and ends requests; `vault.matters.answers` answers them."""

    def __init__(
        self, means: Means, attributes: Attributes, purposes: Purposes, *, answer_days: int, access_days: int
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            attributes: what can be asked for in place of documents.
            purposes: which purposes a service may name.
            answer_days: days a request may stay open at most.
            access_days: days a consent may last at most.
        """
        super().__init__(means)
        self._attributes = attributes
        self._purposes = purposes
        self._answer_days = answer_days
        self._access_days = access_days

    def make(self, actor: Actor, administration_id: str, new: NewRequest, idempotency_key: str) -> Outcome:
        """Ask a holder.

        Args:
            actor: an agent or a system of the administration.
            administration_id: who asks.
            new: what is asked; of a caller with a service, that service's.
            idempotency_key: chosen by the caller.

        Raises:
            NotFound: UNKNOWN_ADMINISTRATION, or NOT_FOUND where the caller may not ask for it.
            Refused: PURPOSE_REQUIRED, PURPOSE_UNKNOWN, FIELD_INVALID, ATTRIBUTE_UNKNOWN, IDEMPOTENCY_KEY_REQUIRED,
                IDEMPOTENCY_KEY_INVALID.
            Conflict: TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        service = new.service or actor.service
        if actor.service and service != actor.service:
            raise Refused("FIELD_INVALID", "not the caller's own service", field="service")
        self._check(new)
        with self._database.reading() as connection:
            if self._safes.administration(connection, administration_id) is None:
                raise NotFound("UNKNOWN_ADMINISTRATION")
            demand(actor, Action.REQUEST_MAKE, issuer_id=administration_id)
            self._purposes.checked(connection, actor, new.purpose)
        key = self._matters.draw(MatterKind.REQUEST)
        asked = {**_asked(new), "service": service}

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            self._check_time(new.answer_by)
            safe_id = self._safes.of_holder(tx.connection, new.holder)
            if safe_id is not None and not self._ties.is_open(tx.connection, safe_id):
                safe_id = None  # nobody will answer it, as if there were no such safe
            matter = NewMatter(
                key,
                MatterKind.REQUEST,
                actor,
                {**asked, "agent": actor.id},
                safe_id,
                administration_id,
                ends_at=new.answer_by,
            )
            said = Said(
                holder=new.holder,
                context=entries.context(purpose=new.purpose, case=new.case, words=new.words),
                details={"administration": administration_id, "asked": _what(new)},
            )
            return key.document_id, self._matters.begin(tx, matter, "request.made", said, mark=mark)

        request = {**asked, "administration": administration_id, "answer_by": rfc3339(new.answer_by)}
        return self._matters.once(actor, "requests", idempotency_key, request, work)

    def see(self, actor: Actor, request_id: str) -> RequestView:
        """Return a request. Raises NotFound: unknown, or not for this caller."""
        with self._database.reading() as connection:
            request = self.entitled(connection, actor, Action.REQUEST_SEE, request_id)
            return self._view(connection, request)

    def of_safe(
        self, actor: Actor, safe_id: str, before: int | None, limit: int, state: str | None = None
    ) -> Sequence[RequestView]:
        """Return the requests to a safe's holder, newest first.

        Args:
            actor: the holder, or somebody with a mandate to answer.
            safe_id: the safe.
            before: begun by an entry before this number (cursor).
            limit: at most so many.
            state: those in this state now; None: all.

        Raises:
            NotFound: not for this caller.
        """
        with self._database.reading() as connection:
            grant = self._ties.demand(connection, actor, Action.REQUEST_SEE, Subject(safe_id))
            types = self._types(connection, grant)
            return self._found(connection, actor, before, limit, state, types, safe_id=safe_id)

    def of_administration(
        self, actor: Actor, administration_id: str, before: int | None, limit: int, state: str | None = None
    ) -> Sequence[RequestView]:
        """Return the requests of an administration, newest first; see `of_safe`.

        A caller with a service sees those of the service, and those of none.

        Raises:
            NotFound: not the caller's administration.
        """
        demand(actor, Action.REQUEST_SEE, issuer_id=administration_id)
        with self._database.reading() as connection:
            return self._found(connection, actor, before, limit, state, administration_id=administration_id)

    def cancel(self, actor: Actor, request_id: str, idempotency_key: str, reason: str = "") -> Outcome:
        """Take a request back that was not answered.

        Raises:
            NotFound: unknown, or not for this caller.
            Refused: FIELD_INVALID, IDEMPOTENCY_KEY_REQUIRED, IDEMPOTENCY_KEY_INVALID.
            Conflict: REQUEST_ENDED, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        check_text("reason", reason, _MAX_WORDS)
        with self._database.reading() as connection:
            self.entitled(connection, actor, Action.REQUEST_CANCEL, request_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            request = self.entitled(tx.connection, actor, Action.REQUEST_CANCEL, request_id)
            self.demand_open(request)
            _, seq = self._matters.move(
                tx, actor, request_id, "request.cancelled", said_of(request, reason=reason), mark=mark
            )
            return request_id, seq

        asked = {"request": request_id, "reason": reason}
        return self._matters.once(
            actor, "request-cancellation", idempotency_key, asked, work, status_code=200
        )

    def expire(self) -> int:
        """End, with an entry, the requests whose time is over; return how many.

        They accept no answer from their end on, whether this ran or not.
        """
        done, progress = 0, True
        while progress:
            now = self._clock.now()
            with self._database.reading() as connection:
                found = self._matters.rows.find(
                    connection, MatterKind.REQUEST, states={OPEN}, ended_by=now, limit=_PAGE
                )
            ended = sum(self._expire_one(request.id) for request in found)
            done += ended
            progress = ended > 0 and len(found) == _PAGE
        return done

    def entitled(self, connection: Connection, actor: Actor, action: Action, request_id: str) -> Matter:
        """Return a request that the caller may do this with. Raises NotFound(NOT_FOUND)."""
        request = self._matters.rows.load(connection, request_id, MatterKind.REQUEST)
        if request is None or not is_of_service(actor, request):
            raise NotFound("NOT_FOUND")
        grant = self._ties.demand(connection, actor, action, Subject.about(request))
        if not self._reaches(request, self._types(connection, grant)):
            raise NotFound("NOT_FOUND")
        return request

    def demand_open(self, request: Matter) -> None:
        """Raise Conflict(REQUEST_ENDED) for a request that was answered, cancelled or is over."""
        if (state := self.state_of(request)) != OPEN:
            raise Conflict("REQUEST_ENDED", state=state)

    def state_of(self, request: Matter) -> str:
        """Return the state a request has now: the clock ends it even before the service wrote that down."""
        over = request.ends_at is not None and request.ends_at <= self._clock.now()
        return EXPIRED if request.state == OPEN and over else request.state

    def _expire_one(self, request_id: str) -> bool:
        def work(tx: LedgerTransaction) -> bool:
            request = self._matters.rows.load(tx.connection, request_id, MatterKind.REQUEST)
            if request is None or request.state != OPEN or self.state_of(request) != EXPIRED:
                return False  # answered or cancelled in its last moment, or another process was first
            self._matters.move(tx, SERVICE, request_id, "request.expired", said_of(request))
            return True

        return self._ledger.run(work)

    def _check(self, new: NewRequest) -> None:
        check_text("holder", new.holder, _MAX_REFERENCE, required=True)
        check_text("words", new.words, _MAX_WORDS, required=True)
        check_text("legal_basis", new.legal_basis, _MAX_WORDS, required=True)
        check_text("case", new.case, _MAX_REFERENCE)
        check_text("service", new.service, _MAX_REFERENCE)
        if new.otherwise.way not in OTHER_WAYS:
            raise Refused("FIELD_INVALID", f"one of {', '.join(OTHER_WAYS)}", field="otherwise.way")
        check_text("otherwise.fr", new.otherwise.fr, _MAX_WORDS, required=True)
        check_text("otherwise.en", new.otherwise.en, _MAX_WORDS, required=True)
        self._check_time(new.answer_by)
        if bool(new.attribute) == bool(new.document_types):
            raise Refused(
                "FIELD_INVALID", "document types or an attribute, one of them", field="document_types"
            )
        if new.attribute:
            self._attributes.named(new.attribute)
            if new.actions or new.access_days:
                raise Refused("FIELD_INVALID", "an attribute gives no access", field="actions")
            return
        _check_each_once("document_types", new.document_types, MAX_TYPES)
        for document_type in new.document_types:
            check_code("document_types", document_type, required=True)
        _check_each_once("actions", new.actions, len(CONSENT_SCOPES))
        if not set(new.actions) <= set(CONSENT_SCOPES):
            raise Refused("FIELD_INVALID", f"of {', '.join(CONSENT_SCOPES)}", field="actions")
        if not 0 < new.access_days <= self._access_days:
            raise Refused("FIELD_INVALID", f"1 to {self._access_days} days", field="access_days")

    def _check_time(self, answer_by: datetime) -> None:
        now = self._clock.now()
        if not now < answer_by <= now + timedelta(days=self._answer_days):
            raise Refused(
                "FIELD_INVALID", f"a time to come, within {self._answer_days} days", field="answer_by"
            )

    def _found(
        self,
        connection: Connection,
        actor: Actor,
        before: int | None,
        limit: int,
        state: str | None,
        types: Collection[str] = (),
        **where: str,
    ) -> Sequence[RequestView]:
        # What is over may still stand as open.
        states = None if state is None else {state, OPEN} if state == EXPIRED else {state}

        def keep(request: Matter) -> bool:
            ours = is_of_service(actor, request) and state in {None, self.state_of(request)}
            return ours and self._reaches(request, types)

        found = self._matters.rows.visible(
            connection, MatterKind.REQUEST, keep, states=states, before=before, limit=limit, **where
        )
        return [self._view(connection, request) for request in found]

    def _types(self, connection: Connection, grant: Grant) -> Collection[str]:
        return self._mandate_types(connection, grant.cited(Relation.MANDATE))

    def _reaches(self, request: Matter, types: Collection[str]) -> bool:
        """Tell whether a mandate for these types (none: all) reaches a request: one of them could answer it."""
        asked = set(request.private["document_types"])
        for attribute in self._attributes.all():
            if attribute.code == request.private["attribute"]:
                asked |= set(attribute.document_types)
        return not types or not asked.isdisjoint(types)

    def _view(self, connection: Connection, request: Matter) -> RequestView:
        children: dict[MatterKind, tuple[Matter, ...]] = {
            kind: tuple(self._matters.rows.find(connection, kind, parent_id=request.id, limit=_CHILDREN))
            for kind in (MatterKind.CONSENT, MatterKind.STATEMENT)
            if request.state == "accepted"
        }
        name = self._safes.administration(connection, request.administration_id or "") or ""
        return RequestView(
            request,
            self.state_of(request),
            name,
            children.get(MatterKind.CONSENT, ()),
            children.get(MatterKind.STATEMENT, ()),
        )


def is_of_service(actor: Actor, matter: Matter) -> bool:
    """Tell whether a matter is not another service's: of an administration that named a service, that one's alone."""
    if actor.role not in {Role.AGENT, Role.SYSTEM}:
        return True
    return matter.private.get("service", "") in {"", actor.service}


def said_of(request: Matter, *, reason: str = "", sha256: str = "", **details: str | int) -> Said:
    """Return what an entry about a request says beside its event."""
    private = request.private
    context = entries.context(purpose=private["purpose"], case=private["case"], reason=reason)
    return Said(holder=private["holder"], context=context, details=details, sha256=sha256)


def _asked(new: NewRequest) -> dict[str, Any]:
    return {
        "holder": new.holder,
        "purpose": new.purpose,
        "words": new.words,
        "legal_basis": new.legal_basis,
        "case": new.case,
        "document_types": list(new.document_types),
        "attribute": new.attribute,
        "actions": sorted(new.actions),
        "access_days": new.access_days,
        "assurance": "" if new.assurance is None else new.assurance.name.lower(),
        "otherwise": dict(new.otherwise.members),
    }


def _what(new: NewRequest) -> str:
    return new.attribute or " ".join(new.document_types)


def _check_each_once(field: str, values: Collection[str], limit: int) -> None:
    if not 0 < len(values) <= limit or len(set(values)) != len(values):
        raise Refused("FIELD_INVALID", f"1 to {limit}, each once", field=field)
