"""How a holder answers a request: with documents, with an attribute, or not at all.

What is decided before the seals are made is decided again in the transaction that records the answer: the request may
have ended, a mandate too, a document may have been revoked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from vault.access import Action
from vault.authorization.assurance import Act, Assurances, demand_assurance
from vault.authorization.giving import Giving
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.domain.actors import Actor, Assurance
from vault.domain.documents import Document, Outcome
from vault.domain.matters import Matter
from vault.domain.requests import Answer, Candidate, NewAnswer
from vault.domain.states import Status
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_text
from vault.ids import looks_like_id
from vault.ledger.writer import LedgerTransaction
from vault.matters.attributes import Attribute, Attributes
from vault.matters.consents import Consents, Prepared
from vault.matters.requests import Requests, said_of
from vault.matters.services import MatterService, Means
from vault.matters.statements import PreparedStatement, Statements
from vault.matters.steps import Mark

MAX_DOCUMENTS = 20
_MAX_WORDS = 500
_CANDIDATES = 200


class Answers(MatterService):
    """Answers requests."""

    def __init__(
        self,
        means: Means,
        requests: Requests,
        consents: Consents,
        statements: Statements,
        attributes: Attributes,
        assurances: Assurances,
        giving: Giving,
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            requests: whose requests are answered.
            consents: gives consents.
            statements: issues statements.
            attributes: what can be attested.
            assurances: how surely an identity must be proven to give anything.
            giving: decides whether contents are fit to leave.
        """
        super().__init__(means)
        self._requests = requests
        self._consents = consents
        self._statements = statements
        self._attributes = attributes
        self._assurances = assurances
        self._giving = giving

    def candidates(self, actor: Actor, request_id: str) -> Sequence[Candidate]:
        """Return what the holder could answer with now, newest first.

        Raises:
            NotFound: unknown, or not for this caller.
            Conflict: REQUEST_ENDED.
        """
        with self._database.reading() as connection:
            request = self._requests.entitled(connection, actor, Action.REQUEST_ANSWER, request_id)
            self._requests.demand_open(request)
            names = self._safes.administration_names(connection)
            return [
                Candidate(
                    each.id,
                    each.document_type,
                    "" if each.private is None else each.private.title,
                    names.get(each.issuer_id or "", ""),
                    each.created_at,
                    self._value(request, each, names.get(each.issuer_id or "", "")) or "",
                )
                for each in self._possible(connection, actor, request)
            ]

    def answer(self, actor: Actor, request_id: str, said: NewAnswer, idempotency_key: str) -> Outcome:
        """Answer a request.

        Raises:
            NotFound: the request or a document is unknown, or not for this caller to give.
            Unauthenticated: STEP_UP_REQUIRED, the request or the settings want the identity proven more surely;
                declining never does.
            Refused: FIELD_INVALID, DOCUMENT_TYPE_REFUSED, IDEMPOTENCY_KEY_REQUIRED, IDEMPOTENCY_KEY_INVALID.
            Conflict: REQUEST_ENDED, as `Giving.demand`, DOCUMENT_NOT_IN_FORCE, ATTRIBUTE_NOT_PROVEN, TWIN_RUNNING,
                IDEMPOTENCY_KEY_REUSED.
            Unavailable: no timestamp now, or a part of the service is down: nothing was given.
        """
        self._check(said)
        with self._database.reading() as connection:
            request = self._requests.entitled(connection, actor, Action.REQUEST_ANSWER, request_id)
        _check_kind(request, said)
        if said.answer is not Answer.DECLINE:
            self._demand_assurance(actor, request)
        consents: list[Prepared] = []
        statements: list[PreparedStatement] = []

        def prepare() -> None:
            with self._database.reading() as connection:
                self._requests.demand_open(self._entitled(connection, actor, request_id))
                names = self._safes.administration_names(connection)
                documents = self._given(connection, actor, request, said)
            if said.answer is Answer.ACCEPT:
                asker = names.get(request.administration_id or "", "")
                consents.extend(self._consents.prepare(actor, request, asker, documents, said.ends_at))
            elif said.answer is Answer.ATTEST:
                attribute, act = self._attribute(request), documents[0]
                value = self._value(request, act, names.get(act.issuer_id or "", ""))
                if value is None:
                    raise Conflict("ATTRIBUTE_NOT_PROVEN", attribute=attribute.code)
                statements.append(self._statements.prepare(actor, request, names, attribute, act, value))

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            current = self._entitled(tx.connection, actor, request_id)
            self._requests.demand_open(current)
            given = [each.document_id for each in consents] + [each.document_id for each in statements]
            for document_id in given:
                self._document(tx.connection, actor, current, document_id)
            event = "request.declined" if said.answer is Answer.DECLINE else "request.accepted"
            _, seq = self._matters.move(
                tx,
                actor,
                request_id,
                event,
                said_of(current, reason=said.reason),
                changed={"answered_at": rfc3339(self._clock.now()), "reason": said.reason or None},
                mark=mark,
            )
            for consent in consents:
                self._consents.give(tx, actor, current, consent)
            for statement in statements:
                self._statements.issue(tx, actor, current, statement)
            return request_id, seq

        return self._matters.once(
            actor,
            "request-answer",
            idempotency_key,
            {"request": request_id, **_asked(said)},
            work,
            status_code=200,
            prepare=prepare,
        )

    def _entitled(self, connection: Connection, actor: Actor, request_id: str) -> Matter:
        return self._requests.entitled(connection, actor, Action.REQUEST_ANSWER, request_id)

    def _demand_assurance(self, actor: Actor, request: Matter) -> None:
        self._assurances.demand(actor, Act.CONSENT)
        if level := request.private["assurance"]:
            demand_assurance(actor, Assurance[level.upper()], None, self._clock)

    def _check(self, said: NewAnswer) -> None:
        check_text("reason", said.reason, _MAX_WORDS)
        most = {Answer.ACCEPT: MAX_DOCUMENTS, Answer.ATTEST: 1, Answer.DECLINE: 0}[said.answer]
        least = 1 if said.answer is Answer.ACCEPT else 0
        count = len(said.documents)
        if not least <= count <= most or len(set(said.documents)) != count:
            raise Refused("FIELD_INVALID", f"{least} to {most} documents, each once", field="documents")
        if not all(looks_like_id(each, "doc") for each in said.documents):
            raise Refused("FIELD_INVALID", "document identifiers", field="documents")
        if said.ends_at is not None and said.answer is not Answer.ACCEPT:
            raise Refused("FIELD_INVALID", "only access has an end", field="ends_at")
        if said.reason and said.answer is not Answer.DECLINE:
            raise Refused("FIELD_INVALID", "only a refusal has a reason", field="reason")

    def _attribute(self, request: Matter) -> Attribute:
        return self._attributes.named(request.private["attribute"])

    def _value(self, request: Matter, document: Document, issuer: str) -> str | None:
        if not request.private["attribute"]:
            return None
        return self._attribute(request).value_of(document, issuer)

    def _types(self, request: Matter) -> Sequence[str]:
        asked: Sequence[str] = request.private["document_types"]
        return asked or self._attribute(request).document_types

    def _given(
        self, connection: Connection, actor: Actor, request: Matter, said: NewAnswer
    ) -> Sequence[Document]:
        if said.answer is Answer.ATTEST and not said.documents:
            possible = self._possible(connection, actor, request)
            if not possible:
                raise Conflict("ATTRIBUTE_NOT_PROVEN", attribute=request.private["attribute"])
            # The oldest act in force shows the longest.
            return possible[-1:]
        return [self._document(connection, actor, request, each) for each in said.documents]

    def _possible(self, connection: Connection, actor: Actor, request: Matter) -> Sequence[Document]:
        found = self._documents.of_types(connection, request.safe_id or "", self._types(request), _CANDIDATES)
        names = self._safes.administration_names(connection)

        def fits(document: Document) -> bool:
            proven = not request.private["attribute"] or self._value(
                request, document, names.get(document.issuer_id or "", "")
            )
            granted = self._ties.grant(connection, actor, Action.REQUEST_ANSWER, Subject.of(document))
            in_force = document.status is Status.VALID and not self._giving.refusal(document)
            return bool(proven) and in_force and granted is not None

        return [document for document in found if fits(document)]

    def _document(self, connection: Connection, actor: Actor, request: Matter, document_id: str) -> Document:
        """Return a document that may be given in answer.

        Steps:
            1. It lies in the safe that was asked, and is the caller's to give: a mandate may be for some types alone.
            2. It is of a type that was asked for.
            3. It is sealed and may be given out.
            4. It is in force.
        """
        # 1
        document = self._documents.load(connection, document_id)
        if document is None or document.safe_id != request.safe_id or document.private is None:
            raise NotFound("NOT_FOUND")
        self._ties.demand(connection, actor, Action.REQUEST_ANSWER, Subject.of(document))
        # 2
        if document.document_type not in self._types(request):
            raise Refused("DOCUMENT_TYPE_REFUSED", document=document_id)
        # 3
        self._giving.demand(document)
        # 4
        if document.status is not Status.VALID:
            raise Conflict("DOCUMENT_NOT_IN_FORCE", document=document_id)
        return document


def _check_kind(request: Matter, said: NewAnswer) -> None:
    """Documents answer a request for documents, a statement one for an attribute. Raises Refused(FIELD_INVALID)."""
    wrong = Answer.ACCEPT if request.private["attribute"] else Answer.ATTEST
    if said.answer is wrong:
        raise Refused("FIELD_INVALID", "not what was asked for", field="answer")


def _asked(said: NewAnswer) -> dict[str, Any]:
    return {
        "answer": said.answer.value,
        "documents": list(said.documents),
        "ends_at": "" if said.ends_at is None else rfc3339(said.ends_at),
        "reason": said.reason,
    }
