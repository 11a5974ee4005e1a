"""Closures: wish, death, dissolution; what each step ends and leaves; who is refused; time; a lost database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.people.conftest import EMPLOYER, TOWN, World
from vault.domain.actors import Actor, Role
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay
from vault.errors import VaultError
from vault.matters.cases import CaseStep, NewCase, Words
from vault.people.closures import NewClosure
from vault.people.safes import NewSafe
from vault.sharing.shares import Created, NewShare

PURPOSE = "instruction-dossier"


class Step:
    """Short ways to do what a closure ends."""

    def __init__(self, world: World) -> None:
        self.world, self.closures = world, world.people.closures

    def ask(self, kind: str = "wish", by: Actor | None = None, holder: str = "camille") -> str:
        who = by or (self.world.camille if kind == "wish" else self.world.registrar)
        basis = "" if kind == "wish" else "Acte de décès 2026/12"
        return self.closures.ask(who, NewClosure(holder, kind, basis), self.world.key()).document_id

    def confirm(self, closure: str, by: Actor | None = None) -> None:
        self.closures.confirm(by or self.world.proven(self.world.camille), closure, self.world.key())

    def wished(self) -> str:
        closure = self.ask()
        self.confirm(closure)
        return closure

    def dead(self) -> str:
        closure = self.ask("death")
        self.confirm(closure, self.world.officer)
        return closure

    def close(self) -> None:
        self.world.clock.forward(days=31)
        assert self.closures.close_due() == 1
        assert self.closures.close_due() == 0

    def wanted(self) -> NewRequest:
        return NewRequest(
            holder="camille", purpose=PURPOSE, words="Pour établir votre contrat.", legal_basis="Article 12",
            answer_by=self.world.clock.now() + timedelta(days=60), otherwise=OtherWay("counter", "Guichet", "Counter"),
            document_types=("acte-de-naissance",), actions=("read",), access_days=300,
        )  # fmt: skip

    def request(self) -> str:
        requests = self.world.people.tell_once.requests
        return requests.make(self.world.payroll, EMPLOYER, self.wanted(), self.world.key()).document_id

    def consent(self, document: str) -> None:
        said = NewAnswer(Answer.ACCEPT, (document,))
        self.world.people.tell_once.answers.answer(self.world.camille, self.request(), said, self.world.key())

    def share(self, document: str) -> Created:
        ends_at = self.world.clock.now() + timedelta(days=80)
        new = NewShare((document,), "housing", "", "Bailleur", ends_at, 10, "original")
        return self.world.people.sharing.shares.create(self.world.camille, new, self.world.key())

    def case(self) -> str:
        new = NewCase(
            "camille", self.world.key(), "inscription", "", Words("Inscription"), CaseStep("a", Words("A"))
        )
        return self.world.people.cases.open(self.world.registrar, TOWN, new, self.world.key()).document_id


@pytest.fixture
def step(aside: World) -> Step:
    return Step(aside)


def test_a_wish_changes_nothing_until_its_notice_is_over(aside, step, refused):
    document, proxy = aside.issue(), aside.mandate()
    step.consent(document)
    closure = step.ask()
    assert step.closures.see(aside.camille, closure).state == "asked"
    step.confirm(closure)
    seen = step.closures.see(aside.camille, closure)
    assert (seen.state, step.closures.close_due()) == ("notice", 0)
    aside.issue()
    aside.deposit(proxy)
    assert aside.read(document, aside.payroll, PURPOSE)
    assert aside.people.safes.see(aside.camille, aside.safe_id).closures[0].id == closure
    aside.audited()


def test_a_wish_is_cancelled_in_its_notice_and_not_after(aside, step, refused):
    closure = step.wished()
    aside.people.closures.cancel(aside.camille, closure, "Je reste", "once")
    assert aside.people.closures.cancel(aside.camille, closure, "Je reste", "once").replayed
    aside.clock.forward(days=40)
    assert step.closures.close_due() == 0
    aside.issue()
    again = step.wished()
    aside.clock.forward(days=31)
    # The clock has closed it, whether the service wrote that down or not.
    assert (
        refused(lambda: aside.people.closures.cancel(aside.camille, again, "", aside.key())) == "SAFE_CLOSED"
    )
    assert refused(aside.issue) == "SAFE_CLOSED"
    assert step.closures.close_due() == 1
    assert step.closures.see(aside.camille, again).state == "closed"


def test_a_safe_closed_by_wish_takes_nothing_in_and_its_holder_reads_on(aside, step, refused):
    document, guardian, proxy = aside.issue(), aside.guardian(), aside.mandate()
    case = step.case()
    open_request = step.request()
    step.consent(document)
    sharing, share = aside.people.sharing, step.share(document)
    bearer = sharing.openings.open(share.code, share.secret).actor
    assert sharing.reading.original(bearer, document)
    assert aside.read(document, aside.payroll, PURPOSE)
    step.wished()
    step.close()
    answers, cases = aside.people.tell_once.answers, aside.people.cases
    moved = CaseStep("b", Words("B"))
    assert {
        "issue": refused(aside.issue),
        "deposit": refused(aside.deposit),
        "deposit by guardian": refused(lambda: aside.deposit(guardian)),
        "case": refused(step.case),
        "case moved": refused(lambda: cases.move(aside.registrar, case, moved, aside.key())),
        "mandate": refused(aside.mandate),
        "closure": refused(step.ask),
        "answer": refused(
            lambda: answers.answer(
                aside.camille, open_request, NewAnswer(Answer.ACCEPT, (document,)), aside.key()
            )
        ),
        "consented read": refused(lambda: aside.read(document, aside.payroll, PURPOSE)),
        "share": refused(lambda: step.share(document)),
        "share opened": refused(lambda: sharing.openings.open(share.code, share.secret)),
        "shared read": refused(lambda: sharing.reading.original(bearer, document)),
        "read by proxy": refused(lambda: aside.read(document, proxy)),
    } == {
        "issue": "SAFE_CLOSED",
        "deposit": "SAFE_CLOSED",
        "deposit by guardian": "UNKNOWN_HOLDER",
        "case": "SAFE_CLOSED",
        "case moved": "SAFE_CLOSED",
        "mandate": "SAFE_CLOSED",
        "closure": "SAFE_CLOSED",
        "answer": "SAFE_CLOSED",
        "consented read": "NOT_FOUND",
        "share": "SAFE_CLOSED",
        "share opened": "SHARE_REFUSED",
        "shared read": "NOT_FOUND",
        "read by proxy": "NOT_FOUND",
    }
    # Whoever asks now is not told of the closure: the request waits for an answer that does not come.
    unseen = step.request()
    assert aside.people.tell_once.requests.see(aside.payroll, unseen).state == "open"
    seen = aside.people.tell_once.requests.of_safe(aside.camille, aside.safe_id, None, 20)
    assert unseen not in {view.request.id for view in seen}
    # What lies in it stays the holder's, and the issuer's own act stays the issuer's.
    assert aside.read(document)
    assert aside.read(document, guardian)
    assert aside.read(document, aside.registrar)
    assert aside.vault.reading.list(aside.camille, aside.safe_id, None, 10).items
    assert aside.people.safes.see(aside.camille, aside.safe_id).counts.documents == 1
    assert aside.journal(document)[-1][0] == "document.read"
    assert "document.read-refused" in {event for event, _, _ in aside.journal(document)}
    aside.audited()


def test_a_death_ends_the_holder_s_login_and_mandates_at_once(aside, step, refused):
    document, before, proxy = aside.issue(), aside.guardian(), aside.mandate()
    own = aside.deposit(aside.dominique, "dominique")
    for_other = aside.mandate(aside.dominique, holder="dominique", mandatary="camille")
    as_other = replace(for_other, safe_id=aside.camille.safe_id)
    assert aside.read(own, as_other)
    closure = step.ask("death")
    assert aside.read(document)  # asked is not yet confirmed
    step.confirm(closure, aside.officer)
    for actor in (aside.camille, before, proxy):
        assert refused(lambda actor=actor: aside.read(document, actor)) == "NOT_FOUND"
    assert refused(lambda: aside.read(own, as_other)) == "NOT_FOUND"  # nor for somebody else
    reading, safes, contacts = aside.vault.reading, aside.people.safes, aside.vault.notifying.contacts
    for work in (
        lambda: reading.list(aside.camille, aside.safe_id, None, 10),
        lambda: safes.see(aside.camille, aside.safe_id),
        lambda: contacts.of(aside.camille, aside.safe_id),
        lambda: contacts.replace(aside.camille, aside.safe_id, []),
        aside.deposit,
        aside.mandate,
        step.ask,
        lambda: aside.people.journal.lines.of_safe(aside.camille, aside.safe_id, None, 10),
    ):
        assert refused(work) == "SAFE_CLOSED"
    # A mandate that the administration gives from now on counts: the heirs' notary.
    notary = aside.guardian(mandatary="notaire", basis="Acte de notoriété 7")
    assert aside.read(document, notary)
    step.close()
    assert aside.read(document, notary)
    assert refused(lambda: aside.deposit(notary)) == "UNKNOWN_HOLDER"
    assert refused(aside.issue) == "SAFE_CLOSED"
    aside.audited()


def test_a_death_that_was_none_is_cancelled_and_everything_counts_again(aside, step, refused):
    document, proxy = aside.issue(), aside.mandate()
    closure = step.dead()
    assert refused(lambda: aside.read(document)) == "NOT_FOUND"
    for stranger in (aside.camille, aside.registrar, aside.payroll, aside.dominique, aside.operator):
        code = refused(lambda who=stranger: step.closures.cancel(who, closure, "", aside.key()))
        assert code in {"NOT_FOUND", "SAFE_CLOSED", "STATE_CONFLICT"}
    step.closures.cancel(aside.officer, closure, "Homonyme", aside.key())
    assert aside.read(document)
    assert aside.read(document, proxy)


def test_who_told_of_a_death_takes_it_back_before_it_is_confirmed(aside, step, refused):
    closure = step.ask("death")
    assert refused(lambda: step.closures.cancel(aside.payroll, closure, "", aside.key())) == "NOT_FOUND"
    step.closures.cancel(aside.registrar, closure, "Erreur", aside.key())
    assert refused(lambda: step.confirm(closure, aside.officer)) == "STATE_CONFLICT"


def test_nobody_else_asks_or_confirms(aside, step, refused):
    for actor, kind, code in (
        (aside.dominique, "wish", "UNKNOWN_HOLDER"),
        (aside.camille, "death", "FIELD_INVALID"),
        (aside.registrar, "wish", "FIELD_INVALID"),
        (aside.payroll, "death", "NOT_FOUND"),  # not one of the settings
        (aside.officer, "death", "NOT_FOUND"),
        (aside.operator, "death", "NOT_FOUND"),
        (aside.mandate(), "wish", "FIELD_INVALID"),
        (aside.mandate(), "death", "NOT_FOUND"),
        (
            Actor("sys", Role.SYSTEM, administration_id=TOWN, scopes=frozenset({"acts:issue"})),
            "death",
            "NOT_FOUND",
        ),
        (aside.registrar, "dissolution", "FIELD_INVALID"),  # a person is not dissolved
    ):
        assert refused(lambda who=actor, kind=kind: step.ask(kind, who)) == code, (actor, kind)
    assert refused(lambda: step.ask("wish", aside.camille, "personne")) == "UNKNOWN_HOLDER"
    wish = step.ask()
    for actor in (aside.dominique, aside.officer, aside.registrar, aside.mandate(), aside.operator):
        assert refused(lambda who=actor: step.confirm(wish, who)) == "NOT_FOUND", actor
    death = step.ask("death")
    for actor in (aside.camille, aside.dominique, aside.registrar, aside.payroll, aside.operator):
        assert refused(lambda who=actor: step.confirm(death, who)) == "NOT_FOUND", actor


def test_a_wish_is_confirmed_with_a_fresh_proof(aside, step, refused):
    wish = step.ask()
    assert refused(lambda: step.confirm(wish, aside.camille)) == "STEP_UP_REQUIRED"
    old = aside.proven(aside.camille)
    aside.clock.forward(minutes=16)
    assert refused(lambda: step.confirm(wish, old)) == "STEP_UP_REQUIRED"
    step.confirm(wish)


def test_there_is_one_at_a_time_but_a_death_waits_for_no_wish(aside, step, refused):
    step.wished()
    assert refused(step.ask) == "CLOSURE_RUNNING"
    step.dead()
    assert refused(lambda: step.ask("death")) == "CLOSURE_RUNNING"
    assert aside.people.closures.to_confirm(aside.officer, None, 10) == []
    with pytest.raises(VaultError, match="NOT_FOUND"):
        aside.people.closures.to_confirm(aside.registrar, None, 10)


def test_a_company_is_dissolved_and_its_liquidator_acts(everywhere, refused):
    step = Step(everywhere)
    new = NewSafe("rci-1", "Société Exemple", "company", "RCI", "99P01234")
    safe_id, is_new = everywhere.people.safes.open(everywhere.registrar, new)
    assert is_new
    assert everywhere.people.safes.open(everywhere.registrar, new) == (safe_id, False)
    director = everywhere.mandate(
        everywhere.registrar, kind="representative", holder="rci-1", basis="RCI 99P01234"
    )
    document = everywhere.issue(holder="rci-1")
    assert everywhere.read(document, director)
    view = everywhere.people.safes.see(director, safe_id)
    assert (view.safe.kind, view.safe.register, view.safe.number) == ("company", "RCI", "99P01234")
    assert refused(lambda: step.ask("death", holder="rci-1")) == "FIELD_INVALID"
    closure = step.ask("dissolution", holder="rci-1")
    step.confirm(closure, everywhere.officer)
    assert refused(lambda: everywhere.read(document, director)) == "NOT_FOUND"
    liquidator = everywhere.mandate(
        everywhere.registrar, kind="representative", holder="rci-1", mandatary="liquidateur"
    )
    assert everywhere.read(document, liquidator)


def test_a_safe_that_closes_while_a_file_comes_takes_nothing_in(aside, step, refused):
    step.wished()

    def slow():
        yield b"first"
        aside.clock.forward(days=31)
        yield b"second"

    assert refused(lambda: aside.deposit(chunks=slow())) == "SAFE_CLOSED"
    aside.audited()


def test_what_a_lost_database_leaves(everywhere, refused):
    step = Step(everywhere)
    document = everywhere.issue()
    company = NewSafe("rci-1", "Société Exemple", "company", "RCI", "99P01234")
    safe_id, _ = everywhere.people.safes.open(everywhere.registrar, company)
    everywhere.issue(holder="rci-1")
    proxy = everywhere.mandate()
    closure = step.dead()
    notary = everywhere.guardian(mandatary="notaire")
    everywhere.audited()
    everywhere.lose_and_recover()
    assert refused(lambda: everywhere.read(document)) == "NOT_FOUND"
    assert refused(lambda: everywhere.read(document, proxy)) == "NOT_FOUND"
    assert everywhere.read(document, notary)
    step = Step(everywhere)
    step.close()
    assert step.closures.see(everywhere.officer, closure).state == "closed"
    assert refused(everywhere.issue) == "SAFE_CLOSED"
    assert everywhere.people.safes.open(everywhere.registrar, company) == (safe_id, False)
    everywhere.audited()
