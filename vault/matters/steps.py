"""Begins and moves matters: each step is a ledger entry under the matter's own tag key, with the rows it changes.

What each kind of matter means is decided by the modules that use this one (mandates, consents, shares…); who may
ask is decided by `vault.access` before, and by them again within the transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from vault.clock import Clock, rfc3339
from vault.core.keyring import DocumentKey, Keyring
from vault.db.engine import Database
from vault.db.matters import MatterRows, PaperRow, matter_opening_role
from vault.db.repositories import PRIVATE_ROLE
from vault.domain.actors import Actor
from vault.domain.documents import Outcome
from vault.domain.matters import EVENTS, PREFIXES, Matter, MatterKind, move_matter
from vault.errors import LedgerError, NotFound
from vault.ids import new_id
from vault.ledger.events import check_matter_opening, may_write
from vault.ledger.opening import ALL, Opening
from vault.ledger.tags import tag
from vault.ledger.writer import LedgerTransaction, LedgerWriter
from vault.outbox import announce_matter
from vault.records import entries
from vault.records.changes import RECORD, SEQ, Change
from vault.records.idempotency import Idempotency
from vault.sealing.papers import paper_values

TAG_KEY = "tag_key"


@dataclass(frozen=True, slots=True)
class Said:
    """What an entry says beside its event and its matter.

    Attributes:
        holder: identifier of the holder concerned, or "".
        context: why, from `entries.context`.
        details: further members of the document part, texts and integers only: opened to whoever is shown it.
        sha256: hex digest of the sealed paper the entry rests on, or "".
    """

    holder: str = ""
    context: Mapping[str, str] = field(default_factory=entries.context)
    details: Mapping[str, str | int] = field(default_factory=dict)
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes a write happen once: its row goes with the entry, into the recovery record too.

    Attributes:
        scope: keyed digest of caller, route and key.
        request: keyed digest of what was asked.
        status_code: of the answer.
    """

    scope: bytes
    request: bytes
    status_code: int

    def row(self, matter_id: str, now: str) -> tuple[str, Mapping[str, Any]]:
        """Return the row that remembers the answer."""
        return "idempotency", {
            "scope_ix": self.scope,
            "request_ix": self.request,
            "document_id": matter_id,
            "status_code": self.status_code,
            "seq": SEQ,
            "created_at": now,
        }


@dataclass(frozen=True, slots=True)
class NewMatter:
    """A matter that is about to begin.

    Attributes:
        key: from `Matters.draw`: its identifier and key.
        kind: what it is.
        actor: who begins it.
        private: its personal part; a tag key is added.
        safe_id, administration_id, document_id, parent_id, ends_at: see `vault.domain.matters.Matter`.
        lookup_ix: keyed digest that finds it, or None.
        people: identifiers of persons by whom it is found besides (`MatterRows.naming`).
    """

    key: DocumentKey
    kind: MatterKind
    actor: Actor
    private: Mapping[str, Any]
    safe_id: str | None = None
    administration_id: str | None = None
    document_id: str | None = None
    parent_id: str | None = None
    ends_at: datetime | None = None
    lookup_ix: bytes | None = None
    people: tuple[str, ...] = ()


