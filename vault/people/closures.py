"""Closing a safe: because its holder wishes it, has died, or was dissolved.

What it leaves stands in `vault.authorization.closed_safes`.

A wish is asked and confirmed by the holder, in two requests, the second with a fresh proof of identity. A death or
dissolution is told by an administration that the settings entitle to it, and confirmed by the data-protection officer.
Then a notice runs, in which it can be cancelled, and the service closes the safe by itself. Every step is a ledger
entry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from vault.access import Action, demand
from vault.authorization.assurance import Act, Assurances
from vault.authorization.closed_safes import DEATH, DISSOLUTION, KINDS, WISH
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.db.repositories import COMPANY
from vault.domain.actors import Actor, Role
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.requests import SERVICE
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries

RUNNING = frozenset({"asked", "notice", "closed"})
_MAX_WORDS = 500
_MAX_REFERENCE = 128
_FEW = 20
_PAGE = 100


@dataclass(frozen=True, slots=True)
class NewClosure:
    """A closure that is about to be asked for.

    Attributes:
        holder: identifier of the holder.
        kind: `wish`, `death` or `dissolution`.
        basis: what it rests on, in words: register entry, death certificate with its number; "" for a wish.
    """

    holder: str
    kind: str
    basis: str = ""


class Closures(MatterService):
    """Asks for, confirms, cancels and carries out closures."""

    def __init__(
        self, means: Means, assurances: Assurances, *, authorities: Collection[str], notice_days: int
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            assurances: how surely and freshly an identity must be proven to confirm one.
            authorities: administrations that may tell of deaths and dissolutions.
            notice_days: days from the confirmation to the close.
        """
        super().__init__(means)
        self._assurances = assurances
        self._authorities = frozenset(authorities)
        self._notice = timedelta(days=notice_days)

    def ask(self, actor: Actor, new: NewClosure, idempotency_key: str) -> Outcome:
        """Ask for the closure of a safe; nothing changes until it is confirmed.

        Raises:
            NotFound: UNKNOWN_HOLDER, or NOT_FOUND where the caller may not.
            Refused: FIELD_INVALID naming the member.
            Conflict: CLOSURE_RUNNING, SAFE_CLOSED, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        check_text("holder", new.holder, _MAX_REFERENCE, required=True)
        check_text("basis", new.basis, _MAX_WORDS, required=new.kind != WISH)
        kinds = {WISH} if actor.role is Role.HOLDER else set(KINDS) - {WISH}
        if new.kind not in kinds:
            raise Refused("FIELD_INVALID", f"one of {', '.join(sorted(kinds))}", field="kind")
        with self._database.reading() as connection:
            safe_id = self._entitled_safe(connection, actor, new)
        key = self._matters.draw(MatterKind.CLOSURE)
        private = {"holder": new.holder, "kind": new.kind, "basis": new.basis}

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            if self._entitled_safe(tx.connection, actor, new) != safe_id:
                raise NotFound("NOT_FOUND")
            self._demand_none(tx.connection, safe_id, official=new.kind != WISH)
            matter = NewMatter(
                key,
                MatterKind.CLOSURE,
                actor,
                private,
                safe_id,
                None if new.kind == WISH else actor.administration_id,
            )
            return key.document_id, self._matters.begin(
                tx, matter, "closure.asked", _said(private, words=new.basis), mark=mark
            )

        return self._matters.once(actor, "closures", idempotency_key, private, work)

    def confirm(self, actor: Actor, closure_id: str, idempotency_key: str) -> Outcome:
        """Confirm a closure: its notice runs from now on.

        Raises:
            NotFound: unknown, or not this caller's to confirm.
            Unauthenticated: STEP_UP_REQUIRED, of a holder.
            Conflict: STATE_CONFLICT, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        with self._database.reading() as connection:
            self._decidable(connection, actor, Action.CLOSURE_CONFIRM, closure_id)
        if actor.role is Role.HOLDER:
            self._assurances.demand(actor, Act.CLOSURE)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            closure = self._decidable(tx.connection, actor, Action.CLOSURE_CONFIRM, closure_id)
            ends_at = self._clock.now() + self._notice
            _, seq = self._matters.move(
                tx,
                actor,
                closure_id,
                "closure.confirmed",
                _said(closure.private),
                changed={"notice_at": rfc3339(self._clock.now())},
                ends_at=ends_at,
                mark=mark,
            )
            return closure_id, seq

        asked = {"closure": closure_id}
        return self._matters.once(
            actor, "closure-confirmations", idempotency_key, asked, work, status_code=200
        )

    def cancel(self, actor: Actor, closure_id: str, reason: str, idempotency_key: str) -> Outcome:
        """Cancel a closure that is not carried out: everything counts again that it had ended.

        Raises:
            NotFound: unknown, or not this caller's to cancel.
            Refused: FIELD_INVALID.
            Conflict: STATE_CONFLICT, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        check_text("reason", reason, _MAX_WORDS)
        with self._database.reading() as connection:
            self._decidable(connection, actor, Action.CLOSURE_CANCEL, closure_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            closure = self._decidable(tx.connection, actor, Action.CLOSURE_CANCEL, closure_id)
            if self.state_of(closure) == "closed":
                raise Conflict("STATE_CONFLICT", current="closed", wanted="cancelled")
            said = _said(closure.private, reason=reason)
            _, seq = self._matters.move(tx, actor, closure_id, "closure.cancelled", said, mark=mark)
            return closure_id, seq

        asked = {"closure": closure_id, "reason": reason}
        return self._matters.once(
            actor, "closure-cancellations", idempotency_key, asked, work, status_code=200
        )

    def close_due(self) -> int:
        """Close, with an entry, the safes whose notice is over; return how many.

        They are closed from its end on, whether this ran or not.
        """
        done, progress = 0, True
        while progress:
            with self._database.reading() as connection:
                found = self._matters.rows.find(
                    connection,
                    MatterKind.CLOSURE,
                    states={"notice"},
                    ended_by=self._clock.now(),
                    limit=_PAGE,
                )
            closed = sum(self._close_one(closure.id) for closure in found)
            done += closed
            progress = closed > 0 and len(found) == _PAGE
        return done

    def see(self, actor: Actor, closure_id: str) -> Matter:
        """Return a closure, to its holder, to who asked for it, and to the data-protection officer. Raises NotFound."""
        with self._database.reading() as connection:
            return self._entitled(connection, actor, Action.CLOSURE_SEE, closure_id)

    def of_safe(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[Matter]:
        """Return the closures of a safe, newest first, cancelled ones too. Raises NotFound."""
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.CLOSURE_SEE, Subject(safe_id))
            return self._matters.rows.find(
                connection, MatterKind.CLOSURE, safe_id=safe_id, before=before, limit=limit
            )

    def to_confirm(self, actor: Actor, before: int | None, limit: int) -> Sequence[Matter]:
        """Return deaths and dissolutions that wait for the data-protection officer, newest first. Raises NotFound."""
        demand(actor, Action.CLOSURE_DECIDE)
        with self._database.reading() as connection:
            return self._matters.rows.visible(
                connection,
                MatterKind.CLOSURE,
                lambda closure: closure.administration_id is not None,
                states={"asked"},
                before=before,
                limit=limit,
            )

    def running(self, connection: Connection, safe_id: str) -> Sequence[Matter]:
        """Return the closures of a safe that are asked for, under notice or carried out, newest first."""
        return self._matters.rows.find(
            connection, MatterKind.CLOSURE, safe_id=safe_id, states=RUNNING, limit=_FEW
        )

    def state_of(self, closure: Matter) -> str:
        """Return the state a closure has now: the clock closes the safe even before the service wrote that down."""
        over = closure.ends_at is not None and closure.ends_at <= self._clock.now()
        return "closed" if closure.state == "notice" and over else closure.state

    def _close_one(self, closure_id: str) -> bool:
        def work(tx: LedgerTransaction) -> bool:
            closure = self._matters.rows.load(tx.connection, closure_id, MatterKind.CLOSURE)
            if closure is None or closure.state != "notice" or self.state_of(closure) != "closed":
                return False  # another process was first
            self._matters.move(tx, SERVICE, closure_id, "closure.closed", _said(closure.private))
            return True

        return self._ledger.run(work)

    def _entitled_safe(self, connection: Connection, actor: Actor, new: NewClosure) -> str:
        if new.kind != WISH:
            demand(actor, Action.CLOSURE_ASK, issuer_id=actor.administration_id)
            if actor.administration_id not in self._authorities:
                raise NotFound("NOT_FOUND")
        safe_id = self._safes.of_holder(connection, new.holder)
        if safe_id is None:
            raise NotFound("UNKNOWN_HOLDER")
        if new.kind == WISH:
            try:
                self._ties.demand(connection, actor, Action.CLOSURE_ASK, Subject(safe_id))
            except NotFound:
                raise NotFound("UNKNOWN_HOLDER") from None  # does not tell which holders exist
            return safe_id
        safe = self._safes.load(connection, safe_id)
        fits = {
            DEATH: safe is not None and safe.kind != COMPANY,
            DISSOLUTION: safe is not None and safe.kind == COMPANY,
        }
        if not fits[new.kind]:
            raise Refused("FIELD_INVALID", "people die, companies are dissolved", field="kind")
        return safe_id

    def _demand_none(self, connection: Connection, safe_id: str, *, official: bool) -> None:
        """Refuse a second one; a death or dissolution waits for no wish."""
        for closure in self.running(connection, safe_id):
            if not official or closure.private["kind"] != WISH:
                raise Conflict("CLOSURE_RUNNING")

    def _decidable(self, connection: Connection, actor: Actor, action: Action, closure_id: str) -> Matter:
        """Return a closure that the caller may confirm or cancel: a holder wishes alone, officers the others alone.

        The administration that told of a death or dissolution takes it back as long as nobody has confirmed it.
        """
        closure = self._entitled(connection, actor, action, closure_id)
        if (closure.private["kind"] == WISH) is not (actor.role is Role.HOLDER):
            raise NotFound("NOT_FOUND")
        if actor.role in {Role.AGENT, Role.SYSTEM} and closure.state != "asked":
            raise Conflict("STATE_CONFLICT", current=closure.state, wanted="cancelled")
        return closure

    def _entitled(self, connection: Connection, actor: Actor, action: Action, closure_id: str) -> Matter:
        closure = self._load_matter(connection, closure_id, MatterKind.CLOSURE)
        self._ties.demand(connection, actor, action, Subject.about(closure))
        return closure


def _said(private: Mapping[str, Any], *, words: str = "", reason: str = "") -> Said:
    return Said(
        holder=private["holder"],
        context=entries.context(words=words, reason=reason),
        details={"kind": private["kind"]},
    )
