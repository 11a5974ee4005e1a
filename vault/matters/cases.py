"""Where is my request: cases that come from the portal or from an administration's software.

A case has an opaque reference of its administration, a timeline of steps in words for people, and the documents that
each step produced or needs. Every step is a ledger entry, notifies the holder, and is never taken back: the timeline
only grows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from vault.access import Action, demand
from vault.authorization.ties import Subject
from vault.clock import rfc3339
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Outcome
from vault.domain.matters import Matter, MatterKind
from vault.errors import Conflict, NotFound, Refused
from vault.files.fields import check_code, check_text
from vault.ledger.writer import LedgerTransaction
from vault.matters.services import MatterService
from vault.matters.steps import Mark, NewMatter, Said
from vault.notices.reminders import TABLE, ReminderKind, cancel_reminders, reminder_row
from vault.records import entries

MAX_STEPS = 200
MAX_LINKS = 100
_MAX_WORDS = 500
_MAX_REFERENCE = 128
_FURTHEST = timedelta(days=731)
_AHEAD = {ReminderKind.APPOINTMENT: timedelta(days=1), ReminderKind.DEADLINE: timedelta(days=3)}
LINKS = frozenset({"needed", "provided", "produced"})


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence for people.

    Attributes:
        fr: in French.
        en: in English, or "".
    """

    fr: str
    en: str = ""

    def check(self, field: str, *, required: bool = False) -> None:
        """Raise Refused(FIELD_INVALID) naming the field."""
        check_text(f"{field}.fr", self.fr, _MAX_WORDS, required=required)
        check_text(f"{field}.en", self.en, _MAX_WORDS)