class Matters:
    """Writes matters; `rows` finds them."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        ledger: LedgerWriter,
        idempotency: Idempotency,
        clock: Clock,
    ) -> None:
        self.rows = MatterRows(keyring)
        self._database = database
        self._keyring = keyring
        self._ledger = ledger
        self._idempotency = idempotency
        self._clock = clock

    def draw(self, kind: MatterKind) -> DocumentKey:
        """Draw the identifier and key of a matter, before papers are sealed for it."""
        return self._keyring.new_key(new_id(PREFIXES[kind]))

    def begin(
        self,
        tx: LedgerTransaction,
        new: NewMatter,
        event: str,
        said: Said,
        *,
        papers: Sequence[PaperRow] = (),
        beside: Sequence[tuple[str, Mapping[str, Any]]] = (),
        mark: Mark | None = None,
    ) -> int:
        """Begin a matter; return the number of its entry.

        Raises:
            Conflict: STATE_CONFLICT, no matter begins with this event.
            LedgerError: OPENING_INVALID.
        """
        state = move_matter(event, None)
        now = rfc3339(self._clock.now())
        private = {**new.private, TAG_KEY: secrets.token_hex(32)}
        row = {
            "id": new.key.document_id,
            "kind": new.kind.value,
            "safe_id": new.safe_id,
            "administration_id": new.administration_id,
            "document_id": new.document_id,
            "parent_id": new.parent_id,
            "state": state,
            "created_at": now,
            "ends_at": None if new.ends_at is None else rfc3339(new.ends_at),
            "first_seq": SEQ,
            "last_seq": SEQ,
            "next_counter": 1,
            "lookup_ix": new.lookup_ix,
            "wrapped_key": new.key.wrapped,
            "sealed": new.key.seal(PRIVATE_ROLE, orjson.dumps(private, option=orjson.OPT_SORT_KEYS)),
        }
        about = {
            name: value
            for name, value in (("document_id", new.document_id), ("parent_id", new.parent_id))
            if value is not None
        }
        if new.ends_at is not None:
            about["ends_at"] = rfc3339(new.ends_at)
        step = _Step(new.key, new.actor, event, 0, private[TAG_KEY], about, new.safe_id or "")
        kept = () if mark is None else (mark.row(new.key.document_id, now),)
        named = (
            ("matter_people", {"person_ix": self.rows.person_ix(person), "matter_id": new.key.document_id})
            for person in new.people
        )
        return self._write(
            tx, step, said, (("matters", row), *named), (), (*_papers(new.key, papers), *beside, *kept)
        )

    def move(
        self,
        tx: LedgerTransaction,
        actor: Actor,
        matter_id: str,
        event: str,
        said: Said,
        *,
        changed: Mapping[str, Any] | None = None,
        ends_at: datetime | None = None,
        papers: Sequence[PaperRow] = (),
        beside: Sequence[tuple[str, Mapping[str, Any]]] = (),
        mark: Mark | None = None,
        check: Callable[[Matter], None] | None = None,
    ) -> tuple[Matter, int]:
        """Move a matter on; return it as it was before, and the number of the new entry.

        Args:
            tx: the transaction.
            actor: who causes it.
            matter_id: the matter.
            event: `kind.verb`.
            said: what the entry says.
            changed: members of the private part that change (a None takes one away).
            ends_at: a new end, earlier or later; None leaves it.
            papers: stored papers that come with it.
            beside: (table, row) pairs that come with it, such as reminders.
            mark: from `once`, when this is the entry that is its answer.
            check: raises when, as it is now, the step may not be taken.

        Raises:
            NotFound: no such matter of this kind.
            Conflict: STATE_CONFLICT.
        """
        kind = EVENTS[event][0]
        matter = self.rows.load(tx.connection, matter_id, kind)
        if matter is None:
            raise NotFound("NOT_FOUND")
        if check is not None:
            check(matter)
        state = move_matter(event, matter.state)
        key = self.rows.key(tx.connection, matter_id)
        values: dict[str, Any] = {
            "state": state,
            "last_seq": SEQ,
            "next_counter": matter.next_counter + 1,
        }
        about: dict[str, str] = {}
        if ends_at is not None:
            values["ends_at"] = about["ends_at"] = rfc3339(ends_at)
        if changed is not None:
            private = {**matter.private, **changed}
            private = {name: value for name, value in private.items() if value is not None}
            values["sealed"] = key.seal(PRIVATE_ROLE, orjson.dumps(private, option=orjson.OPT_SORT_KEYS))
        tag_key = str(matter.private[TAG_KEY])
        step = _Step(key, actor, event, matter.next_counter, tag_key, about, matter.safe_id or "")
        updates = (("matters", {"id": matter_id}, values),)
        kept = () if mark is None else (mark.row(matter_id, rfc3339(self._clock.now())),)
        return matter, self._write(tx, step, said, (), updates, (*_papers(key, papers), *beside, *kept))

    def once(
        self,
        actor: Actor,
        route: str,
        idempotency_key: str,
        request: Mapping[str, Any],
        work: Callable[[LedgerTransaction, Mark], tuple[str, int]],
        *,
        status_code: int = 201,
        prepare: Callable[[], None] | None = None,
    ) -> Outcome:
        """Do a write once, whatever the number of times it is asked for.

        Args:
            actor: the caller.
            route: scopes the key.
            idempotency_key: chosen by the caller.
            request: what was asked, for the comparison of a key's two uses.
            work: writes with `begin` or `move`, handing one of them the mark; returns the matter's identifier and
                the entry's number.
            status_code: of the answer.
            prepare: what takes its time before (seals, files), called only where nothing was answered yet.

        Raises:
            Refused: IDEMPOTENCY_KEY_REQUIRED, IDEMPOTENCY_KEY_INVALID.
            Conflict: IDEMPOTENCY_KEY_REUSED, TWIN_RUNNING, and what the preparation and the work raise.
        """
        scope = self._idempotency.scope(actor, route, idempotency_key)
        asked = self._idempotency.request(request, b"")

        def run(tx: LedgerTransaction) -> Outcome:
            if earlier := self._idempotency.earlier(tx.connection, scope, asked):
                return earlier
            matter_id, seq = work(tx, Mark(scope, asked, status_code))
            return Outcome(matter_id, status_code, seq)

        with self._idempotency.alone(scope):
            with self._database.reading() as connection:
                if earlier := self._idempotency.earlier(connection, scope, asked):
                    return earlier
            if prepare is not None:
                prepare()
            return self._ledger.run(run)

    def _write(
        self,
        tx: LedgerTransaction,
        step: _Step,
        said: Said,
        before: tuple[tuple[str, Mapping[str, Any]], ...],
        updates: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...],
        after: tuple[tuple[str, Mapping[str, Any]], ...],
    ) -> int:
        if not may_write(step.event, step.actor.role):
            raise LedgerError("ENTRY_INVALID", f"{step.event} is not for {step.actor.role} to cause")
        document: dict[str, Any] = {"event": step.event, "matter_id": step.key.document_id, **step.about}
        if said.sha256:
            document["sha256"] = said.sha256
        if said.details:
            document["details"] = dict(said.details)
        opening = Opening.new(
            document, entries.parties_of(step.actor, holder=said.holder), dict(said.context)
        )
        check_matter_opening(opening)
        row = {
            "seq": SEQ,
            "matter_id": step.key.document_id,
            "counter": step.counter,
            "event": step.event,
            "opening": step.key.seal(matter_opening_role(step.counter), opening.to_json(ALL)),
            "record": RECORD,
        }
        change = Change(
            document_id=step.key.document_id,
            tag=tag(bytes.fromhex(step.tag_key), step.counter),
            commitment=opening.commitment(),
            inserts=(*before, ("matter_entries", row), *after),
            updates=updates,
        )
        appended = tx.append(change.tag, change.commitment, change.encode())
        change.apply(tx.connection, appended.seq, appended.record)
        if step.safe_id:  # else it is nobody's news
            announce_matter(tx, step.event, step.key.document_id, step.safe_id, appended.time)
        return appended.seq


@dataclass(frozen=True, slots=True)
class _Step:
    key: DocumentKey
    actor: Actor
    event: str
    counter: int
    tag_key: str
    about: Mapping[str, str]
    safe_id: str


def _papers(key: DocumentKey, papers: Sequence[PaperRow]) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    return tuple(("matter_papers", paper_values(key, paper)) for paper in papers)
