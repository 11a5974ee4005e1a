"""Mandates: who may act for a holder, from when to when, for what, and who said so.

A holder gives a proxy (`proxy`). Guardians and representatives of companies are named by an administration that the
settings entitle to it, such as a court or the register of companies. A mandate is no mandate to give mandates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vault import entries
from vault.access import MANDATE_SCOPES, Action, demand
from vault.clock import Clock, rfc3339
from vault.db.engine import Database
from vault.db.repositories import Safes
from vault.domain.actors import Actor, Role
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound, Refused
from vault.fields import check_code, check_text
from vault.keyring import Keyring
from vault.ledger.writer import LedgerTransaction
from vault.matters import Mark, Matters, NewMatter, Said
from vault.ties import Subject, Ties

PROXY = "proxy"
OFFICIAL = frozenset({"guardian", "representative"})
MAX_TYPES = 20
_MAX_WORDS = 500
_MAX_REFERENCE = 128
_PAGE = 100


@dataclass(frozen=True, slots=True)
class NewMandate:
    """A mandate that is about to be given.

    Attributes:
        holder: identifier of the holder for whom somebody will act.
        mandatary: identifier of the person who will act.
        kind: `proxy`, given by the holder; `guardian` or `representative`, named by an administration.
        scope: words of `vault.access.MANDATE_SCOPES`.
        basis: what it rests on, in words: power of attorney, judgment with its reference.
        starts_at: from when it counts, UTC.
        ends_at: until when, UTC.
        document_types: type codes it is limited to; empty: all.
    """

    holder: str
    mandatary: str
    kind: str
    scope: tuple[str, ...]
    basis: str
    starts_at: datetime
    ends_at: datetime
    document_types: tuple[str, ...] = ()


class Mandates:
    """Gives, shows and ends mandates; what one allows is decided by `vault.ties`."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        matters: Matters,
        ties: Ties,
        clock: Clock,
        *,
        authorities: Collection[str],
        longest_days: int,
    ) -> None:
        """Take what it works with.

        Args:
            database: of the safe.
            keyring: opens its rows.
            matters: writes.
            ties: decides.
            clock: the service's time.
            authorities: administrations that may name guardians and representatives.
            longest_days: days a mandate may last at most.
        """
        self._database = database
        self._safes = Safes(keyring)
        self._matters = matters
        self._ties = ties
        self._clock = clock
        self._authorities = frozenset(authorities)
        self._longest = timedelta(days=longest_days)

    def grant(self, actor: Actor, new: NewMandate, idempotency_key: str) -> Outcome:
        """Give a mandate.

        Raises:
            NotFound: UNKNOWN_HOLDER, or NOT_FOUND where the caller may not.
            Refused: FIELD_INVALID naming the member.
            Conflict: TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        self._check(actor, new)
        with self._database.reading() as connection:
            safe_id = self._entitled_safe(connection, actor, new)
        official = new.kind in OFFICIAL
        key = self._matters.draw(MatterKind.MANDATE)
        private = {
            "holder": new.holder,
            "mandatary": new.mandatary,
            "kind": new.kind,
            "scope": sorted(new.scope),
            "basis": new.basis,
            "starts_at": rfc3339(new.starts_at),
            "document_types": sorted(new.document_types),
        }

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            if self._entitled_safe(tx.connection, actor, new) != safe_id:
                raise NotFound("NOT_FOUND")
            matter = NewMatter(
                key,
                MatterKind.MANDATE,
                actor,
                private,
                safe_id,
                actor.administration_id if official else None,
                ends_at=new.ends_at,
                people=(new.mandatary,),
            )
            said = Said(
                holder=new.holder,
                context=entries.context(words=new.basis),
                details={
                    "kind": new.kind,
                    "mandatary": new.mandatary,
                    "scope": " ".join(sorted(new.scope)),
                    "starts_at": rfc3339(new.starts_at),
                },
            )
            return key.document_id, self._matters.begin(tx, matter, "mandate.granted", said, mark=mark)

        request = {**private, "ends_at": rfc3339(new.ends_at)}
        return self._matters.once(actor, "mandates", idempotency_key, request, work)

    def end(self, actor: Actor, mandate_id: str, reason: str, idempotency_key: str) -> Outcome:
        """End a mandate at once: revoked by who gave it, renounced by who has it.

        Raises:
            NotFound: unknown, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: STATE_CONFLICT when it has ended, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        check_text("reason", reason, _MAX_WORDS)
        with self._database.reading() as connection:
            self._endable(connection, actor, mandate_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            mandate, event = self._endable(tx.connection, actor, mandate_id)
            said = Said(holder=str(mandate.private["holder"]), context=entries.context(reason=reason))
            _, seq = self._matters.move(tx, actor, mandate_id, event, said, mark=mark)
            return mandate_id, seq

        request = {"mandate": mandate_id, "reason": reason}
        return self._matters.once(actor, "mandate-ends", idempotency_key, request, work, status_code=200)

    def see(self, actor: Actor, mandate_id: str) -> Matter:
        """Return a mandate, to its holder, its mandatary and the administration that gave it. Raises NotFound."""
        with self._database.reading() as connection:
            mandate = self._load(connection, mandate_id)
            if not self._is_mandatary(actor, mandate):
                self._ties.demand(connection, actor, Action.MANDATE_SEE, Subject.about(mandate))
            return mandate

    def given(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[Matter]:
        """Return the mandates over a safe, newest first. Raises NotFound."""
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.MANDATE_SEE, Subject(safe_id))
            return self._matters.rows.find(
                connection, MatterKind.MANDATE, safe_id=safe_id, before=before, limit=limit
            )

    def held(self, actor: Actor) -> Sequence[Matter]:
        """Return the mandates under which a person may act, ended ones included, newest first. Raises NotFound."""
        if actor.role not in {Role.HOLDER, Role.MANDATARY}:
            raise NotFound("NOT_FOUND")
        with self._database.reading() as connection:
            return self._matters.rows.naming(connection, actor.id, MatterKind.MANDATE, _PAGE)

    def demand_held(self, person: str, mandate_id: str) -> Matter:
        """Return a mandate under which a person acts now. Raises NotFound: none such, or it does not count now."""
        with self._database.reading() as connection:
            mandate = self._load(connection, mandate_id)
        if mandate.private["mandatary"] != person or not mandate.is_live(self._clock.now()):
            raise NotFound("NOT_FOUND")
        return mandate

    def _check(self, actor: Actor, new: NewMandate) -> None:
        check_text("holder", new.holder, _MAX_REFERENCE, required=True)
        check_text("mandatary", new.mandatary, _MAX_REFERENCE, required=True)
        check_text("basis", new.basis, _MAX_WORDS, required=True)
        if not new.scope or not set(new.scope) <= set(MANDATE_SCOPES):
            raise Refused("FIELD_INVALID", f"some of {', '.join(sorted(MANDATE_SCOPES))}", field="scope")
        if len(new.document_types) > MAX_TYPES:
            raise Refused("FIELD_INVALID", f"at most {MAX_TYPES}", field="document_types")
        for code in new.document_types:
            check_code("document_types", code, required=True)
        if new.mandatary == new.holder:
            raise Refused("FIELD_INVALID", "nobody needs a mandate for the own safe", field="mandatary")
        kinds = {PROXY} if actor.role is Role.HOLDER else OFFICIAL
        if new.kind not in kinds:
            raise Refused("FIELD_INVALID", f"one of {', '.join(sorted(kinds))}", field="kind")
        now = self._clock.now()
        if not now < new.ends_at <= max(now, new.starts_at) + self._longest or new.starts_at >= new.ends_at:
            raise Refused(
                "FIELD_INVALID", f"after the start, in {self._longest.days} days at most", field="ends_at"
            )

    def _entitled_safe(self, connection: Connection, actor: Actor, new: NewMandate) -> str:
        """Return the safe. An administration must be one that may name mandataries; a holder has but the own safe."""
        official = new.kind in OFFICIAL
        if official:
            demand(actor, Action.MANDATE_GRANT, issuer_id=actor.administration_id)
            if actor.administration_id not in self._authorities:
                raise NotFound("NOT_FOUND")
        safe_id = self._safes.of_holder(connection, new.holder)
        if safe_id is None:
            raise NotFound("UNKNOWN_HOLDER")
        if not official:
            try:
                self._ties.demand(connection, actor, Action.MANDATE_GRANT, Subject(safe_id))
            except NotFound:
                raise NotFound("UNKNOWN_HOLDER") from None  # does not tell which holders exist
        return safe_id

    def _endable(self, connection: Connection, actor: Actor, mandate_id: str) -> tuple[Matter, str]:
        """Return a mandate the caller may end, and by which event."""
        mandate = self._load(connection, mandate_id)
        if self._is_mandatary(actor, mandate):
            return mandate, "mandate.renounced"
        if actor.role is Role.MANDATARY:
            raise NotFound("NOT_FOUND")  # who acts for the holder ends no other mandate of the holder's
        if actor.role is Role.HOLDER and mandate.private["kind"] in OFFICIAL:
            raise NotFound("NOT_FOUND")  # a guardian is dismissed by who named the guardian
        self._ties.demand(connection, actor, Action.MANDATE_END, Subject.about(mandate))
        return mandate, "mandate.revoked"

    def _load(self, connection: Connection, mandate_id: str) -> Matter:
        mandate = self._matters.rows.load(connection, mandate_id, MatterKind.MANDATE)
        if mandate is None:
            raise NotFound("NOT_FOUND")
        return mandate

    @staticmethod
    def _is_mandatary(actor: Actor, mandate: Matter) -> bool:
        return (
            actor.role in {Role.HOLDER, Role.MANDATARY}
            and mandate.private["mandatary"] == actor.id
            and actor.mandate_id in {None, mandate.id}
        )