@dataclass(frozen=True, slots=True)
class CaseStep:
    """What an administration says when a case begins or moves.

    Attributes:
        state: code of the administration's own state, such as `instruction`.
        words: the state in words.
        held_by: who holds the case now, in words; empty leaves it.
        next_step: what comes next, in words; empty leaves it.
        expected_end: when it should end, UTC; None leaves it.
        appointment_at: an appointment that the holder has, UTC, or None; the holder is reminded the day before.
        deadline_at: until when the holder has something to do, UTC, or None; the holder is reminded before.
    """

    state: str
    words: Words
    held_by: Words = Words("")
    next_step: Words = Words("")
    expected_end: datetime | None = None
    appointment_at: datetime | None = None
    deadline_at: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raise Refused(FIELD_INVALID) naming the field."""
        for name, moment in (("appointment_at", self.appointment_at), ("deadline_at", self.deadline_at)):
            if moment is not None and not now < moment < now + _FURTHEST:
                raise Refused("FIELD_INVALID", "in the future, within two years", field=name)
        check_code("state", self.state, required=True)
        self.words.check("words", required=True)
        self.held_by.check("held_by")
        self.next_step.check("next_step")


@dataclass(frozen=True, slots=True)
class NewCase:
    """A case that an administration opens.

    Attributes:
        holder: identifier of the holder.
        reference: the administration's own, opaque: it finds the case again.
        case_type: type code.
        service: service that treats it, or "".
        title: title for people.
        step: the first step.
    """

    holder: str
    reference: str
    case_type: str
    service: str
    title: Words
    step: CaseStep


class Cases(MatterService):
    """Opens, moves, closes and shows cases."""

    def open(self, actor: Actor, administration_id: str, new: NewCase, idempotency_key: str) -> Outcome:
        """Open a case in a holder's safe.

        Raises:
            NotFound: UNKNOWN_ADMINISTRATION, UNKNOWN_HOLDER, or NOT_FOUND where the caller may not.
            Refused: FIELD_INVALID.
            Conflict: CASE_EXISTS, the administration has one with this reference; SAFE_CLOSED; TWIN_RUNNING,
                IDEMPOTENCY_KEY_REUSED.
        """
        check_text("holder", new.holder, _MAX_REFERENCE, required=True)
        check_text("reference", new.reference, _MAX_REFERENCE, required=True)
        check_code("type", new.case_type, required=True)
        check_code("service", new.service)
        new.title.check("title", required=True)
        new.step.check(self._clock.now())
        if actor.service and new.service not in {"", actor.service}:
            raise Refused("FIELD_INVALID", "not the caller's own service", field="service")
        with self._database.reading() as connection:
            if self._safes.administration(connection, administration_id) is None:
                raise NotFound("UNKNOWN_ADMINISTRATION")
            demand(actor, Action.CASE_WRITE, issuer_id=administration_id)
        lookup = self._lookup(administration_id, new.reference)
        key = self._matters.draw(MatterKind.CASE)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            if self._matters.rows.by_lookup(tx.connection, lookup) is not None:
                raise Conflict("CASE_EXISTS")
            # Last: who learns whether a holder has a safe has left a case in it.
            safe_id = self._safes.of_holder(tx.connection, new.holder)
            if safe_id is None:
                raise NotFound("UNKNOWN_HOLDER")
            self._ties.demand(tx.connection, actor, Action.CASE_WRITE, Subject(safe_id, administration_id))
            private = {
                "holder": new.holder,
                "reference": new.reference,
                "type": new.case_type,
                "service": new.service,
                "title": asdict(new.title),
                "links": [],
                "steps": [],
                **_moved({}, new.step, rfc3339(self._clock.now())),
            }
            matter = NewMatter(
                key, MatterKind.CASE, actor, private, safe_id, administration_id, lookup_ix=lookup
            )
            said = self._said(private, new.step.words)
            beside = self._reminders(safe_id, key.document_id, new.step)
            seq = self._matters.begin(tx, matter, "case.opened", said, beside=beside, mark=mark)
            return key.document_id, seq

        request = {"administration": administration_id, **_plain(asdict(new))}
        return self._matters.once(actor, "cases", idempotency_key, request, work)

    def move(
        self, actor: Actor, case_id: str, step: CaseStep, idempotency_key: str, *, event: str = "case.moved"
    ) -> Outcome:
        """Add a step to a case, close it, or open it again.

        Args:
            actor: of the case's administration.
            case_id: the case.
            step: what is said.
            idempotency_key: chosen by the caller.
            event: `case.moved`, `case.closed` or `case.reopened`.

        Raises:
            NotFound: unknown, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: STATE_CONFLICT, CASE_FULL, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        step.check(self._clock.now())

        def changed(case: Matter) -> Mapping[str, Any]:
            if len(case.private["steps"]) >= MAX_STEPS:
                raise Conflict("CASE_FULL", limit=MAX_STEPS)
            return _moved(case.private, step, rfc3339(self._clock.now()))

        request = {"case": case_id, "event": event, **_plain(asdict(step))}
        return self._change(actor, case_id, event, idempotency_key, request, changed, step)

    def link(self, actor: Actor, case_id: str, document_id: str, role: str, idempotency_key: str) -> Outcome:
        """Say that a document of the same safe belongs to a case.

        Args:
            actor: of the case's administration.
            case_id: the case.
            document_id: a document of the same safe that the caller may describe.
            role: what it is for the case: one of LINKS.
            idempotency_key: chosen by the caller.

        Raises:
            NotFound: unknown, or not for this caller.
            Refused: FIELD_INVALID.
            Conflict: STATE_CONFLICT, CASE_FULL, TWIN_RUNNING, IDEMPOTENCY_KEY_REUSED.
        """
        if role not in LINKS:
            raise Refused("FIELD_INVALID", f"one of {', '.join(sorted(LINKS))}", field="role")

        def changed(case: Matter) -> Mapping[str, Any]:
            links = case.private["links"]
            if len(links) >= MAX_LINKS:
                raise Conflict("CASE_FULL", limit=MAX_LINKS)
            if any(link["document"] == document_id for link in links):
                raise Conflict("STATE_CONFLICT", current="linked", wanted="linked")
            return {
                "links": [*links, {"document": document_id, "role": role, "at": rfc3339(self._clock.now())}]
            }

        def entitled(connection: Connection, case: Matter) -> None:
            document = self._documents.load(connection, document_id)
            if (
                document is None
                or document.safe_id != case.safe_id
                or not self._sees(connection, actor, document)
            ):
                raise NotFound("NOT_FOUND")

        request = {"case": case_id, "document": document_id, "role": role}
        return self._change(actor, case_id, "case.linked", idempotency_key, request, changed, None, entitled)

    def see(self, actor: Actor, case_id: str) -> Matter:
        """Return a case. Raises NotFound: unknown, or not for this caller."""
        with self._database.reading() as connection:
            return self._entitled(connection, actor, Action.CASE_SEE, case_id)

    def of_safe(self, actor: Actor, safe_id: str, before: int | None, limit: int) -> Sequence[Matter]:
        """Return the cases of a safe, newest first. Raises NotFound."""
        with self._database.reading() as connection:
            self._ties.demand(connection, actor, Action.CASE_SEE, Subject(safe_id))
            return self._matters.rows.find(
                connection, MatterKind.CASE, safe_id=safe_id, before=before, limit=limit
            )

    def of_administration(
        self, actor: Actor, administration_id: str, reference: str | None, before: int | None, limit: int
    ) -> Sequence[Matter]:
        """Return the cases of an administration, newest first, or the one with a reference. Raises NotFound."""
        demand(actor, Action.CASE_SEE, issuer_id=administration_id)
        with self._database.reading() as connection:
            if reference is not None:
                found = self._matters.rows.by_lookup(connection, self._lookup(administration_id, reference))
                return [] if found is None or not _is_of_service(actor, found) else [found]
            found_cases: list[Matter] = []
            while len(found_cases) < limit:
                page = self._matters.rows.find(
                    connection,
                    MatterKind.CASE,
                    administration_id=administration_id,
                    before=before,
                    limit=limit,
                )
                found_cases += [case for case in page if _is_of_service(actor, case)]
                if len(page) < limit:
                    break
                before = page[-1].first_seq
            return found_cases[:limit]

    def _change(
        self,
        actor: Actor,
        case_id: str,
        event: str,
        idempotency_key: str,
        request: Mapping[str, Any],
        changed: Callable[[Matter], Mapping[str, Any]],
        step: CaseStep | None,
        entitled: Callable[[Connection, Matter], None] | None = None,
    ) -> Outcome:
        with self._database.reading() as connection:
            self._entitled(connection, actor, Action.CASE_WRITE, case_id)

        def work(tx: LedgerTransaction, mark: Mark) -> tuple[str, int]:
            case = self._entitled(tx.connection, actor, Action.CASE_WRITE, case_id)
            if entitled is not None:
                entitled(tx.connection, case)
            values = changed(case)
            said = self._said({**case.private, **values}, Words("") if step is None else step.words)
            if event == "case.closed":
                cancel_reminders(tx.connection, case_id)
            beside = () if step is None else self._reminders(case.safe_id or "", case_id, step)
            _, seq = self._matters.move(
                tx, actor, case_id, event, said, changed=values, beside=beside, mark=mark
            )
            return case_id, seq

        return self._matters.once(actor, "case-steps", idempotency_key, request, work, status_code=200)

    def _entitled(self, connection: Connection, actor: Actor, action: Action, case_id: str) -> Matter:
        case = self._load_matter(connection, case_id, MatterKind.CASE)
        self._ties.demand(connection, actor, action, Subject.about(case))
        if not _is_of_service(actor, case):
            raise NotFound("NOT_FOUND")
        return case

    def _sees(self, connection: Connection, actor: Actor, document: Document) -> bool:
        return self._ties.grant(connection, actor, Action.DESCRIBE, Subject.of(document)) is not None

    def _reminders(self, safe_id: str, case_id: str, step: CaseStep) -> list[tuple[str, Mapping[str, Any]]]:
        planned = (
            (ReminderKind.APPOINTMENT, step.appointment_at),
            (ReminderKind.DEADLINE, step.deadline_at),
        )
        now = self._clock.now()
        return [
            (
                TABLE,
                reminder_row(
                    safe_id=safe_id,
                    matter_id=case_id,
                    kind=kind,
                    due_at=max(now, moment - _AHEAD[kind]),
                    until=moment,
                ),
            )
            for kind, moment in planned
            if moment is not None
        ]

    def _lookup(self, administration_id: str, reference: str) -> bytes:
        return self._keyring.index("case", administration_id, reference)

    @staticmethod
    def _said(private: Mapping[str, Any], words: Words) -> Said:
        return Said(
            holder=private["holder"],
            context=entries.context(case=private["reference"], title=private["title"]["fr"], words=words.fr),
            details={"state": private["state"]},
        )


def _is_of_service(actor: Actor, case: Matter) -> bool:
    """Tell whether a case is not another service's: whoever has a service sees its cases and those of none."""
    if actor.role not in {Role.AGENT, Role.SYSTEM} or not actor.service:
        return True
    return case.private["service"] in {"", actor.service}


def _moved(before: Mapping[str, Any], step: CaseStep, now: str) -> dict[str, Any]:
    """Return the members of the private part that a step changes."""
    told = {"state": step.state, "at": now, "words": asdict(step.words)}
    values: dict[str, Any] = {"state": step.state, "steps": [*before.get("steps", ()), told]}
    if step.held_by.fr:
        values["held_by"] = asdict(step.held_by)
    if step.next_step.fr:
        values["next_step"] = asdict(step.next_step)
    for name in ("expected_end", "appointment_at", "deadline_at"):
        if (moment := getattr(step, name)) is not None:
            values[name] = rfc3339(moment)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    return value
