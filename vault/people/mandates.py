"""Mandates: who may act for a holder, from when to when, for what, and who said so.

A holder gives a proxy (`proxy`). Guardians and representatives of companies are named by an administration that the
settings entitle to it, such as a court or the register of companies. A mandate is no mandate to give mandates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from vault.access import MANDATE_SCOPES, Action, demand
from vault.authorization.assurance import Act, Assurances
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.domain.actors import Actor, Role
from vault.domain.documents import Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import NotFound, Refused
from vault.files.fields import check_code, check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService, Means
from vault.matters.steps import Mark, NewMatter, Said
from vault.records import entries

PROXY = "proxy"
OFFICIAL = frozenset({"guardian", "representative"})
MAX_TYPES = 20
_MAX_WORDS = 500
_MAX_REFERENCE = 128
_PAGE = 100
# The oldest power that anybody could still act under.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewMandate:
    """A mandate that is about to be given.

    Attributes:
        holder: identifier of the holder for whom somebody will act.
        mandatary: identifier of the person who will act.
        kind: `proxy`, given by the holder; `guardian` or `representative`, named by an administration.
        scope: words of `vault.access.MANDATE_SCOPES`.
        basis: what it rests on, in words: power of attorney, judgment with its reference.
        starts_at: from when it counts, UTC; None: from when it is given.
        ends_at: until when, UTC.
        document_types: type codes it is limited to; empty: all.
    """

    holder: str
    mandatary: str
    kind: str
    scope: tuple[str, ...]
    basis: str
    starts_at: datetime | None
    ends_at: datetime
    document_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MandateView:
    """A mandate as one caller may see it.

    Attributes:
        mandate: it.
        state: `to-come`, `live`, `expired`, `revoked` or `renounced`, as of now.
        holder_name: name of the holder, for whoever acts for them; "" for others.
    """

    mandate: Matter
    state: str
    holder_name: str = ""


class Mandates(MatterService):
    """Gives, shows and ends mandates; what one allows is decided by `vault.authorization.ties`."""

    def __init__(
        self, means: Means, assurances: Assurances, *, authorities: Collection[str], longest_days: int
    ) -> None:
        """Take what it works with.

        Args:
            means: what services about matters have in common.
            assurances: how surely an identity must be proven to give one.
            authorities: administrations that may name guardians and representatives.
            longest_days: days a mandate may last at most.
        """
        super().__init__(means)
        self._assurances = assurances
        self._authorities = frozenset(authorities)
        self._longest = timedelta(days=longest_days)

    def grant(self, actor: Actor, new: NewMandate, idempotency_key: str) -> Outcome:
        """Give a mandate.

        Raises:
            NotFound: UNKNOWN_HOLDER, or NOT_FOUND where the caller may not.
            Unauthenticated: STEP_UP_REQUIRED; software has proven itself when it got its token.
            Refused: FIELD_INVALID naming the member.
            Conflict: TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
            Unavailable: the entry cannot be written.
        """
        safe_id = self.check(actor, new)
        if actor.role is not Role.SYSTEM:
            self._assurances.demand(actor, Act.MANDATE)
        official = new.kind in OFFICIAL
        key = self._matters.draw(MatterKind.MANDATE)
        private = {
            "holder": new.holder,
            "mandatary": new.mandatary,
            "kind": new.kind,
            "scope": sorted(new.scope),
            "basis": new.basis,
            "document_types": sorted(new.document_types),
        }

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            if self._entitled_safe(tx.connection, actor, new) != safe_id:
                raise NotFound("NOT_FOUND")
            starts_at = rfc3339(self._clock.now() if new.starts_at is None else new.starts_at)
            matter = NewMatter(
                key,
                MatterKind.MANDATE,
                actor,
                {**private, "starts_at": starts_at},
                safe_id,
                actor.administration_id if official else None,
                ends_at=new.ends_at,
                people=(new.mandatary,),
            )
            said = Said(
                holder=new.holder,
                context=entries.context(words=new.basis, person=new.mandatary),
                details={
                    "kind": new.kind,
                    "scope": " ".join(sorted(new.scope)),
                    "starts_at": starts_at,
                },
            )
            return key.document_id, self._matters.begin(tx, matter, "mandate.granted", said, mark=mark)

        said_start = "" if new.starts_at is None else rfc3339(new.starts_at)
        request = {**private, "starts_at": said_start, "ends_at": rfc3339(new.ends_at)}
        return self._matters.once(actor, "mandates", idempotency_key, request, work)

    def check(self, actor: Actor, new: NewMandate) -> str:
        """Check a mandate that is about to be given, and return its safe; nothing is written.

        Raises:
            NotFound, Refused: as `grant`.
        """
        self._check(actor, new)
        with self._database.reading() as connection:
            return self._entitled_safe(connection, actor, new)

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
            ended = {"ended_by": event.partition(".")[2], "ended_at": rfc3339(self._clock.now())}
            _, seq = self._matters.move(tx, actor, mandate_id, event, said, changed=ended, mark=mark)
            return mandate_id, seq

        request = {"mandate": mandate_id, "reason": reason}
        return self._matters.once(actor, "mandate-ends", idempotency_key, request, work, status_code=200)

    def see(self, actor: Actor, mandate_id: str) -> MandateView:
        """Return a mandate, to its holder, its mandatary and the administration that gave it. Raises NotFound."""
        with self._database.reading() as connection:
            mandate = self._load_matter(connection, mandate_id, MatterKind.MANDATE)
            if self._is_mandatary(actor, mandate):
                return self._named(connection, mandate)
            self._demand_sight(connection, actor, Subject.about(mandate))
            return self._view(mandate)

    def given(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[MandateView]:
        """Return the mandates over a safe, newest first. Raises NotFound."""
        with self._database.reading() as connection:
            self._demand_sight(connection, actor, Subject(safe_id))
            found = self._matters.rows.find(
                connection, MatterKind.MANDATE, safe_id=safe_id, before=before, limit=limit
            )
        return [self._view(mandate) for mandate in found]

    def named(
        self, actor: Actor, administration_id: str, before: int | None, limit: int
    ) -> Sequence[MandateView]:
        """Return the mandates that an administration gave, newest first. Raises NotFound."""
        demand(actor, Action.MANDATE_SEE, issuer_id=administration_id)
        with self._database.reading() as connection:
            found = self._matters.rows.find(
                connection,
                MatterKind.MANDATE,
                administration_id=administration_id,
                before=before,
                limit=limit,
            )
        return [self._view(mandate) for mandate in found]

    def held(self, actor: Actor) -> Sequence[MandateView]:
        """Return the mandates under which a person may act, ended ones included, newest first. Raises NotFound."""
        if actor.role not in {Role.HOLDER, Role.MANDATARY}:
            raise NotFound("NOT_FOUND")
        with self._database.reading() as connection:
            found = self._matters.rows.naming(connection, actor.id, MatterKind.MANDATE, _PAGE)
            return [self._named(connection, mandate) for mandate in found]

    def demand_held(self, person: str, mandate_id: str) -> Matter:
        """Return a mandate under which a person acts now. Raises NotFound: none such, or it does not count now."""
        mandate = self.demand_own(person, mandate_id)
        if not mandate.is_live(self._clock.now()):
            raise NotFound("NOT_FOUND")
        return mandate

    def demand_own(self, person: str, mandate_id: str) -> Matter:
        """Return a mandate that names this person, whether it counts now or not.

        Who comes under one that counts no longer is refused what is asked, with the mandate in the journal.

        Raises:
            NotFound: none such.
        """
        with self._database.reading() as connection:
            mandate = self._load_matter(connection, mandate_id, MatterKind.MANDATE)
        if mandate.private["mandatary"] != person:
            raise NotFound("NOT_FOUND")
        return mandate

    def holder_for(self, actor: Actor) -> str:
        """Return for whom a caller acts who does not say it: who gave the mandate, or the caller. Raises NotFound."""
        if actor.role is not Role.MANDATARY or actor.mandate_id is None:
            return actor.id
        return str(self.demand_own(actor.id, actor.mandate_id).private["holder"])

    def state_of(self, mandate: Matter) -> str:
        """Return `to-come`, `live`, `expired`, `revoked` or `renounced`, as of now."""
        now = self._clock.now()
        if mandate.state != "live":
            return str(mandate.private["ended_by"])
        if mandate.ends_at is not None and mandate.ends_at <= now:
            return "expired"
        return "live" if mandate.is_live(now) else "to-come"

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
        starts_at = now if new.starts_at is None else new.starts_at
        if starts_at < _EARLIEST or starts_at - now > self._longest:
            raise Refused("FIELD_INVALID", f"within {self._longest.days} days", field="starts_at")
        begins = max(now, starts_at)
        if not timedelta(0) < new.ends_at - begins <= self._longest:
            raise Refused(
                "FIELD_INVALID", f"after the start, by {self._longest.days} days at most", field="ends_at"
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
        # A person is known by an identifier for each linked identity.
        if self._safes.of_holder(connection, new.mandatary) == safe_id:
            raise Refused("FIELD_INVALID", "nobody needs a mandate for the own safe", field="mandatary")
        return safe_id

    def _endable(self, connection: Connection, actor: Actor, mandate_id: str) -> tuple[Matter, str]:
        """Return a mandate the caller may end, and by which event."""
        mandate = self._load_matter(connection, mandate_id, MatterKind.MANDATE)
        if self._is_mandatary(actor, mandate):
            return mandate, "mandate.renounced"
        if actor.role is Role.MANDATARY:
            raise NotFound("NOT_FOUND")  # who acts for the holder ends no other mandate of the holder's
        if actor.role is Role.HOLDER and mandate.private["kind"] != PROXY:
            raise NotFound("NOT_FOUND")  # a guardian is dismissed by who named the guardian
        self._ties.demand(connection, actor, Action.MANDATE_END, Subject.about(mandate))
        return mandate, "mandate.revoked"

    def _demand_sight(self, connection: Connection, actor: Actor, subject: Subject) -> None:
        # Who acts for the holder sees the own mandate, and nobody else's.
        if actor.role is Role.MANDATARY:
            raise NotFound("NOT_FOUND")
        self._ties.demand(connection, actor, Action.MANDATE_SEE, subject)

    def _named(self, connection: Connection, mandate: Matter) -> MandateView:
        safe = self._safes.load(connection, mandate.safe_id or "")
        return MandateView(mandate, self.state_of(mandate), "" if safe is None else safe.name)

    def _view(self, mandate: Matter) -> MandateView:
        return MandateView(mandate, self.state_of(mandate))

    @staticmethod
    def _is_mandatary(actor: Actor, mandate: Matter) -> bool:
        return (
            actor.role in {Role.HOLDER, Role.MANDATARY}
            and mandate.private["mandatary"] == actor.id
            and actor.mandate_id in {None, mandate.id}
        )
